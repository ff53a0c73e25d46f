"""Gives the trainer's weights to the engines, as a stream of buckets.

Every worker takes part, because each may have only a part of the weights; rank 0 alone is given
whole tensors, and sends them. It never holds more than two buckets: the one that the engines read,
and the one that is gathered meanwhile.
"""

from collections.abc import Iterable
from typing import Protocol

import ray
import torch

from medr_ray.core.config import PipelineConfig
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
        adapter_scaling: float | None = None,
    ) -> Publication:
        """Serve these weights, or give them to those alone that have none; with ``adapter_scaling``
        they are a LoRA adapter. Buckets are emptied."""
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


class WeightPublisher:
    """Lets the engines answer with the trainer's weights. Every worker has one and calls it; rank 0
    alone has ``engines``.

    With ``adapter_scaling`` only the LoRA adapter is sent, which counts so many times.
    """

    def __init__(
        self,
        backend: TrainerBackend,
        engines: WeightReceiver | None,
        adapter_scaling: float | None = None,
    ) -> None:
        self._backend = backend
        self._engines = engines
        self._adapter_scaling = adapter_scaling

    def publish(self, version: int, only_missing: bool = False) -> Publication:
        """Send the weights as ``version``; what is returned where there are no engines is empty.

        With ``only_missing`` they go to those engines alone that have none.
        """
        stream = self._backend.stream_weights(adapter_only=self._adapter_scaling is not None)
        buckets = pack_buckets(stream, choose_bucket_bytes() if self._engines else 1)
        if self._engines is not None:
            return self._engines.publish(version, buckets, only_missing, self._adapter_scaling)
        for _ in buckets:
            raise RuntimeError("only rank 0 is given weights")
        return Publication(version, engines=0, size=0, seconds=0.0)


def find_adapter_scaling(config: PipelineConfig) -> float | None:
    """How many times the adapter counts that GRPO sends alone; None without LoRA, where it sends
    whole weights."""
    lora = config.grpo.lora
    return None if lora is None else lora.alpha / lora.rank


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
