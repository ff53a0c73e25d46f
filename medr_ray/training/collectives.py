"""What the workers of a training run tell each other: their number, sums and maxima.

Every worker must call these functions in the same order.
"""

from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
Number = TypeVar("Number", int, float)


def world_size() -> int:
    """The number of workers; 1 where torch.distributed is not set up."""
    return dist.get_world_size() if dist.is_initialized() else 1


def get_rank() -> int:
    """This worker's rank; 0 where torch.distributed is not set up."""
    return dist.get_rank() if dist.is_initialized() else 0


def sum_over_workers(*values: float) -> list[float]:
    """Each value summed over all workers."""
    # In float64: float32 is exact only up to 16.7 million, and token counts may be larger.
    totals = torch.tensor(values, dtype=torch.float64)
    if dist.is_initialized() and dist.get_world_size() > 1:
        totals = totals.to(_collective_device())
        dist.all_reduce(totals)
    return totals.tolist()


def max_over_workers(value: Number) -> Number:
    """The largest value of all workers."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    # Exact for whole numbers up to 2^53.
    maximum = torch.tensor(value, dtype=torch.float64, device=_collective_device())
    dist.all_reduce(maximum, op=dist.ReduceOp.MAX)
    return type(value)(maximum)


def share_from_rank_zero(value: T) -> T:
    """Rank 0's value, on every worker; what the others give is not used. For small values."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    shared = [value]
    dist.broadcast_object_list(shared, src=0, device=torch.device(_collective_device()))
    return shared[0]


def _collective_device() -> str:
    """The device on which tensors must be for a collective operation."""
    # NCCL can exchange tensors on GPUs only.
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
