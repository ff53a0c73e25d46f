"""Collects rollouts with all workers: rank 0 has them made and deals them, the others wait.

A worker is given its own examples alone. A rollout has its whole dialogue again in every turn: 256
of 13,000 tokens in 20 turns take 1.5 GB of a worker's memory, and the examples that one of eight
workers learns from 41 MB.

An engine that died meanwhile has to be given the present weights before it serves again, which
needs all workers. So they do not wait for the rollouts alone: rank 0 tells them what comes next,
the weights of an engine or the end.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from medr_ray.core.config import GRPOConfig
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.collectives import get_rank, world_size
from medr_ray.training.dealing import DealtExamples, deal_rollouts
from medr_ray.training.heldout import HeldoutFigures
from medr_ray.training.rollout_coordinator import CollectedRollouts, RolloutCoordinator
from medr_ray.training.update_metrics import RolloutFigures
from medr_ray.training.weight_sync import WeightPublisher

# Between two looks at the engines while rollouts are made.
_LOOK_SECONDS = 0.25
T = TypeVar("T")
Made = TypeVar("Made")


@dataclass(frozen=True)
class CollectedUpdate:
    """The rollouts of one update as a worker has them: its own examples, and the figures of all.

    ``curriculum`` is as in ``CollectedRollouts``. Rank 0 alone has the ``rollouts`` themselves.
    """

    dealt: DealtExamples
    figures: RolloutFigures
    curriculum: dict[str, Any]
    rollouts: Sequence[ScoredRollout]


@dataclass(frozen=True)
class _News(Generic[T]):
    """What comes next: the ``result``, or before it the weights of an engine."""

    has_ended: bool
    result: T | None = None


class RolloutCollection:
    """The rollouts of one update after the other. Rank 0 has the coordinator.

    With ``grpo.max_staleness: 1`` those of the next update are begun as soon as an update's are
    there, so that they run while it is learnt. They begin under the weights that the engines then
    serve, and go on under the next ones.
    """

    def __init__(
        self,
        publisher: WeightPublisher,
        coordinator: RolloutCoordinator | None,
        config: GRPOConfig,
    ) -> None:
        self._publisher = publisher
        self._coordinator = coordinator
        self._updates = config.updates
        self._is_ahead = config.max_staleness > 0
        self._tree = config.tree
        self._next: Future[CollectedRollouts] | None = None

    def collect(self, update: int) -> CollectedUpdate:
        """This worker's part of ``update``. To be called for the updates in order, when the trainer
        has the weights of version ``update`` and the engines serve them."""
        collecting = self._next or self._start_collecting(update)
        self._next = None
        collected = _await_rollouts(
            self._publisher, self._coordinator, collecting, self._deal, update, learns_next=True
        )
        # Not before: the curriculum chooses by what this update's rollouts came to.
        if self._is_ahead and update + 1 < self._updates:
            self._next = self._start_collecting(update + 1)
        return collected

    def _start_collecting(self, update: int) -> "Future[CollectedRollouts] | None":
        if self._coordinator is None:
            return None
        return _start_making(partial(self._coordinator.collect, update))

    def _deal(self, collected: CollectedRollouts) -> list[CollectedUpdate]:
        """What each worker has of an update, by rank."""
        return [
            CollectedUpdate(
                dealt,
                collected.figures,
                collected.curriculum,
                () if rank else collected.rollouts,
            )
            for rank, dealt in enumerate(
                deal_rollouts(collected.rollouts, world_size(), self._tree)
            )
        ]


def measure_heldout(
    publisher: WeightPublisher, coordinator: RolloutCoordinator | None, version: int
) -> HeldoutFigures:
    """How the weights of ``version`` do on held-out questions, on every worker."""
    measuring = None
    if coordinator is not None:
        measuring = _start_making(partial(coordinator.measure_heldout, version))
    return _await_rollouts(
        publisher,
        coordinator,
        measuring,
        lambda figures: [figures] * world_size(),
        version,
        learns_next=False,
    )


def _await_rollouts(
    publisher: WeightPublisher,
    coordinator: RolloutCoordinator | None,
    making: "Future[Made] | None",
    deal: Callable[[Made], Sequence[T]],
    version: int,
    learns_next: bool,
) -> T:
    """This worker's part of what rank 0 is ``making``; ``deal`` gives those of all, by rank.
    ``learns_next``: the trainers take the devices behind it."""
    while True:
        news: list[_News[T]] | None = None
        if coordinator is not None and making is not None:
            is_made = _await_news(coordinator, making, learns_next)
            news = [_News(False)] * world_size()
            if is_made:
                news = [_News(True, part) for part in deal(making.result())]
        own = give_to_workers(news)
        if own.has_ended:
            return cast(T, own.result)
        publisher.publish(version, only_missing=True)


def give_to_workers(values: Sequence[T] | None) -> T:
    """This worker's of rank 0's ``values``, which are by rank; the others give None."""
    import ray
    from ray.train.collective import broadcast_from_rank_zero

    # Ray Train broadcasts less than a kilobyte: a reference goes that way, the values through the
    # object store, each by itself. In a list, because Ray would resolve a bare reference.
    shared = None
    if values is not None:
        if world_size() == 1:
            return values[0]
        shared = [ray.put([ray.put(value) for value in values[1:]])]
    (references,) = broadcast_from_rank_zero(shared)
    if values is not None:
        return values[0]
    own: T = ray.get(ray.get(references)[get_rank() - 1])
    return own


def _start_making(make_rollouts: Callable[[], T]) -> "Future[T]":
    """Make them in a thread of its own. It ends when the coordinator is closed, and does not keep
    the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(make_rollouts())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="rollouts", daemon=True).start()
    return future


def _await_news(coordinator: RolloutCoordinator, making: "Future[Made]", learns_next: bool) -> bool:
    """Whether it is made; else an engine has to be given the weights first. Raises what the making
    did."""
    while True:
        done, _ = wait([making], timeout=_LOOK_SECONDS)
        if done:
            making.result()
            if learns_next:
                coordinator.yield_devices()
            return True
        coordinator.engines.check()
        if coordinator.engines.awaits_weights():
            return False
