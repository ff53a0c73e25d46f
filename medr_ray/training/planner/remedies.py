"""Which settings make a training stage fit: the mildest change that does, tried in order."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from medr_ray.core.config import LoraConfig, PipelineConfig
from medr_ray.training.planner.holders import HolderKind, StageName, get_trainer

_MAX_WORKERS = 64  # beyond which more GPUs are not proposed
_MAX_TENSOR_PARALLEL = 8  # as many GPUs as a host commonly has
_SHORTEST = 256  # tokens, below which a shorter context is not proposed
_LORA_RANK = 16
_SHARES = (0.8, 0.6, 0.5, 0.4, 0.3)  # of a GPU, for an engine beside a trainer
# The setting of the longest dialogue.
LENGTH_SETTINGS = {"sft": "sft.max_tokens", "grpo": "agent.max_tokens"}

# Values by the dotted name of their setting.
Changes = dict[str, Any]


def find_remedy(
    stage: StageName,
    config: PipelineConfig,
    kind: HolderKind,
    is_mended: Callable[[PipelineConfig], bool],
) -> str:
    """Settings, each with the value to set, with which what is short holds all that is on it.

    What costs nothing but time comes first, then more GPUs and offloading, then training an adapter
    instead of the whole model, then shorter dialogues. ``is_mended`` is asked for changed
    configurations.
    """
    strongest: Changes = {}
    for changes in _list_changes(stage, config, kind):
        if is_mended(apply_changes(config, changes)):
            return _format_changes(changes)
        strongest = changes
    for changes in ({}, strongest):
        length = _find_longest(stage, apply_changes(config, changes), is_mended)
        if length >= _SHORTEST:
            return _format_changes({LENGTH_SETTINGS[stage]: length, **changes})
    return "take a smaller model (models.policy) or hardware with more memory"


def apply_changes(config: PipelineConfig, changes: Mapping[str, Any]) -> PipelineConfig:
    """The configuration with ``changes``; of names ``section.field``."""
    for name, value in changes.items():
        section, _, field = name.partition(".")
        changed = getattr(config, section).model_copy(update={field: value})
        config = config.model_copy(update={section: changed})
    return config


def _list_changes(stage: StageName, config: PipelineConfig, kind: HolderKind) -> Iterator[Changes]:
    """Changes to try, from the mildest; the last has all that may help."""
    engine_changes: list[Changes] = []
    if stage == "grpo" and kind != "trainer":
        engine_changes = list(_list_engine_changes(config, kind))
    yield from engine_changes
    if kind == "engine":
        return
    for changes in _list_trainer_changes(stage, config):
        yield changes
        # The strongest change of the engine with each of the trainer's.
        yield from ({**last, **changes} for last in engine_changes[-1:])


def _list_trainer_changes(stage: StageName, config: PipelineConfig) -> Iterator[Changes]:
    trainer = get_trainer(config, stage)
    changes: Changes = {}
    if not trainer.activation_checkpointing:
        changes[f"{stage}.activation_checkpointing"] = True
        yield dict(changes)
    if trainer.micro_tokens > 2 * _SHORTEST:
        # Fewer sequences side by side, and a smaller mask.
        yield {**changes, f"{stage}.micro_tokens": trainer.micro_tokens // 2}
    if trainer.use_gpu:
        if trainer.backend == "torch":
            changes[f"{stage}.backend"] = "fsdp2"
            yield dict(changes)
        workers = trainer.workers * 2
        while workers <= _MAX_WORKERS:
            yield {**changes, f"{stage}.workers": workers}
            workers *= 2
        if not trainer.offload:
            yield {**changes, f"{stage}.offload": True}
    if trainer.lora is None:
        changes[f"{stage}.lora"] = LoraConfig(rank=_LORA_RANK)
        yield dict(changes)


def _list_engine_changes(config: PipelineConfig, kind: HolderKind) -> Iterator[Changes]:
    engine = config.engine
    if engine.backend == "transformers":
        batch = engine.max_batch // 2
        while batch >= 1:
            # Its cache is a rectangle of max_batch rows.
            yield {"engine.max_batch": batch}
            batch //= 2
        return
    # vLLM takes its share of a GPU whether it needs it or not.
    if kind == "both":
        for share in _SHARES:
            if share < engine.gpu_share:
                yield {"engine.gpu_share": share}
        return
    if engine.gpu_share < 1:
        yield {"engine.gpu_share": 1}
    width = engine.tensor_parallel * 2
    while width <= _MAX_TENSOR_PARALLEL:
        yield {"engine.tensor_parallel": width}
        width *= 2


def _find_longest(
    stage: StageName, config: PipelineConfig, is_mended: Callable[[PipelineConfig], bool]
) -> int:
    """The longest dialogue that fits, in steps of 256 tokens; 0 where none does."""
    name = LENGTH_SETTINGS[stage]
    section, _, field = name.partition(".")
    shortest, longest = 0, getattr(getattr(config, section), field) // _SHORTEST
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if is_mended(apply_changes(config, {name: middle * _SHORTEST})):
            shortest = middle
        else:
            longest = middle - 1
    return shortest * _SHORTEST


def _format_changes(changes: Changes) -> str:
    pairs = [f"{name}: {_format_value(value)}" for name, value in changes.items()]
    return "set " + ", ".join(pairs)


def _format_value(value: Any) -> str:
    if isinstance(value, LoraConfig):
        return f"{{rank: {value.rank}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)
