"""Who holds what: the GPUs and hosts of a training stage, with the parts of memory on each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medr_ray.core.config import PipelineConfig, TrainerConfig
from medr_ray.core.units import GB
from medr_ray.training.planner.engine_memory import (
    VLLM_SHARE,
    count_vllm_bytes,
    list_engine_parts,
)
from medr_ray.training.planner.hosts import Hardware
from medr_ray.training.planner.micro_batch_sizes import list_largest_batches
from medr_ray.training.planner.shapes import ModelShape
from medr_ray.training.planner.trainer_memory import Part, Place, list_trainer_parts

StageName = Literal["sft", "grpo"]
# Whose settings decide what a holder holds.
HolderKind = Literal["trainer", "engine", "both", "host"]

_FLOAT32 = 4
_BFLOAT16 = 2
# Memory of a process beside what is computed: Python, torch, transformers, Ray, buffers.
_PROCESS = 1.0 * GB
# Buckets in which whole weights leave the trainers, as training.export packs them.
_BUCKETS = 2
_BUCKET_BYTES = 2**30
# What an engine that sleeps keeps on its GPU: weights and cache are gone.
_ASLEEP = 1.5 * GB
# What a trainer keeps on its GPU while the engines on it sample.
_LASTING_PARTS = ("weights", "masters", "optimiser", "CUDA context")


@dataclass(frozen=True)
class Holder:
    """A GPU or a host, ``count`` of them alike. ``capacity`` in bytes is null where nothing says
    it; ``source`` says where it is from."""

    name: str
    kind: HolderKind
    count: int
    parts: tuple[Part, ...]
    capacity: float | None
    source: str

    @property
    def size(self) -> float:
        return sum(part.size for part in self.parts)

    @property
    def is_short(self) -> bool:
        return self.capacity is not None and self.size > self.capacity


def get_trainer(config: PipelineConfig, stage: StageName) -> TrainerConfig:
    return config.sft if stage == "sft" else config.grpo


def get_longest_dialogue(config: PipelineConfig, stage: StageName) -> int:
    """Tokens of the longest sequence that the stage learns from."""
    return config.sft.max_tokens if stage == "sft" else config.agent.max_tokens


def engines_use_gpus(config: PipelineConfig) -> bool:
    """Whether the engines of GRPO run on GPUs: they take them where trainers show that there are
    some."""
    return config.engine.device == "cuda" or (config.grpo.use_gpu and config.engine.device != "cpu")


def count_gpus(config: PipelineConfig, stage: StageName) -> tuple[float, str]:
    """(GPUs that the stage needs at the same time, how they come together)."""
    trainer = get_trainer(config, stage)
    trainers = trainer.workers * trainer.gpus_per_worker if trainer.use_gpu else 0
    text = f"{_count(trainer.workers, 'trainer')} x {trainer.gpus_per_worker:g}"
    if stage == "sft" or not engines_use_gpus(config):
        return trainers, text if trainers else "none"
    engine = config.engine
    if engine.placement == "colocated":
        count = max(trainers, engine.engines * engine.tensor_parallel)
        on_same = f"{_count(engine.engines, 'engine')} x {engine.tensor_parallel}"
        return count, f"{text}, {on_same} on the same cards in turns"
    share = engine.gpu_share * engine.tensor_parallel
    text_of_engines = f"{_count(engine.engines, 'engine')} x {share:g}"
    count = trainers + engine.engines * share
    return count, f"{text} + {text_of_engines}" if trainers else text_of_engines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def list_holders(
    stage: StageName, config: PipelineConfig, shape: ModelShape, hardware: Hardware
) -> Iterator[Holder]:
    """The GPUs of trainers and engines, and the hosts, with all that is on them."""
    trainer = get_trainer(config, stage)
    longest = get_longest_dialogue(config, stage)
    is_float32 = not trainer.use_gpu and trainer.dtype != "bfloat16"
    batches = list_largest_batches(longest, trainer)
    trainer_parts = list_trainer_parts(shape, trainer, batches, is_float32)
    engine_parts: list[Part] = []
    if stage == "grpo":
        engine_parts = _list_parts_of_engines(config, shape, longest)
    gpu = hardware.gpu
    capacity = gpu.memory if gpu else None
    source = gpu.name if gpu else "no type of GPU is named: ray.gpu or --gpu"
    for name, kind, count, parts in _place_on_gpus(
        config, trainer, trainer_parts, engine_parts, capacity
    ):
        yield Holder(name, kind, count, tuple(parts), capacity, source)
    if config.engine.backend == "vllm" and _select_parts(engine_parts, "gpu"):
        yield _describe_vllm_share(config, engine_parts, capacity, source)
    yield _describe_host(stage, config, shape, hardware, trainer_parts, engine_parts)


def _describe_vllm_share(
    config: PipelineConfig, engine_parts: Sequence[Part], capacity: float | None, source: str
) -> Holder:
    """What a vLLM engine needs at least, within what it takes."""
    share = None if capacity is None else count_vllm_bytes(config.engine, capacity)
    count = config.engine.engines * config.engine.tensor_parallel
    note = f"{VLLM_SHARE:.0%} of {source} x engine.gpu_share {config.engine.gpu_share:g}"
    parts = tuple(_select_parts(engine_parts, "gpu"))
    return Holder("GPU's share of an engine", "engine", count, parts, share, note)


def _list_parts_of_engines(config: PipelineConfig, shape: ModelShape, longest: int) -> list[Part]:
    on_gpus = engines_use_gpus(config)
    is_float32 = not on_gpus and config.engine.dtype != "bfloat16"
    return list(list_engine_parts(shape, config.engine, longest, on_gpus, is_float32))


def _place_on_gpus(
    config: PipelineConfig,
    trainer: TrainerConfig,
    trainer_parts: Sequence[Part],
    engine_parts: Sequence[Part],
    capacity: float | None,
) -> Iterator[tuple[str, HolderKind, int, list[Part]]]:
    """(name, kind, number, parts) of the GPUs."""
    on_trainers = _select_parts(trainer_parts, "gpu")
    on_engines = _select_parts(engine_parts, "gpu")
    if on_engines and config.engine.backend == "vllm" and capacity is not None:
        size = count_vllm_bytes(config.engine, capacity)
        on_engines = [Part("vLLM's share", size, note="weights, and the rest for its cache")]
    engine_gpus = config.engine.engines * config.engine.tensor_parallel
    is_split = config.engine.placement == "split"
    shares = trainer.gpus_per_worker + config.engine.gpu_share
    if on_trainers and on_engines and is_split and shares <= 1:
        # At work at the same time, each with its share of a card.
        parts = [*_prefix_parts("trainer", on_trainers), *_prefix_parts("engine", on_engines)]
        yield "GPU of a trainer and an engine", "both", trainer.workers, parts
        return
    if on_trainers:
        parts = list(on_trainers)
        if on_engines and not is_split:
            parts.append(Part("engine asleep", _ASLEEP, note="its CUDA context; assumed"))
        yield "GPU of a trainer", "trainer", trainer.workers, parts
    if on_engines and on_trainers and not is_split:
        lasting = [part for part in on_trainers if part.name in _LASTING_PARTS]
        parts = [*_prefix_parts("engine", on_engines), *_prefix_parts("trainer", lasting)]
        yield "GPU while its engine samples", "both", engine_gpus, parts
    elif on_engines:
        yield "GPU of an engine", "engine", engine_gpus, on_engines


def _select_parts(parts: Sequence[Part], place: Place) -> list[Part]:
    return [part for part in parts if part.place == place]


def _prefix_parts(prefix: str, parts: Sequence[Part], factor: int = 1) -> list[Part]:
    return [replace(part, name=f"{prefix}: {part.name}", size=part.size * factor) for part in parts]


def _describe_host(
    stage: StageName,
    config: PipelineConfig,
    shape: ModelShape,
    hardware: Hardware,
    trainer_parts: Sequence[Part],
    engine_parts: Sequence[Part],
) -> Holder:
    """A host with as many trainers as it has GPUs for; on CPUs with all of them."""
    trainer = get_trainer(config, stage)
    per_host = trainer.workers
    if trainer.use_gpu:
        places = int(config.ray.gpus_per_host / trainer.gpus_per_worker)
        per_host = min(trainer.workers, max(1, places))
    engines = config.engine.engines if stage == "grpo" else 0
    parts = _prefix_parts("trainer", _select_parts(trainer_parts, "host"), per_host)
    parts += _prefix_parts("engine", _select_parts(engine_parts, "host"), engines)
    parts.append(_describe_transfer(trainer, shape, per_host))
    processes = per_host + (config.rollouts.workers + engines if stage == "grpo" else 0)
    note = f"{processes} x {_PROCESS / GB:g} GB, assumed"
    parts.append(Part("processes", processes * _PROCESS, "host", note))
    store = config.ray.object_store_mb * GB / 1000
    parts.append(Part("Ray's object store", store, "host", "ray.object_store_mb"))
    count = -(-trainer.workers // per_host)
    return Holder("host", "host", count, tuple(parts), hardware.host_memory, hardware.host_source)


def count_exported_number(trainer: TrainerConfig) -> int:
    """Bytes of a number of the weights that are saved and sent to engines, as
    ``engines.number_format.select_export_dtype`` says, which is not imported because it loads
    torch."""
    return _BFLOAT16 if trainer.use_gpu else _FLOAT32


def _describe_transfer(trainer: TrainerConfig, shape: ModelShape, per_host: int) -> Part:
    """Whole weights on a host: when training starts, or when they leave the trainers."""
    exported = count_exported_number(trainer)
    bucket = max(_BUCKET_BYTES, exported * shape.largest_tensor)
    buckets = _BUCKETS * min(bucket, exported * shape.parameters)
    number = _FLOAT32
    if trainer.lora is not None or (trainer.backend == "deepspeed" and trainer.zero_stage > 0):
        number = _BFLOAT16
    whole = number * shape.parameters * per_host
    reads_parts = trainer.backend == "fsdp2" or (
        trainer.backend == "deepspeed" and trainer.zero_stage == 3
    )
    if reads_parts or not trainer.use_gpu or buckets >= whole:
        return Part("export", buckets, "host", "two buckets of weights on their way")
    return Part("loading", whole, "host", "the whole model of each worker, before it is on its GPU")
