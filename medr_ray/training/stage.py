"""The SFT and GRPO stages: what the workers are given, the Ray Train run, and the model that comes
out."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import PipelineConfig, TrainerConfig
from medr_ray.core.progress import Bar
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.artifacts import GRPO_METRICS, SFT_EXAMPLES, SFT_METRICS
from medr_ray.trajectories.artifacts import TRAJECTORIES

_POLL_SECONDS = 1.0


def execute_sft(context: StageContext) -> Counts:
    """Fine-tune ``models.policy`` on the accepted trajectories; writes ``model/`` and
    ``metrics.jsonl``."""
    from medr_ray.core.errors import DataError
    from medr_ray.engines.weights import model_path
    from medr_ray.training.batches import plan_steps
    from medr_ray.training.sft import SFTJob, sft_worker

    config, local = context.config, context.directory.local
    model_dir = model_path(config.models.policy)
    count, pad_id = _write_examples(context)
    if not count:
        raise DataError(
            "no accepted trajectory fits sft.max_tokens: look at trajectories/rejected.jsonl"
        )

    planned = len(
        plan_steps(
            count,
            config.sft.batch_size * config.sft.workers,
            config.sft.epochs,
            config.run.seed,
            config.sft.max_steps,
        )
    )

    def job(log: Any) -> SFTJob:
        return SFTJob(
            config.sft,
            config.run.seed,
            str(model_dir),
            context.directory.uri,
            str(local / "model"),
            pad_id,
            log,
            config.models.trust_remote_code,
        )

    history = _run_training(
        context, "sft", config.sft, sft_worker, job, planned, "steps", SFT_METRICS
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
    from medr_ray.training.grpo import GRPOJob, grpo_worker

    config, local = context.config, context.directory.local
    questions = context.run.read(QUESTIONS)
    train = tuple(question for question in questions if question.split == "train")
    model_dir = context.upstream("sft").local / "model"
    pad_id = _load_tokenizer(str(model_dir), config.models.trust_remote_code).eos_token_id

    def job(log: Any) -> GRPOJob:
        return GRPOJob(
            config,
            train,
            str(model_dir),
            context.upstream("index").uri,
            context.directory.uri,
            str(local / "model"),
            pad_id,
            log,
        )

    history = _run_training(
        context, "grpo", config.grpo, grpo_worker, job, config.grpo.updates, "updates", GRPO_METRICS
    )
    first, last = history[:3], history[-3:]
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
        f"grpo: {counts['updates']} updates, {counts['rollouts']} rollouts, exact "
        f"match of the rollouts "
        f"{counts['exact_match_first']:.0%} -> {counts['exact_match_last']:.0%} (first "
        f"and last 3 updates)"
    )
    return counts


def _mean_of_column(rows: list[dict[str, Any]], key: str) -> float:
    values = [row[key] for row in rows if row[key] is not None]
    return round(sum(values) / max(len(values), 1), 4)


def _load_tokenizer(model_dir: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_dir, trust_remote_code=trust_remote_code)


def _write_examples(context: StageContext) -> tuple[int, int]:
    """``examples.parquet`` (trajectory_id, ids, mask); its length and the padding id."""
    import pyarrow as pa

    from medr_ray.engines.weights import model_path
    from medr_ray.trajectories.dataset import DialogueEncoder, read_copies, training_examples

    config = context.config
    judged = context.run.read(TRAJECTORIES)
    tokenizer = _load_tokenizer(
        str(model_path(config.models.policy)), config.models.trust_remote_code
    )
    examples = training_examples(
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
    return len(examples), tokenizer.eos_token_id


def _run_training(
    context: StageContext,
    name: str,
    config: TrainerConfig,
    worker: Callable[[dict[str, Any]], None],
    make_job: Callable[[Any], Any],
    total: int,
    unit: str,
    metrics: StageFile,
) -> list[dict[str, Any]]:
    """Run Ray Train to its end (resuming under the same name) and return the metric history that
    rank 0 wrote."""
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from medr_ray.training.workers import TrainingLog

    local: Path = context.directory.local
    shutil.rmtree(local / "model", ignore_errors=True)
    log = ray.remote(TrainingLog).options(num_cpus=0).remote()
    trainer = TorchTrainer(
        worker,
        train_loop_config={"job": make_job(log)},
        scaling_config=ScalingConfig(
            num_workers=config.workers,
            use_gpu=config.use_gpu,
            resources_per_worker={"CPU": config.cpus_per_worker}
            | ({"GPU": config.gpus_per_worker} if config.use_gpu else {}),
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(local),
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    with Bar(context.console, name, total, unit) as bar:
        _fit_with_progress(trainer, log, bar)
    # Optimiser state: gigabytes nobody needs once it is done.
    shutil.rmtree(local / "train", ignore_errors=True)
    return [json.loads(line) for line in context.directory.read_bytes(metrics.name).splitlines()]


def _fit_with_progress(trainer: Any, log: Any, bar: Bar) -> None:
    """``trainer.fit()`` with a progress bar fed from the workers' log."""
    import ray

    failure: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    seen = 0
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        rows = ray.get(log.rows.remote(seen))
        for row in rows:
            if not seen:
                bar.resume(row["number"] - 1)  # a resumed run starts behind its checkpoint
            seen += 1
            bar.advance(note=_describe_row(row))
    if failure:
        raise failure[0]


def _describe_row(row: dict[str, Any]) -> str:
    if "reward_mean" in row:
        return (
            f"reward {row['reward_mean']}, exact match {row['exact_match']}, loss {row['loss']:.4f}"
        )
    return f"loss {row['loss']:.3f}"


SFT_STAGE = Stage(
    name="sft", needs=("trajectories",), sections=("sft", "models"), execute=execute_sft
)


def _grpo_model_identity(config: PipelineConfig) -> Any:
    """The model, where it scores rollouts or reads pages for the agents."""
    model_used = config.grpo.expert == "llm" or config.tools.read.extract == "llm"
    return config.llm.identity() if model_used else None


GRPO_STAGE = Stage(
    name="grpo",
    needs=("sft", "questions", "index"),
    sections=("grpo", "agent", "tools", "retrieval", "models", "engine"),
    execute=execute_grpo,
    inputs=_grpo_model_identity,
)
