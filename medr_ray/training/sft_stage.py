"""The SFT stage: the dialogues that its workers learn from, and the model that comes out.

Heavy imports (torch, Ray, transformers) are inside the functions: every command imports the list of
stages.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.training.artifacts import SFT_METRICS
from medr_ray.training.metric_rows import MetricRow
from medr_ray.training.metrics_log import MetricsLog
from medr_ray.training.ray_train import run_training
from medr_ray.training.requirements import (
    estimate_training_size,
    find_trainer_problems,
    warn_of_training,
)

_EXAMPLES_FORMAT = 2  # of examples.parquet; 2: dialogue_id, weight, is_evaluation


def execute_sft(context: StageContext) -> Counts:
    """Fine-tune ``models.policy`` on ``sft.data`` or the accepted trajectories; writes ``model/``,
    ``metrics.jsonl`` and ``rejected.jsonl``."""
    from medr_ray.engines.turn_format import write_stop_ids
    from medr_ray.engines.weights import model_path
    from medr_ray.training.batches import plan_steps
    from medr_ray.training.sft import SFTJob, sft_worker
    from medr_ray.training.sft_data import write_examples
    from medr_ray.trajectories.dataset import DialogueEncoder

    config = context.config
    sft = config.sft
    seed = config.run.seed
    model_dir = model_path(config.models.policy)
    encoder = DialogueEncoder.open(config)
    data_counts = write_examples(config, context.run, context.directory, encoder)
    count = data_counts["examples"]
    _print_intake(context, data_counts)
    # The same plan as the workers', for the length of the progress bar.
    steps = plan_steps(count, sft.batch_size, sft.epochs, seed, sft.max_steps)
    output = context.directory.local / "model"

    def make_job(log: MetricsLog) -> SFTJob:
        return SFTJob(
            config=sft,
            seed=seed,
            model_dir=str(model_dir),
            directory_uri=context.directory.uri,
            output=str(output),
            pad_id=encoder.pad_id,
            log=log,
            tracking=config.tracking,
            run_name=config.run.name,
            trust_remote_code=config.models.trust_remote_code,
        )

    history = run_training(
        context, "sft", sft, sft_worker, make_job, len(steps), "steps", SFT_METRICS
    )
    # Whoever serves the model elsewhere must stop where it was taught to.
    write_stop_ids(output, encoder.stop_ids)
    # The loss of a step that was skipped may be null.
    losses = [row["loss"] for row in history if row["loss"] is not None]
    counts = {
        **data_counts,
        "steps": len(history),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "tokens": sum(row["tokens"] for row in history),
        **_describe_evaluation(history),
    }
    context.console.print(
        f"sft: {counts['steps']} steps over {count} dialogues, loss {counts['loss_first']:.3f} -> "
        f"{counts['loss_last']:.3f}"
    )
    return counts


def _print_intake(context: StageContext, counts: Mapping[str, int]) -> None:
    """What was not learnt from, where anything was not."""
    parts = {
        "held out": counts["evaluation_examples"],
        f"longer than {context.config.sft.max_tokens:,} tokens": counts["too_long"],
        "not readable as dialogues": counts["bad_rows"],
    }
    described = [f"{count:,} {what}" for what, count in parts.items() if count]
    if described:
        context.console.print(
            f"sft: of {counts['rows']:,} rows {', '.join(described)} (sft/rejected.jsonl)",
            highlight=False,
        )


def _describe_evaluation(history: Sequence[MetricRow]) -> dict[str, Any]:
    """The evaluation loss after the first and the best evaluated step; nothing without one."""
    evaluated = [row for row in history if row.get("evaluation_loss") is not None]
    if not evaluated:
        return {}
    best = min(evaluated, key=lambda row: float(row["evaluation_loss"]))
    return {
        "evaluation_loss_first": evaluated[0]["evaluation_loss"],
        "evaluation_loss_best": best["evaluation_loss"],
        "best_step": best["step"],
    }


def _list_sft_inputs(config: PipelineConfig) -> Any:
    """The format of the examples, and with ``sft.data`` its content and how its tools are worded
    (the run's own trajectories have fingerprints of their own)."""
    if config.sft.data is None:
        return [_EXAMPLES_FORMAT]
    # Imported here, because the room is slow to import.
    from medr_ray.knowledge.vocabulary_reading import file_digest

    return [_EXAMPLES_FORMAT, file_digest(config.sft.data), config.agent.prompt]


def _list_skipped_stages(config: PipelineConfig) -> tuple[str, ...]:
    return () if config.sft.data is None else ("trajectories",)


def _find_sft_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from find_trainer_problems("sft", config.sft, config)


def _warn_of_sft(config: PipelineConfig) -> Iterator[str]:
    yield from warn_of_training("sft", config)


def _estimate_sft_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    return StageCost("trained weights")


SFT_STAGE = Stage(
    name="sft",
    needs=("trajectories",),
    skips=_list_skipped_stages,
    sections=("sft", "models"),
    inputs=_list_sft_inputs,
    execute=execute_sft,
    check=_find_sft_problems,
    warn=_warn_of_sft,
    estimate_cost=_estimate_sft_cost,
    estimate_size=partial(estimate_training_size, "sft"),
)
