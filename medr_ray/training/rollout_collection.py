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

from medr_ray.training.backends import TrainerBackend
from medr_ray.training.collectives import get_rank_and_world_size
from medr_ray.training.heldout import HeldoutFigures
from medr_ray.training.rollout_coordinator import CollectedRollouts, RolloutCoordinator
from medr_ray.training.weight_sync import publish_weights

# Between two looks at the engines while rollouts are made.
_LOOK_SECONDS = 0.25
T = TypeVar("T")


@dataclass(frozen=True)
class _News(Generic[T]):
    """What comes next: the ``result``, or before it the weights of an engine."""

    has_ended: bool
    result: T | None = None


def collect_rollouts(
    backend: TrainerBackend, coordinator: RolloutCoordinator | None, update: int, version: int
) -> CollectedRollouts:
    """The rollouts of ``update``, on every worker. Rank 0 has the coordinator. ``version`` is that
    of the trainer's weights, which the engines serve."""
    collect = partial(coordinator.collect, update) if coordinator is not None else None
    return _await_rollouts(backend, coordinator, collect, version, learns_next=True)


def measure_heldout(
    backend: TrainerBackend, coordinator: RolloutCoordinator | None, version: int
) -> HeldoutFigures:
    """How the weights of ``version`` do on held-out questions, on every worker."""
    measure = partial(coordinator.measure_heldout, version) if coordinator is not None else None
    return _await_rollouts(backend, coordinator, measure, version, learns_next=False)


def _await_rollouts(
    backend: TrainerBackend,
    coordinator: RolloutCoordinator | None,
    make_rollouts: Callable[[], T] | None,
    version: int,
    learns_next: bool,
) -> T:
    """What ``make_rollouts`` of rank 0 returns, on every worker. ``learns_next``: the trainers take
    the devices behind it."""
    making = _start_making(make_rollouts) if make_rollouts is not None else None
    while True:
        news: _News[T] | None = None
        if coordinator is not None and making is not None:
            news = _await_news(coordinator, making, learns_next)
        news = share_with_workers(news)
        if news.has_ended:
            return cast(T, news.result)
        engines = coordinator.engines if coordinator is not None else None
        publish_weights(backend, engines, version, only_missing=True)


def share_with_workers(value: T | None) -> T:
    """Rank 0's value, on every worker; the others give None."""
    import ray
    from ray.train.collective import broadcast_from_rank_zero

    _, world_size = get_rank_and_world_size()
    if world_size == 1 and value is not None:
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
