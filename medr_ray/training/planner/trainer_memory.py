"""Bytes that a worker of a training stage takes, part by part, by how each backend keeps them.

The parts follow ``training.backends``: what is whole on each worker, what is split over them, in
which number format, and what stands on the host instead of the GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from medr_ray.core.config import TrainerConfig
from medr_ray.core.units import GB
from medr_ray.training.planner.activations import (
    Compute,
    MicroBatchSize,
    count_activations,
    count_layer_bytes,
    count_weight_copies,
)
from medr_ray.training.planner.shapes import ModelShape

_FLOAT32 = 4
_BFLOAT16 = 2
_MOMENTS = 2  # AdamW's, both float32
# As in training.target_scores: targets whose logits exist at a time.
_CHUNK_TOKENS = 256
# CUDA's context, cuBLAS's workspace and NCCL's buffers in a process, as usual; not computed.
_GPU_CONTEXT = 1.5 * GB
# DeepSpeed's defaults, in numbers: gathered weights alive at a time (stage 3,
# ``stage3_max_live_parameters`` and ``stage3_prefetch_bucket_size``), and gradients on their way
# (``reduce_bucket_size``).
_LIVE_PARAMETERS = 1_000_000_000 + 50_000_000
_REDUCE_BUCKET = 500_000_000

Place = Literal["gpu", "host"]


@dataclass(frozen=True)
class Part:
    """``size`` bytes of one worker, in the memory of its GPU or of its host. ``note`` says what
    they are made of."""

    name: str
    size: float
    place: Place = "gpu"
    note: str = ""


@dataclass(frozen=True)
class _States:
    """Parameters that are trained and not, and over how many workers each kind is split."""

    trained: int
    frozen: int
    weight_shards: int
    gradient_shards: int
    optimiser_shards: int


def list_trainer_parts(
    shape: ModelShape, trainer: TrainerConfig, batches: list[MicroBatchSize], is_float32: bool
) -> list[Part]:
    """The parts of one worker; on a CPU all of them are on the host.

    ``batches`` are micro-batches that may come: the parts are those of the largest.
    ``is_float32``: matrices are multiplied in float32, as on processors without bfloat16.
    """
    compute = _select_compute(trainer, is_float32)
    parts = [
        *_list_state_parts(shape, trainer, compute),
        *_list_gather_parts(shape, trainer),
        *_list_activation_parts(shape, trainer, batches, compute),
    ]
    if not trainer.use_gpu:
        return [Part(part.name, part.size, "host", part.note) for part in parts]
    parts.append(Part("CUDA context", _GPU_CONTEXT, note="with NCCL's buffers; assumed"))
    return parts


def sum_parts(parts: list[Part], place: Place) -> float:
    return sum(part.size for part in parts if part.place == place)


def count_trained_parameters(shape: ModelShape, trainer: TrainerConfig) -> int:
    """Parameters that the optimiser steps on: all, or those of the adapters."""
    if trainer.lora is None:
        return shape.parameters
    return shape.count_adapter_parameters(trainer.lora.rank)


def is_split(trainer: TrainerConfig) -> bool:
    """Whether the workers share the float32 weights and the optimiser's state."""
    return trainer.backend == "fsdp2" or (trainer.backend == "deepspeed" and trainer.zero_stage > 0)


def _select_compute(trainer: TrainerConfig, is_float32: bool) -> Compute:
    if is_float32:
        return "float32"
    # Split weights are gathered in bfloat16, and those of LoRA are kept in it.
    return "bfloat16" if is_split(trainer) or trainer.lora is not None else "autocast"


def _count_states(shape: ModelShape, trainer: TrainerConfig) -> _States:
    trained = count_trained_parameters(shape, trainer)
    frozen = 0 if trainer.lora is None else shape.parameters
    workers = trainer.workers
    if trainer.backend == "fsdp2":
        return _States(trained, frozen, workers, workers, workers)
    stage = trainer.zero_stage if trainer.backend == "deepspeed" else 0
    return _States(
        trained,
        frozen,
        weight_shards=workers if stage == 3 else 1,
        gradient_shards=workers if stage >= 2 else 1,
        optimiser_shards=workers if stage >= 1 else 1,
    )


def _list_state_parts(
    shape: ModelShape, trainer: TrainerConfig, compute: Compute
) -> Iterator[Part]:
    """Weights, their float32 masters, gradients and the optimiser's moments."""
    states = _count_states(shape, trainer)
    offloads = trainer.offload and trainer.use_gpu
    state_place: Place = "host" if offloads else "gpu"
    is_zero = trainer.backend == "deepspeed" and trainer.zero_stage > 0
    number = _FLOAT32 if compute == "float32" else _BFLOAT16
    weight_place = state_place if trainer.backend == "fsdp2" else "gpu"
    if is_zero:
        # A copy in the format of the matrix products, beside the masters.
        size = number * (states.trained + states.frozen) / states.weight_shards
        yield Part("weights", size, note=f"bf16, 1/{states.weight_shards} of them")
    else:
        size = number * states.frozen / states.weight_shards
        size += 0 if is_zero else _FLOAT32 * states.trained / states.weight_shards
        note = "bf16, adapters fp32" if states.frozen else "fp32"
        yield Part("weights", size, weight_place, f"{note}, 1/{states.weight_shards} of them")
    if is_zero:
        size = _FLOAT32 * states.trained / states.optimiser_shards
        yield Part("masters", size, state_place, f"fp32, 1/{states.optimiser_shards}")
    size = _MOMENTS * _FLOAT32 * states.trained / states.optimiser_shards
    yield Part("optimiser", size, state_place, f"two moments, fp32, 1/{states.optimiser_shards}")
    size = _FLOAT32 * states.trained / states.gradient_shards
    gradient_place = state_place if trainer.backend == "fsdp2" else "gpu"
    yield Part("gradients", size, gradient_place, f"fp32, 1/{states.gradient_shards} of them")


def _list_gather_parts(shape: ModelShape, trainer: TrainerConfig) -> Iterator[Part]:
    """Whole weights and gradients that exist for a moment where they are split."""
    if not is_split(trainer):
        return
    is_trained = trainer.lora is None
    tables = shape.vocabulary_parameters * (1 if shape.is_tied else 2)
    if trainer.backend == "fsdp2":
        # The layer at work and the next, and both tables from the forward to the end of the
        # backward pass. Gathered on a worker alone they are a copy in another format.
        whole = 2 * shape.layer_parameters + tables
        yield Part("gathered weights", _BFLOAT16 * whole, note="two layers and both tables, bf16")
        if is_trained:
            # In bf16 as they come, and in float32 as they are summed over the workers.
            size = (_BFLOAT16 + _FLOAT32) * 2 * shape.layer_parameters
            # The head's gradient waits for the embedding's until the end of the pass.
            size += _BFLOAT16 * shape.vocabulary_parameters
            yield Part("gathered gradients", size, note="two layers in bf16 and fp32, the head's")
        return
    if trainer.zero_stage == 3:
        whole = min(shape.parameters, _LIVE_PARAMETERS + shape.vocabulary_parameters)
        yield Part("gathered weights", _BFLOAT16 * whole, note="DeepSpeed's limit of 1.05e9")
    if is_trained:
        size = _FLOAT32 * 2 * min(shape.parameters, _REDUCE_BUCKET)
        yield Part("gathered gradients", size, note="two buckets of 5e8, fp32")


def _list_activation_parts(
    shape: ModelShape, trainer: TrainerConfig, batches: list[MicroBatchSize], compute: Compute
) -> Iterator[Part]:
    """What the largest of the micro-batches takes beside the states, and the optimiser's step."""
    has_checkpoints = trainer.activation_checkpointing
    counted = [
        count_activations(shape, batch, compute, has_checkpoints, _CHUNK_TOKENS)
        for batch in batches
    ]
    head = 0
    if trainer.lora is None:
        # The gradient of the output layer is summed over the chunks in float32, beside the newest.
        head = (_FLOAT32 + _BFLOAT16) * shape.vocabulary_parameters
    copies = count_weight_copies(shape, compute)
    if has_checkpoints:
        copies //= shape.layers  # those of the layer at work
    largest = max(counted, key=lambda size: size.kept + max(size.working, size.logits + head))
    batch = batches[counted.index(largest)]
    sequences = f"{batch.rows} x {batch.length:,} tokens"
    if has_checkpoints:
        kept_note = f"{sequences}, the input of each layer"
    else:
        kept_note = f"{sequences}, {count_layer_bytes(shape, batch, compute):,} bytes a layer"
    if copies:
        yield Part("autocast copies", copies, note="bf16, of the weights in use")
    yield Part("activations", largest.kept, note=kept_note)
    states = _count_states(shape, trainer)
    # AdamW computes the root of all second moments at once; activations are free by then.
    step = _FLOAT32 * states.trained / states.optimiser_shards - largest.kept
    if trainer.offload and trainer.use_gpu:
        step = 0
    moments = {
        "a layer": float(largest.working),
        "logits": float(largest.logits + head),
        "the step": step,
    }
    name = max(moments, key=lambda key: moments[key])
    note = {
        "a layer": "its activations and their gradients",
        "logits": f"{_CHUNK_TOKENS} targets at a time, and the gradient of the output layer",
        "the step": "roots of the second moments",
    }[name]
    yield Part(f"at work: {name}", moments[name], note=note)
