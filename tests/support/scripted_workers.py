"""Workers of a rollout pool without Ray: each is ready at once, and what becomes of a rollout is
decided by a function."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from medr_ray.rollouts.worker import EpisodeReport, RolloutRequest
from medr_ray.rollouts.worker_group import WorkerEvent

# The report of a rollout; None where it never ends.
Play = Callable[[RolloutRequest], EpisodeReport | None]


class ScriptedWorkers:
    """In the place of ``WorkerGroup``. ``is_staffed``: whether its workers become ready."""

    def __init__(self, play: Play, is_staffed: bool = True) -> None:
        self._play = play
        self._is_staffed = is_staffed
        self._alive: set[int] = set()
        self._events: list[WorkerEvent] = []
        self.started = 0
        self.cancelled: list[int] = []

    def __contains__(self, worker: int) -> bool:
        return worker in self._alive

    def start(self) -> int:
        worker = self.started
        self.started += 1
        self._alive.add(worker)
        if self._is_staffed:
            self._add_event("ready", worker, None)
        return worker

    def start_rollout(
        self, worker: int, rollout: int, request: RolloutRequest
    ) -> Callable[[], None]:
        report = self._play(request)
        if report is not None:
            self._add_event("finished", rollout, report)
        return lambda: self.cancelled.append(rollout)

    def request_heartbeat(self, worker: int) -> None:
        """Nobody looks for so long."""

    def end(self, worker: int) -> None:
        self._alive.remove(worker)

    def end_all(self) -> None:
        self._alive.clear()

    def events(self, seconds: float) -> Iterator[WorkerEvent]:
        events = self._events
        self._events = []
        yield from events

    def _add_event(self, kind: Any, number: int, result: Any) -> None:
        answer: Future[Any] = Future()
        answer.set_result(result)
        self._events.append(WorkerEvent(kind, number, answer))
