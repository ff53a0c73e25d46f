"""Collects rollouts with all workers: rank 0 has them made, the others wait.

An engine that died meanwhile has to be given the present weights before it serves again, which
needs all workers. So they do not wait for the rollouts alone: rank 0 tells them what comes next,
the weights of an engine or the end.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, cast

from medr_ray.core.config import GRPOConfig
from medr_ray.training.collectives import world_size
from medr_ray.training.heldout import HeldoutFigures
from medr_ray.training.rollout_coordinator import CollectedRollouts, RolloutCoordinator
from medr_ray.training.weight_sync import WeightPublisher

# Between two looks at the engines while rollouts are made.
_LOOK_SECONDS = 0.25
T = TypeVar("T")


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
        self._next: Future[CollectedRollouts] | None = None

    def collect(self, update: int) -> CollectedRollouts:
        """The rollouts of ``update``, on every worker. To be called for the updates in order, when
        the trainer has the weights of version ``update`` and the engines serve them."""
        collecting = self._next or self._start_collecting(update)
        self._next = None
        collected = _await_rollouts(
            self._publisher, self._coordinator, collecting, update, learns_next=True
        )
        # Not before: the curriculum chooses by what this update's rollouts came to.
        if self._is_ahead and update + 1 < self._updates:
            self._next = self._start_collecting(update + 1)
        return collected

    def _start_collecting(self, update: int) -> "Future[CollectedRollouts] | None":
        if self._coordinator is None:
            return None
        return _start_making(partial(self._coordinator.collect, update))


def measure_heldout(
    publisher: WeightPublisher, coordinator: RolloutCoordinator | None, version: int
) -> HeldoutFigures:
    """How the weights of ``version`` do on held-out questions, on every worker."""
    measuring = None
    if coordinator is not None:
        measuring = _start_making(partial(coordinator.measure_heldout, version))
    return _await_rollouts(publisher, coordinator, measuring, version, learns_next=False)


def _await_rollouts(
    publisher: WeightPublisher,
    coordinator: RolloutCoordinator | None,
    making: "Future[T] | None",
    version: int,
    learns_next: bool,
) -> T:
    """What rank 0 is ``making``, on every worker. ``learns_next``: the trainers take the devices
    behind it."""
    while True:
        news: _News[T] | None = None
        if coordinator is not None and making is not None:
            news = _await_news(coordinator, making, learns_next)
        news = share_with_workers(news)
        if news.has_ended:
            return cast(T, news.result)
        publisher.publish(version, only_missing=True)


def share_with_workers(value: T | None) -> T:
    """Rank 0's value, on every worker; the others give None."""
    import ray
    from ray.train.collective import broadcast_from_rank_zero

    if world_size() == 1 and value is not None:
        return value
    # Ray Train broadcasts less than a kilobyte: a reference goes that way, the value through the
    # object store. In a list, because Ray would resolve a bare reference.
    shared = None if value is None else [ray.put(value)]
    result: T = ray.get(broadcast_from_rank_zero(shared)[0])
    return result


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


def _await_news(
    coordinator: RolloutCoordinator, making: "Future[T]", learns_next: bool
) -> _News[T]:
    while True:
        done, _ = wait([making], timeout=_LOOK_SECONDS)
        if done:
            result = making.result()
            if learns_next:
                coordinator.yield_devices()
            return _News(True, result)
        coordinator.engines.check()
        if coordinator.engines.awaits_weights():
            return _News(False)
