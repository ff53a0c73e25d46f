"""How much a training worker processes, and the memory that it takes."""

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from medr_ray.core.errors import MedrError
from medr_ray.training.collectives import max_over_workers
from medr_ray.training.planner.duration import count_flops
from medr_ray.training.planner.hosts import find_local_gpu
from medr_ray.training.planner.shapes import ModelShape, find_shape

# Linux counts in KiB, macOS in bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_GIGABYTE = 1e9
_PASSES = 3  # of the work of a forward pass: one forward, and a backward that counts as two


@dataclass(frozen=True)
class ThroughputFigures:
    """``tokens_per_second`` are the tokens of all sequences, whatever their loss. ``mfu`` is the
    model FLOP utilisation (PaLM, arXiv 2204.02311, appendix B): the operations of a forward and a
    backward pass over each sequence by itself, as a share of what the GPUs compute at their peak.
    What is recomputed does not count, and what a prefix tree saves counts as done. ``mfu`` is null
    on CPUs and where the GPU's peak or the model's shape is unknown. ``memory_gb`` is the most
    memory, in GB (10^9 bytes), that a worker has held: of its GPU, else of its process."""

    tokens_per_second: float | None
    mfu: float | None
    memory_gb: float


class Throughput:
    """Measures the steps of all workers together; each of them must call ``measure``."""

    def __init__(self, model_dir: Path, world_size: int, device: torch.device) -> None:
        self._shape: ModelShape | None = None
        self._peak_flops = 0.0
        if device.type == "cuda":
            gpu = find_local_gpu()
            self._peak_flops = gpu.flops * world_size if gpu is not None else 0.0
            self._shape = _find_shape(model_dir)

    def measure(self, tokens: int, sequences: int, seconds: float) -> ThroughputFigures:
        """The figures of a step over so many ``tokens`` in ``sequences`` of all workers together,
        which took ``seconds``."""
        rate = tokens / seconds if seconds > 0 and tokens else None
        mfu = None
        if rate is not None and self._shape is not None and self._peak_flops:
            flops = count_flops(self._shape, tokens, tokens / sequences, _PASSES)
            mfu = round(flops / seconds / self._peak_flops, 4)
        return ThroughputFigures(
            round(rate, 1) if rate is not None else None, mfu, measure_peak_memory()
        )


def _find_shape(model_dir: Path) -> ModelShape | None:
    try:
        return find_shape(str(model_dir))
    except MedrError:
        # Of another family, whose operations nobody has counted.
        return None


def measure_peak_memory() -> float:
    """The largest memory of all workers, as ``ThroughputFigures`` has it. Each must call this."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    return round(max_over_workers(peak) / _GIGABYTE, 3)
