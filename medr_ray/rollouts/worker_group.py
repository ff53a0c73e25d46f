"""Starts, calls and ends the worker actors of a pool. Their results arrive in one queue.

Nothing here waits for an actor. An actor that cannot be placed yet stays pending, which is what the
cluster's autoscaler reacts to.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal

import ray

from medr_ray.agent.episode_loop import FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.rollouts.worker import EnvironmentFactory, RolloutRequest, RolloutWorker

# Methods of this Ray concurrency group run in threads of their own: they must answer while the
# event loop is busy. Two threads, so that one that is stuck does not silence the other.
_WATCH_GROUP = "watch"
_WATCH_THREADS = 2

EventKind = Literal["ready", "finished", "heartbeat"]


@dataclass(frozen=True)
class WorkerEvent:
    """A worker is ready, a rollout finished, or a worker sent a heartbeat.

    ``number`` is the rollout's for "finished", and the worker's otherwise. ``answer`` is done.
    """

    kind: EventKind
    number: int
    answer: "Future[Any]"


class WorkerGroup:
    """Actors by number. No number is used twice."""

    def __init__(
        self, config: PipelineConfig, make_environment: EnvironmentFactory, faults: FaultPlan
    ) -> None:
        self._arguments = (config, make_environment, faults)
        actor_class: Any = ray.remote(concurrency_groups={_WATCH_GROUP: _WATCH_THREADS})  # type: ignore[call-overload]
        self._actor_class: Any = actor_class(RolloutWorker).options(
            num_cpus=config.rollouts.worker_cpus,
            max_concurrency=config.rollouts.concurrency + 1,  # one more for ``ready``
            # Not in the placement group of a trainer that starts the pool: its bundles are taken.
            scheduling_strategy="DEFAULT",
        )
        self._workers: dict[int, Any] = {}
        self._events: SimpleQueue[WorkerEvent] = SimpleQueue()
        self.started = 0

    def __contains__(self, worker: int) -> bool:
        return worker in self._workers

    def start(self) -> int:
        """Start a worker and return its number. It may be used after its "ready" event."""
        worker = self.started
        self.started += 1
        self._workers[worker] = self._actor_class.remote(*self._arguments)
        self._queue_answer("ready", worker, self._workers[worker].ready.remote())
        return worker

    def start_rollout(
        self, worker: int, rollout: int, request: RolloutRequest
    ) -> Callable[[], None]:
        """Begin a rollout; returns a function that cancels it."""
        reference = self._workers[worker].run.remote(request)
        self._queue_answer("finished", rollout, reference)

        def cancel() -> None:
            if ray.is_initialized():
                # Best effort: the coroutine is cancelled at its next await. One that never awaits
                # goes on, and the pool replaces its worker in the end.
                ray.cancel(reference)

        return cancel

    def request_heartbeat(self, worker: int) -> None:
        """Ask a worker for a sign of life."""
        method = self._workers[worker].heartbeat.options(concurrency_group=_WATCH_GROUP)
        self._queue_answer("heartbeat", worker, method.remote())

    def end(self, worker: int) -> None:
        """Kill a worker. Its rollouts finish with an error."""
        actor = self._workers.pop(worker)
        # With its session a worker is gone too, and ``ray.kill`` would start another session.
        if ray.is_initialized():
            # Ray restarts no actor by default, so it stays dead; the pool starts another where it
            # needs one.
            ray.kill(actor)

    def end_all(self) -> None:
        for worker in list(self._workers):
            self.end(worker)

    def events(self, seconds: float) -> Iterator[WorkerEvent]:
        """The events that have arrived; waits for the first for at most ``seconds``."""
        try:
            yield self._events.get(timeout=seconds)
            while True:
                yield self._events.get_nowait()
        except Empty:
            return

    def _queue_answer(self, kind: EventKind, number: int, reference: Any) -> None:
        # Called by a thread of Ray's when the answer is there; the queue hands it to the driver's.
        def put(answer: "Future[Any]") -> None:
            self._events.put(WorkerEvent(kind, number, answer))

        reference.future().add_done_callback(put)
