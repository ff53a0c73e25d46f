"""Collects the rollouts of an update, with all workers: rank 0 makes them, the others wait.

An engine that died meanwhile has to be given the present weights before it serves again, which
needs all workers. So they do not wait for the rollouts alone: rank 0 tells them what comes next,
the weights of an engine or the end.
"""

import threading
from concurrent.futures import Future, wait
from typing import Literal, TypeVar

from medr_ray.training.backends import TrainerBackend
from medr_ray.training.collectives import get_rank_and_world_size
from medr_ray.training.rollout_coordinator import CollectedRollouts, RolloutCoordinator
from medr_ray.training.weight_sync import publish_weights

# Between two looks at the engines while rollouts are made.
_LOOK_SECONDS = 0.25
# Instead of rollouts: an engine is to be given weights.
WeightsWanted = Literal["weights"]
T = TypeVar("T")


def collect_rollouts(
    backend: TrainerBackend, coordinator: RolloutCoordinator | None, update: int, version: int
) -> CollectedRollouts:
    """The rollouts of ``update``, on every worker. Rank 0 has the coordinator. ``version`` is that
    of the trainer's weights, which the engines serve."""
    collecting = None
    if coordinator is not None:
        collecting = _start_collecting(coordinator, update)
    while True:
        news: CollectedRollouts | WeightsWanted | None = None
        if coordinator is not None and collecting is not None:
            news = _await_news(coordinator, collecting)
        news = share_with_workers(news)
        if isinstance(news, CollectedRollouts):
            return news
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


def _start_collecting(coordinator: RolloutCoordinator, update: int) -> "Future[CollectedRollouts]":
    """Collect in a thread of its own. It ends when the coordinator is closed, and does not keep the
    process alive."""
    future: Future[CollectedRollouts] = Future()

    def collect() -> None:
        try:
            future.set_result(coordinator.collect(update))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=collect, name=f"rollouts-{update}", daemon=True).start()
    return future


def _await_news(
    coordinator: RolloutCoordinator, collecting: "Future[CollectedRollouts]"
) -> CollectedRollouts | WeightsWanted:
    while True:
        done, _ = wait([collecting], timeout=_LOOK_SECONDS)
        if done:
            collected = collecting.result()
            coordinator.yield_devices()
            return collected
        coordinator.engines.check()
        if coordinator.engines.awaits_weights():
            return "weights"
