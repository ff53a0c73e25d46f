"""The SFT and GRPO stages: what the workers are given, the Ray Train run, and the model that comes
out.

Heavy imports (torch, Ray, transformers) are inside the functions: every command imports the list of
stages.
"""

import importlib.util
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import PipelineConfig, TrainerConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.errors import MedrError
from medr_ray.core.json_text import parse_json
from medr_ray.core.placement import Need, find_local_shortage, require_room
from medr_ray.core.progress import Bar
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.artifacts import GRPO_METRICS, SFT_EXAMPLES, SFT_METRICS
from medr_ray.training.metrics_log import ActorMetricsLog, MetricRow, MetricsLog
from medr_ray.trajectories.artifacts import TRAJECTORIES

_POLL_SECONDS = 1.0  # between two looks at the workers' log
_COMPARED_UPDATES = 3  # at the beginning and at the end of a run, for its summary


def execute_sft(context: StageContext) -> Counts:
    """Fine-tune ``models.policy`` on the accepted trajectories; writes ``model/`` and
    ``metrics.jsonl``."""
    from medr_ray.core.errors import DataError
    from medr_ray.engines.weights import model_path
    from medr_ray.training.batches import plan_steps
    from medr_ray.training.sft import SFTJob, sft_worker

    config = context.config
    sft = config.sft
    seed = config.run.seed
    model_dir = model_path(config.models.policy)
    count, pad_id = _write_examples(context)
    if not count:
        raise DataError(
            "no accepted trajectory fits sft.max_tokens: look at trajectories/rejected.jsonl"
        )
    # The same plan as the workers', for the length of the progress bar.
    steps = plan_steps(count, sft.batch_size * sft.workers, sft.epochs, seed, sft.max_steps)

    def make_job(log: MetricsLog) -> SFTJob:
        return SFTJob(
            config=sft,
            seed=seed,
            model_dir=str(model_dir),
            directory_uri=context.directory.uri,
            output=str(context.directory.local / "model"),
            pad_id=pad_id,
            log=log,
            trust_remote_code=config.models.trust_remote_code,
        )

    history = _run_training(
        context, "sft", sft, sft_worker, make_job, len(steps), "steps", SFT_METRICS
    )
    counts = {
        "examples": count,
        "steps": len(history),
        "loss_first": history[0]["loss"],
        "loss_last": history[-1]["loss"],
        "tokens": sum(row["tokens"] for row in history),
    }
    context.console.print(
        f"sft: {counts['steps']} steps over {count} dialogues, loss {counts['loss_first']:.3f} -> "
        f"{counts['loss_last']:.3f}"
    )
    return counts


def execute_grpo(context: StageContext) -> Counts:
    """Improve the SFT model by its own rollouts; writes ``model/``, ``metrics.jsonl`` and
    ``rollouts/``."""
    from medr_ray.training.grpo import grpo_worker
    from medr_ray.training.grpo_job import GRPOJob

    config = context.config
    questions = context.run.read(QUESTIONS)
    train = tuple(question for question in questions if question.split == "train")
    model_dir = str(context.upstream("sft").local / "model")
    tokenizer = _load_tokenizer(model_dir, config.models.trust_remote_code)

    def make_job(log: MetricsLog) -> GRPOJob:
        return GRPOJob(
            config=config,
            questions=train,
            model_dir=model_dir,
            index_uri=context.upstream("index").uri,
            directory_uri=context.directory.uri,
            output=str(context.directory.local / "model"),
            pad_id=tokenizer.eos_token_id,
            log=log,
        )

    history = _run_training(
        context,
        "grpo",
        config.grpo,
        grpo_worker,
        make_job,
        config.grpo.updates,
        "updates",
        GRPO_METRICS,
    )
    first = history[:_COMPARED_UPDATES]
    last = history[-_COMPARED_UPDATES:]
    counts = {
        "updates": len(history),
        "rollouts": sum(row["rollouts"] for row in history),
        "excluded": sum(row["excluded"] for row in history),
        "exact_match_first": _mean_of_column(first, "exact_match"),
        "exact_match_last": _mean_of_column(last, "exact_match"),
        "reward_first": _mean_of_column(first, "reward_mean"),
        "reward_last": _mean_of_column(last, "reward_mean"),
    }
    context.console.print(
        f"grpo: {counts['updates']} updates, {counts['rollouts']} rollouts, exact match of the "
        f"rollouts {counts['exact_match_first']:.0%} -> {counts['exact_match_last']:.0%} "
        f"(first and last {_COMPARED_UPDATES} updates)"
    )
    return counts


def _mean_of_column(rows: list[MetricRow], key: str) -> float:
    """The mean of what is not null; 0 where all of it is."""
    values = [row[key] for row in rows if row[key] is not None]
    return round(sum(values) / max(len(values), 1), 4)


def _load_tokenizer(model_dir: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_dir, trust_remote_code=trust_remote_code)


def _write_examples(context: StageContext) -> tuple[int, int]:
    """Write ``examples.parquet`` (trajectory_id, ids, mask); returns (examples, padding id)."""
    import pyarrow as pa

    from medr_ray.engines.weights import model_path
    from medr_ray.trajectories.dataset import DialogueEncoder, build_training_examples, read_copies

    config = context.config
    judged = context.run.read(TRAJECTORIES)
    tokenizer = _load_tokenizer(
        str(model_path(config.models.policy)), config.models.trust_remote_code
    )
    examples = build_training_examples(
        judged,
        DialogueEncoder(tokenizer),
        config.sft.max_tokens,
        read_copies(context.upstream("trajectories")),
    )
    table = pa.table(
        {
            "trajectory_id": [example.trajectory_id for example in examples],
            "ids": pa.array([list(example.ids) for example in examples], pa.list_(pa.int32())),
            "mask": pa.array([list(example.mask) for example in examples], pa.list_(pa.bool_())),
        }
    )
    context.directory.write_table(SFT_EXAMPLES.name, table)
    # Not every tokenizer has a padding token, and the mask hides it anyway.
    return len(examples), tokenizer.eos_token_id


def _run_training(
    context: StageContext,
    name: Literal["sft", "grpo"],
    config: TrainerConfig,
    worker: Callable[[dict[str, Any]], None],
    make_job: Callable[[MetricsLog], Any],
    total: int,
    unit: str,
    metrics: StageFile,
) -> list[MetricRow]:
    """Run Ray Train to its end and return the metric history that rank 0 wrote.

    After a kill Ray Train finds its checkpoints under the same path and name, and resumes.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # The trainer would wait for ever for what does not exist, without a word.
    require_room(list_needs(name, context.config), context.config.ray)
    local: Path = context.directory.local
    # A model from an attempt that was killed after it was saved; saving does not overwrite.
    shutil.rmtree(local / "model", ignore_errors=True)
    log = ActorMetricsLog()
    resources: dict[str, float] = {"CPU": config.cpus_per_worker}
    if config.use_gpu:
        resources["GPU"] = config.gpus_per_worker
    trainer = TorchTrainer(
        worker,
        train_loop_config={"job": make_job(log)},
        scaling_config=ScalingConfig(
            num_workers=config.workers, use_gpu=config.use_gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(local),
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    with Bar(context.console, name, total, unit) as bar:
        _fit_with_progress(trainer.fit, log, bar)
    # Optimiser state: gigabytes nobody needs once it is done.
    shutil.rmtree(local / "train", ignore_errors=True)
    lines = context.directory.read_bytes(metrics.name).splitlines()
    # A diverged training run writes NaN.
    return [parse_json(line, metrics.path, finite=False) for line in lines]


def _fit_with_progress(fit: Callable[[], object], log: ActorMetricsLog, bar: Bar) -> None:
    """Run ``fit`` to its end with a progress bar fed from the workers' log; raises what it
    raises."""
    failures: list[BaseException] = []

    def run_fit() -> None:
        # A thread's exception would only be printed: it is raised again by the caller.
        try:
            fit()
        except BaseException as error:
            failures.append(error)

    # A thread, because fit blocks. A daemon, so that Ctrl-C ends the process at once.
    thread = threading.Thread(target=run_fit, daemon=True)
    thread.start()
    rows_seen = 0
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        for row in log.rows_from(rows_seen):
            if not rows_seen:
                bar.resume(row["number"] - 1)  # a resumed run starts behind its checkpoint
            rows_seen += 1
            bar.advance(note=_describe_row(row))
    if failures:
        raise failures[0]


def _describe_row(row: MetricRow) -> str:
    if "reward_mean" in row:
        return (
            f"reward {row['reward_mean']}, exact match {row['exact_match']}, loss {row['loss']:.4f}"
        )
    return f"loss {row['loss']:.3f}"


def _find_trainer_problems(
    section: Literal["sft", "grpo"], trainer: TrainerConfig, config: PipelineConfig
) -> Iterator[str]:
    """What keeps a training stage from starting."""
    from medr_ray.engines.weights import model_path

    try:
        model_path(config.models.policy)
    except MedrError as error:
        yield f"models.policy: {error}"
    if trainer.backend == "deepspeed" and importlib.util.find_spec("deepspeed") is None:
        yield f"{section}.backend: deepspeed is not installed: pip install 'medr-ray[deepspeed]'"
    shortage = find_local_shortage(list_needs(section, config), config.ray)
    if shortage:
        yield shortage


def list_needs(section: Literal["sft", "grpo"], config: PipelineConfig) -> list[Need]:
    """What the stage must have at the same time: the trainers, and for GRPO the engine and a
    rollout worker beside them."""
    trainer = config.sft if section == "sft" else config.grpo
    resources: dict[str, float] = {"CPU": trainer.cpus_per_worker}
    if trainer.use_gpu:
        resources["GPU"] = trainer.gpus_per_worker
    settings = {
        "CPU": [f"{section}.workers", f"{section}.cpus_per_worker"],
        "GPU": [f"{section}.{key}" for key in ("workers", "gpus_per_worker", "use_gpu")],
    }
    needs = [Need(f"the workers of {section}", resources, trainer.workers, settings)]
    if section == "sft":
        return needs
    # Imported here, because a worker's tools are slow to import and planning is not to wait.
    from medr_ray.rollouts.schedule import describe_worker_need

    engine: dict[str, float] = {"CPU": 1}
    # The engine takes a GPU where there is one, which trainers on GPUs show.
    if trainer.use_gpu and config.engine.device != "cpu":
        engine["GPU"] = config.engine.gpu_share
    needs.append(Need("the engine", engine, 1, {"GPU": ["engine.gpu_share", "engine.device"]}))
    needs.append(describe_worker_need(config.rollouts))
    return needs


def _find_sft_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from _find_trainer_problems("sft", config.sft, config)


def _find_grpo_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from _find_trainer_problems("grpo", config.grpo, config)
    # Imported here, because tools are slow to import and planning is not to wait for them.
    from medr_ray.tools.registry import find_tool_problems

    yield from find_tool_problems(config)
    if _grpo_model_identity(config) is not None:
        from medr_ray.llm.reachability import find_role_problems

        yield from find_role_problems(config, "grpo")


def _warn_of_roles(config: PipelineConfig) -> Iterator[str]:
    if config.grpo.expert == "llm" and not config.grpo.expert_weight:
        yield (
            "grpo.expert: llm pays for scores that grpo.expert_weight: 0 makes nothing of: set a "
            "weight, or grpo.expert: rules"
        )


def _estimate_sft_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    return StageCost("trained weights")


def _estimate_grpo_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    from medr_ray.training.cost_estimate import estimate_grpo_cost

    return estimate_grpo_cost(config, run)


def _estimate_size(config: PipelineConfig) -> int:
    """The trained model and one checkpoint: the weights and AdamW's two moments, each at least as
    large as the model's files (they are float32)."""
    from medr_ray.engines.weights import model_path

    try:
        folder = model_path(config.models.policy)
    except MedrError:
        # ``check`` says so.
        return 0
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return 4 * size


SFT_STAGE = Stage(
    name="sft",
    needs=("trajectories",),
    sections=("sft", "models"),
    execute=execute_sft,
    check=_find_sft_problems,
    estimate_cost=_estimate_sft_cost,
    estimate_size=_estimate_size,
)


def _grpo_model_identity(config: PipelineConfig) -> Any:
    """The language model, where it scores rollouts or reads pages for the agents.

    None where it does neither, so that another model does not repeat the stage.
    """
    is_used = config.grpo.expert == "llm" or config.tools.read.extract == "llm"
    return config.llm.identity() if is_used else None


GRPO_STAGE = Stage(
    name="grpo",
    needs=("sft", "questions", "index"),
    sections=("grpo", "agent", "tools", "retrieval", "models", "engine"),
    execute=execute_grpo,
    inputs=_grpo_model_identity,
    check=_find_grpo_problems,
    warn=_warn_of_roles,
    estimate_cost=_estimate_grpo_cost,
    estimate_size=_estimate_size,
)
