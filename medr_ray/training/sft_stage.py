"""The SFT stage: the dialogues that its workers learn from, and the model that comes out.

Heavy imports (torch, Ray, transformers) are inside the functions: every command imports the list of
stages.
"""

from collections.abc import Iterator

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.training.artifacts import SFT_EXAMPLES, SFT_METRICS
from medr_ray.training.metrics_log import MetricsLog
from medr_ray.training.ray_train import load_tokenizer, run_training
from medr_ray.training.requirements import estimate_training_size, find_trainer_problems
from medr_ray.trajectories.artifacts import TRAJECTORIES


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
            tracking=config.tracking,
            run_name=config.run.name,
            trust_remote_code=config.models.trust_remote_code,
        )

    history = run_training(
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


def _write_examples(context: StageContext) -> tuple[int, int]:
    """Write ``examples.parquet`` (trajectory_id, ids, mask); returns (examples, padding id)."""
    import pyarrow as pa

    from medr_ray.engines.weights import model_path
    from medr_ray.trajectories.dataset import DialogueEncoder, build_training_examples, read_copies

    config = context.config
    judged = context.run.read(TRAJECTORIES)
    tokenizer = load_tokenizer(
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


def _find_sft_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from find_trainer_problems("sft", config.sft, config)


def _estimate_sft_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    return StageCost("trained weights")


SFT_STAGE = Stage(
    name="sft",
    needs=("trajectories",),
    sections=("sft", "models"),
    execute=execute_sft,
    check=_find_sft_problems,
    estimate_cost=_estimate_sft_cost,
    estimate_size=estimate_training_size,
)
