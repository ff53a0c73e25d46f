"""Tensors split by rows over the workers, as ``torch.distributed.checkpoint`` writes and reads
them."""

import math

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from medr_ray.training.collectives import get_rank, world_size


def rows_of_rank(count: int, rank: int, ranks: int) -> range:
    """As ``torch.chunk`` splits ``count`` rows, and DTensor with it: the first ranks have more."""
    largest = math.ceil(count / ranks)
    return range(min(rank * largest, count), min((rank + 1) * largest, count))


def shard_rows(whole: torch.Tensor) -> DTensor:
    """This worker's rows of ``whole``, on the CPU."""
    mesh = init_device_mesh("cpu", (world_size(),))
    rows = rows_of_rank(len(whole), get_rank(), world_size())
    return DTensor.from_local(
        whole[rows.start : rows.stop].to("cpu", copy=True),
        mesh,
        [Shard(0)],
        run_check=False,
        shape=whole.shape,
        stride=whole.stride(),
    )


def gather_rows(sharded: DTensor, device: torch.device) -> torch.Tensor:
    """The whole tensor on ``device``; called by every worker."""
    own = sharded.to_local().to(device)
    largest = math.ceil(len(sharded) / world_size())
    # A collective takes equal shapes, and the last workers have fewer rows.
    padded = own.new_zeros((largest, *own.shape[1:]))
    padded[: len(own)] = own
    parts = padded.new_empty((largest * world_size(), *own.shape[1:]))
    dist.all_gather_into_tensor(parts, padded)
    return parts[: len(sharded)]
