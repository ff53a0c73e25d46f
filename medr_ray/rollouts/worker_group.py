"""The worker actors of a pool: they are started, asked and ended here, and what they answer arrives
in one queue.

What holds: nothing here waits for an actor; one that cannot be placed yet stays pending, and that
is what the cluster's autoscaler sees.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal

import ray

from medr_ray.agent.episode_loop import FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.rollouts.worker import MakeEnvironment, RolloutTask, RolloutWorker

_WATCH = "watch"  # the concurrency group of what must answer while the event loop is busy
_WATCH_THREADS = 2


@dataclass(frozen=True)
class Event:
    """An answer: a worker is ready, a rollout ended, or a worker gave a sign of life. ``number`` is
    the worker's or the flight's; ``answer`` is done."""

    kind: Literal["ready", "landed", "beat"]
    number: int
    answer: "Future[Any]"


class Crew:
    """Actors by number. Numbers are never used twice."""

    def __init__(
        self, config: PipelineConfig, make_environment: MakeEnvironment, faults: FaultPlan
    ) -> None:
        self._arguments = (config, make_environment, faults)
        watched: Any = ray.remote(concurrency_groups={_WATCH: _WATCH_THREADS})  # type: ignore[call-overload]
        self._actor: Any = watched(RolloutWorker).options(
            num_cpus=config.rollouts.worker_cpus,
            max_concurrency=config.rollouts.concurrency + 1,  # and ``ready``
            scheduling_strategy="DEFAULT",  # outside a trainer's placement group
        )
        self._workers: dict[int, Any] = {}
        self._events: SimpleQueue[Event] = SimpleQueue()
        self.started = 0

    def __contains__(self, worker: int) -> bool:
        return worker in self._workers

    def start(self) -> int:
        """A new worker; it may be used after its ``ready`` event."""
        worker, self.started = self.started, self.started + 1
        self._workers[worker] = self._actor.remote(*self._arguments)
        self._listen("ready", worker, self._workers[worker].ready.remote())
        return worker

    def run(self, worker: int, flight: int, task: RolloutTask) -> Callable[[], None]:
        """Begin a rollout; returns what cancels it."""
        reference = self._workers[worker].run.remote(task)
        self._listen("landed", flight, reference)
        return lambda: ray.cancel(reference) if ray.is_initialized() else None

    def ask(self, worker: int) -> None:
        """Ask for a sign of life."""
        self._listen(
            "beat", worker, self._workers[worker].beat.options(concurrency_group=_WATCH).remote()
        )

    def end(self, worker: int) -> None:
        ray.kill(self._workers.pop(worker))

    def end_all(self) -> None:
        for worker in list(self._workers):
            self.end(worker)

    def events(self, seconds: float) -> Iterator[Event]:
        """What arrived, waiting for the first so long at most."""
        try:
            yield self._events.get(timeout=seconds)
            while True:
                yield self._events.get_nowait()
        except Empty:
            return

    def _listen(
        self, kind: Literal["ready", "landed", "beat"], number: int, reference: Any
    ) -> None:
        reference.future().add_done_callback(
            lambda answer: self._events.put(Event(kind, number, answer))
        )
