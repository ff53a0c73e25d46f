"""How much a training worker processes, and the memory that it takes."""

import resource
import sys

import torch

from medr_ray.training.collectives import max_over_workers

# Linux counts in KiB, macOS in bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_GIGABYTE = 1e9


def measure_peak_memory() -> float:
    """The most memory, in GB (10^9 bytes), that a worker has held since its start: of the GPU where
    it has one, else of its process. The largest of all workers, each of which must call this."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    return round(max_over_workers(peak) / _GIGABYTE, 3)
