"""Weights on their way from the trainer to the engines: all of them arrive, and no process holds
more than two buckets."""

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import ray
import torch
from support.fake_engine import FakeEngineFactory, compute_digest, make_weights

from medr_ray.rollouts.engine_actor import start_engine_actor
from medr_ray.rollouts.engine_fleet import start_fleet
from medr_ray.training import weight_sync
from medr_ray.training.weight_sync import WeightPublisher

SHAPES = {f"w{number}": (256, 1024) for number in range(16)}
TENSOR_BYTES = 2 * 256 * 1024
BUCKET_BYTES = 4 * TENSOR_BYTES


class CountingBackend:
    """Streams weights and counts the bytes of those that somebody still holds."""

    def __init__(self) -> None:
        self._given: list[weakref.ref[torch.Tensor]] = []
        self.peak = 0

    def stream_weights(self, adapter_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        weights = make_weights(1, SHAPES)
        for name in SHAPES:
            yield name, self._note(weights.pop(name))

    def _note(self, tensor: torch.Tensor) -> torch.Tensor:
        self._given.append(weakref.ref(tensor))
        held = [reference() for reference in self._given]
        self.peak = max(self.peak, sum(other.nbytes for other in held if other is not None))
        return tensor


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_rank_0_never_holds_more_than_two_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_sync, "choose_bucket_bytes", lambda: BUCKET_BYTES)

    def start_actor(_: int) -> Any:
        return start_engine_actor(FakeEngineFactory(shapes=SHAPES), {"CPU": 0.1})

    fleet = start_fleet(start_actor, 1, 60.0, "0.1 CPU")
    try:
        backend: Any = CountingBackend()
        publication = WeightPublisher(backend, fleet).publish(1)
        digest = ray.get(fleet._engines[0].actor.checksum.remote())
    finally:
        fleet.close()
    assert digest == compute_digest(make_weights(1, SHAPES))
    assert publication.size == len(SHAPES) * TENSOR_BYTES
    assert BUCKET_BYTES < backend.peak <= 2 * BUCKET_BYTES


def test_the_other_workers_take_part_and_are_given_nothing() -> None:
    asked: list[bool] = []

    class OtherWorker:
        """Takes part in the gathering."""

        def stream_weights(self, adapter_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
            asked.append(True)
            yield from ()

    backend: Any = OtherWorker()
    assert WeightPublisher(backend, None).publish(1).size == 0
    assert asked == [True]
