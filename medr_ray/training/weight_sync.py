"""Gives the trainer's weights to the engines, as a stream of buckets.

Every worker takes part, because each may have only a part of the weights; rank 0 alone is given
whole tensors, and sends them. It never holds more than two buckets: the one that the engines read,
and the one that is gathered meanwhile.
"""

from collections.abc import Iterable
from typing import Protocol

import ray
import torch

from medr_ray.rollouts.engine_fleet import Publication
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.export import BUCKET_BYTES, pack_buckets

# Of the node's object store, which has to hold a bucket beside all that rollouts send.
_STORE_SHARE = 4


class WeightReceiver(Protocol):
    """The engines that the rollouts sample from, such as ``EngineFleet``."""

    def publish(
        self,
        version: int,
        buckets: Iterable[dict[str, torch.Tensor]],
        only_missing: bool = False,
    ) -> Publication:
        """Serve these weights, or give them to those alone that have none. Buckets are emptied."""
        ...

    def check(self) -> None:
        """Look after the engines, without waiting for them."""
        ...

    def awaits_weights(self) -> bool:
        """Whether an engine is up that has to be given the present weights."""
        ...

    def sleep(self) -> None:
        """Give back the memory of the devices."""
        ...

    def wake(self) -> None:
        """Take it again."""
        ...

    def close(self) -> None: ...


def publish_weights(
    backend: TrainerBackend,
    engines: WeightReceiver | None,
    version: int,
    only_missing: bool = False,
) -> Publication:
    """Let the engines answer with the trainer's weights as ``version``. Called by every worker;
    rank 0 alone has the engines, and what is returned elsewhere is empty."""
    buckets = pack_buckets(backend.stream_weights(), choose_bucket_bytes() if engines else 1)
    if engines is not None:
        return engines.publish(version, buckets, only_missing)
    for _ in buckets:
        raise RuntimeError("only rank 0 is given weights")
    return Publication(version, engines=0, size=0, seconds=0.0)


def choose_bucket_bytes() -> int:
    """How large a bucket may be on this node: 1 GiB, and less where the object store is small."""
    if not ray.is_initialized():
        return BUCKET_BYTES
    node_id = ray.get_runtime_context().get_node_id()
    stores = [
        node["Resources"].get("object_store_memory", 0)
        for node in ray.nodes()
        if node["NodeID"] == node_id
    ]
    return max(1, min(BUCKET_BYTES, int(sum(stores) / _STORE_SHARE)))
