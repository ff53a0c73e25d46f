"""The plan of a training stage: what it takes, held against what there is.

A plan is computed from the configuration and the model's shape. It says what does not fit, and
which settings to change to which values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import RunDirectory
from medr_ray.core.units import GB
from medr_ray.training.planner.duration import (
    FLOPS_SHARE,
    Work,
    count_flops,
    estimate_grpo_work,
    estimate_learning_hours,
    estimate_sft_work,
)
from medr_ray.training.planner.engine_memory import count_dialogues
from medr_ray.training.planner.holders import (
    Holder,
    StageName,
    count_exported_number,
    count_gpus,
    engines_use_gpus,
    get_longest_dialogue,
    get_trainer,
    list_holders,
)
from medr_ray.training.planner.hosts import Hardware, find_hardware
from medr_ray.training.planner.micro_batch_sizes import SHARED_SHARE, has_trees
from medr_ray.training.planner.remedies import LENGTH_SETTINGS, apply_changes, find_remedy
from medr_ray.training.planner.shapes import ModelShape, find_shape
from medr_ray.training.planner.trainer_memory import count_trained_parameters, is_split

_FLOAT32 = 4
_MOMENTS = 2
# Checkpoints on the disk at the same time: two are kept, and a third is being written.
_CHECKPOINTS = 3


@dataclass(frozen=True)
class DiskBytes:
    """What a stage writes: the ``checkpoints`` that exist together, which go when it is done, and
    the trained ``model``. ``note`` says what they are."""

    checkpoints: int
    model: int
    note: str


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of one stage.

    ``gpus`` must be there at the same time; ``disk`` is in bytes. ``hours`` are null where nothing
    says how fast the hardware is. ``longest_context`` is the longest dialogue that fits with the
    other settings as they are, in tokens, and ``longest_planned`` the one that is configured.
    ``problems`` name what does not fit, each with what to change; ``warnings`` what is hardly
    meant.
    """

    stage: StageName
    shape: ModelShape
    trained_parameters: int
    holders: tuple[Holder, ...]
    gpus: float
    gpus_note: str
    disk: float
    disk_note: str
    work: Work
    hours: float | None
    hours_note: str
    longest_context: int
    longest_planned: int
    assumptions: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_training(
    stage: StageName,
    config: PipelineConfig,
    run: RunDirectory,
    gpu: str | None = None,
    model_config: Path | None = None,
) -> TrainingPlan:
    """The plan of ``stage``. ``gpu`` is a type of GPU (default: ``ray.gpu``, or this machine's),
    ``model_config`` a ``config.json`` in place of the one in ``models.policy``.

    Raises MedrError for a model whose shape is not known.
    """
    shape = find_shape(config.models.policy, model_config)
    hardware = find_hardware(config, gpu)
    work = estimate_work(stage, config, run)
    hours, hours_note = _estimate_hours(stage, config, shape, hardware, work)
    gpus, gpus_note = count_gpus(config, stage)
    disk = count_disk_bytes(stage, config, shape, work.steps)
    holders = tuple(list_holders(stage, config, shape, hardware))
    return TrainingPlan(
        stage=stage,
        shape=shape,
        trained_parameters=count_trained_parameters(shape, get_trainer(config, stage)),
        holders=holders,
        gpus=gpus,
        gpus_note=gpus_note,
        disk=disk.checkpoints + disk.model,
        disk_note=disk.note,
        work=work,
        hours=hours,
        hours_note=hours_note,
        longest_context=_find_longest_context(stage, config, shape, hardware),
        longest_planned=get_longest_dialogue(config, stage),
        assumptions=tuple(_list_assumptions(stage, config, shape, hardware)),
        problems=tuple(_find_problems(stage, config, shape, hardware, holders)),
        warnings=tuple(_find_warnings(stage, config, shape)),
    )


def find_plan_problems(stage: StageName, config: PipelineConfig) -> list[str]:
    """What does not fit, as ``TrainingPlan.problems``, without the rest of a plan.

    Raises MedrError for a model whose shape is not known.
    """
    shape = find_shape(config.models.policy)
    hardware = find_hardware(config)
    holders = tuple(list_holders(stage, config, shape, hardware))
    return list(_find_problems(stage, config, shape, hardware, holders))


def find_plan_warnings(stage: StageName, config: PipelineConfig) -> list[str]:
    """As ``TrainingPlan.warnings``; that there is no plan, for a model whose shape is not known."""
    try:
        return list(_find_warnings(stage, config, find_shape(config.models.policy)))
    except MedrError as error:
        return [f"its memory is not planned: {error}"]


def estimate_work(stage: StageName, config: PipelineConfig, run: RunDirectory) -> Work:
    return (estimate_sft_work if stage == "sft" else estimate_grpo_work)(config, run)


def count_disk_bytes(
    stage: StageName, config: PipelineConfig, shape: ModelShape, steps: int
) -> DiskBytes:
    trainer = get_trainer(config, stage)
    trained = count_trained_parameters(shape, trainer)
    every = config.sft.checkpoint_every if stage == "sft" else config.grpo.checkpoint_every
    # None follows the last step.
    checkpoints = min(_CHECKPOINTS, max(0, steps - 1) // every)
    checkpoint = _FLOAT32 * (1 + _MOMENTS) * trained
    model = count_exported_number(trainer) * shape.parameters
    note = f"{checkpoints} checkpoints of {checkpoint / GB:,.1f} GB, and the trained model"
    return DiskBytes(checkpoints * checkpoint, model, note)


def _set_longest(stage: StageName, config: PipelineConfig, tokens: int) -> PipelineConfig:
    return apply_changes(config, {LENGTH_SETTINGS[stage]: tokens})


def _find_longest_context(
    stage: StageName, config: PipelineConfig, shape: ModelShape, hardware: Hardware
) -> int:
    """The longest dialogue that fits, by halving, up to what the model was made for; 0 where none
    does."""
    shortest, longest = 0, shape.context
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        changed = _set_longest(stage, config, middle)
        if any(holder.is_short for holder in list_holders(stage, changed, shape, hardware)):
            longest = middle - 1
        else:
            shortest = middle
    return shortest


# --- what does not fit ----------------------------------------------------------------


def _find_problems(
    stage: StageName,
    config: PipelineConfig,
    shape: ModelShape,
    hardware: Hardware,
    holders: Sequence[Holder],
) -> Iterator[str]:
    for holder in holders:
        if holder.capacity is None or not holder.is_short:
            continue
        is_mended = partial(_is_mended, stage, shape, hardware, holder.name)
        largest = max(holder.parts, key=lambda part: part.size)
        yield (
            f"a {holder.name} would hold {holder.size / GB:,.1f} GB of "
            f"{holder.capacity / GB:,.1f} ({holder.source}), most of it {largest.name} "
            f"({largest.size / GB:,.1f} GB): {find_remedy(stage, config, holder.kind, is_mended)}; "
            "`medr train plan` shows all parts"
        )


def _find_warnings(stage: StageName, config: PipelineConfig, shape: ModelShape) -> Iterator[str]:
    longest = get_longest_dialogue(config, stage)
    if longest > shape.context:
        yield (
            f"{LENGTH_SETTINGS[stage]} is {longest:,}, and the model was made for "
            f"{shape.context:,} tokens (max_position_embeddings): set it to {shape.context} or "
            "less, or take another model"
        )


def _is_mended(
    stage: StageName,
    shape: ModelShape,
    hardware: Hardware,
    name: str,
    changed: PipelineConfig,
) -> bool:
    """Whether what is called ``name`` holds all that is on it in the ``changed`` configuration."""
    holders = list_holders(stage, changed, shape, hardware)
    return not any(holder.is_short for holder in holders if holder.name == name)


# --- time -----------------------------------------------------------------------------


def _estimate_hours(
    stage: StageName,
    config: PipelineConfig,
    shape: ModelShape,
    hardware: Hardware,
    work: Work,
) -> tuple[float | None, str]:
    """(hours of learning, what they assume)."""
    trainer = get_trainer(config, stage)
    if not trainer.use_gpu:
        return None, "not estimated on CPUs"
    gpu = hardware.gpu
    if gpu is None or not gpu.flops:
        return None, "not estimated: the speed of the GPU is not known"
    # A backward pass counts twice; an adapter needs no gradient of the other weights.
    passes = 2.0 if trainer.lora else 3.0
    if trainer.activation_checkpointing:
        passes += 1
    flops = count_flops(shape, work.tokens, work.tokens / work.sequences, passes)
    hours = estimate_learning_hours(flops, gpu, trainer.workers)
    speed = f"{FLOPS_SHARE:.0%} of {gpu.flops / 1e12:,.0f} TFLOP/s"
    without = "" if stage == "sft" else ", rollouts and sync left out"
    return hours, f"learning at {speed}{without}"


def _list_assumptions(
    stage: StageName,
    config: PipelineConfig,
    shape: ModelShape,
    hardware: Hardware,
) -> Iterator[str]:
    trainer = get_trainer(config, stage)
    gpu = hardware.gpu
    if trainer.use_gpu and gpu is not None:
        yield f"a GPU is {gpu.name}: {gpu.memory / GB:,.0f} GB ({gpu.source})"
    elif trainer.use_gpu:
        yield "no type of GPU is named (ray.gpu or --gpu): its memory is held against nothing"
    elif trainer.dtype != "bfloat16":
        yield "products in float32; a processor that multiplies in bfloat16 takes less"
    yield "half of a dialogue's tokens are targets; attention is SDPA's, without a mask for one row"
    if not trainer.use_gpu and has_trees(trainer):
        yield f"sequences of a prefix tree have {SHARED_SHARE:.0%} of their tokens in common"
    if trainer.lora is not None:
        yield "an adapter's activations are counted as the whole model's, which are somewhat more"
    if is_split(trainer):
        yield "weights, gradients and moments are split evenly over the workers"
    if stage == "grpo" and config.engine.backend == "vllm" and gpu and engines_use_gpus(config):
        longest = get_longest_dialogue(config, stage)
        count = count_dialogues(shape, config.engine, longest, gpu.memory)
        yield f"each engine's cache holds {count} dialogues of {longest:,} tokens at a time"
