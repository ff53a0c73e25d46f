"""Bytes of an engine that rollouts are sampled from: its weights, and the keys and values of the
dialogues that run together."""

from collections.abc import Iterator

from medr_ray.core.config import EngineConfig
from medr_ray.core.units import GB
from medr_ray.training.planner.shapes import ModelShape
from medr_ray.training.planner.trainer_memory import Part, Place

_FLOAT32 = 4
_BFLOAT16 = 2
# What vLLM takes beside weights and cache on each GPU: CUDA's context, its graphs and the
# activations of a batch of prompts; a usual figure, not computed.
_VLLM_WORKING = 5 * GB
_TRANSFORMERS_WORKING = 2 * GB
# Share of a GPU's memory that a vLLM engine takes of what engine.gpu_share gives it: as in
# engines.vllm, whose libraries are not imported here.
VLLM_SHARE = 0.9


def count_cache_bytes(shape: ModelShape, tokens: int, is_float32: bool = False) -> int:
    """Keys and values of ``tokens`` tokens over all layers."""
    number = _FLOAT32 if is_float32 else _BFLOAT16
    return 2 * shape.layers * shape.key_width * number * tokens


def list_engine_parts(
    shape: ModelShape, engine: EngineConfig, longest: int, is_on_gpu: bool, is_float32: bool
) -> Iterator[Part]:
    """The parts of an engine on each of its GPUs, or on its host. ``longest``: tokens of the
    longest dialogue.

    The transformers engine has a row of the longest dialogue for every sequence of its batch; vLLM
    has pages, of which it needs one dialogue at least.
    """
    place: Place = "gpu" if is_on_gpu else "host"
    number = _FLOAT32 if is_float32 else _BFLOAT16
    width = engine.tensor_parallel
    size = number * shape.parameters / width
    yield Part("weights", size, place, f"{'fp32' if is_float32 else 'bf16'}, 1/{width} of them")
    if engine.backend == "vllm":
        cache = count_cache_bytes(shape, longest) / width
        yield Part("key-value cache", cache, place, f"one dialogue of {longest:,} tokens")
        yield Part("working memory", _VLLM_WORKING, place, "assumed")
        return
    cache = count_cache_bytes(shape, longest * engine.max_batch, is_float32)
    rows = f"engine.max_batch {engine.max_batch} x {longest:,} tokens"
    yield Part("key-value cache", cache, place, rows)
    if is_on_gpu:
        yield Part("working memory", _TRANSFORMERS_WORKING, place, "assumed")


def count_dialogues(shape: ModelShape, engine: EngineConfig, tokens: int, gpu_memory: float) -> int:
    """How many dialogues of ``tokens`` tokens vLLM holds at a time, in the memory that its weights
    leave on its GPUs of ``gpu_memory`` bytes."""
    width = engine.tensor_parallel
    weights = _BFLOAT16 * shape.parameters / width
    room = count_vllm_bytes(engine, gpu_memory) - weights - _VLLM_WORKING
    return max(0, int(room * width / count_cache_bytes(shape, tokens)))


def count_vllm_bytes(engine: EngineConfig, gpu_memory: float) -> float:
    """What vLLM takes of a GPU, used or not."""
    return gpu_memory * VLLM_SHARE * min(engine.gpu_share, 1.0)
