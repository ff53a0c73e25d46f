"""A pool of worker actors that grows and shrinks with what there is to do.

What holds: every task given to ``run`` comes back exactly once, as a trajectory or as a failure
with its kind; an answer that comes after its task was given up is dropped and counted; a worker
that died, or stands still with its event loop blocked, is replaced and its tasks are tried afresh,
on another worker where there is one; a task that keeps failing is given up after
``rollouts.retries`` fresh attempts; errors of ours (bugs) are raised, not retried.
"""

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from medr_ray.agent.episode_loop import NO_FAULTS, FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, MedrError
from medr_ray.core.run import Directory
from medr_ray.rollouts.failure_kinds import STALLED, STRAGGLER, WORKER_DIED
from medr_ray.rollouts.groups import GroupBook
from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.schedule import Item, Schedule
from medr_ray.rollouts.worker import (
    Beat,
    IndexEnvironment,
    MakeEnvironment,
    PolicyFactory,
    Report,
    RolloutTask,
)
from medr_ray.rollouts.worker_group import Crew, Event

REPORTS = "stalls"  # the folder of reports on workers that stood still
_TICK_SECONDS = 0.25  # how often to look at the clock while nothing arrives
_BEAT_SECONDS = 10.0  # between two questions to a worker; less where ``stall_seconds`` is short
_STILLBORN = 3  # workers in a row that die before they are ready: the next would too
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class _Flight:
    """A rollout under way. After ``until`` its worker no longer keeps deadlines; ``settled``: its
    outcome was given or its task waits again, and what it answers is late."""

    item: Item
    worker: int
    cancel: Callable[[], None]
    until: float
    started: float = field(default_factory=time.monotonic)
    settled: bool = False


class RolloutPool:
    """Keeps ``rollouts.workers`` actors and grows to ``rollouts.max_workers`` while tasks queue up.

    ``environment`` is what workers run episodes with, instead of the configured tools over
    ``index_uri`` and the policies of ``make_factory``. ``reports``: a directory for accounts of
    workers that stood still.
    """

    def __init__(
        self,
        config: PipelineConfig,
        index_uri: str = "",
        make_factory: Callable[[], PolicyFactory] | None = None,
        faults: FaultPlan = NO_FAULTS,
        *,
        environment: MakeEnvironment | None = None,
        reports: Directory | None = None,
    ) -> None:
        if environment is None:
            if make_factory is None:
                raise TypeError("RolloutPool needs index_uri and make_factory, or environment")
            environment = IndexEnvironment(config, index_uri, make_factory)
        self._rollouts, self._deadline, self._reports = (
            config.rollouts,
            config.agent.seconds,
            reports,
        )
        self._crew, self._schedule = Crew(config, environment, faults), Schedule(config.rollouts)
        self._flights: dict[int, _Flight] = {}
        self._numbers = itertools.count()
        self._done: list[tuple[Item, RolloutOutcome]] = []
        self._asked: dict[int, float] = {}
        self._look_at = self._unstaffed_since = time.monotonic()
        self._stillborn = 0
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._running, self._lock, self._timer = (
            False,
            threading.Lock(),
            threading.Timer(0, self._shrink),
        )
        self._staff()

    def run(self, tasks: Iterable[RolloutTask]) -> Iterator[RolloutOutcome]:
        """Outcomes as they finish, in no particular order."""
        for _, outcome in self._outcomes(tasks, None):
            yield outcome

    def run_groups(
        self, groups: Sequence[Sequence[RolloutTask]], share: float
    ) -> Iterator[GroupOutcome]:
        """Groups as they finish, in no particular order. A group is viable with ``share`` of its
        rollouts, and from then on waits for no straggler (``rollouts.straggler_factor``,
        ``straggler_seconds``)."""
        book = GroupBook(
            groups, share, self._rollouts.straggler_factor, self._rollouts.straggler_seconds
        )
        for position, outcome in self._outcomes(book.tasks, book.stragglers):
            group = book.add(position, outcome)
            if group is not None:
                yield group

    def figures(self) -> dict[str, Any]:
        """Since the pool began: ``failed_attempts`` by kind (also those that went well later),
        ``late`` answers that were dropped, workers ``started``, ``lost`` and ``returned``, and
        ``accounts`` of what stood still."""
        return {
            "failed_attempts": dict(sorted(self._failures.items())),
            "started": self._crew.started,
            **{name: self._counts[name] for name in ("lost", "returned", "late", "accounts")},
        }

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._crew.end_all()
            self._schedule.seats.clear()

    def __enter__(self) -> "RolloutPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- one run ---

    def _outcomes(
        self,
        tasks: Iterable[RolloutTask],
        stragglers: Callable[[Mapping[int, float]], list[int]] | None,
    ) -> Iterator[tuple[int, RolloutOutcome]]:
        """(position of the task, its outcome)."""
        items = [Item(number, task) for number, task in enumerate(tasks)]
        self._begin(items)
        try:
            left = len(items)
            while left:
                self._staff()
                self._dispatch()
                for event in self._crew.events(_TICK_SECONDS):
                    self._handle(event)
                if stragglers is not None:
                    self._cut(stragglers)
                self._look_around()
                done, self._done = self._done, []
                left -= len(done)
                yield from ((item.number, outcome) for item, outcome in done)
        finally:
            self._end()

    def _begin(self, items: Sequence[Item]) -> None:
        self._timer.cancel()
        with self._lock:
            if self._running:
                raise MedrError(
                    "this pool is running tasks already: take all its outcomes first, or use another pool"
                )
            self._running = True
        self._done.clear()
        self._schedule.add(items)
        self._unstaffed_since = time.monotonic()

    def _end(self) -> None:
        """Cancel what nobody waits for, and give workers back once they were idle for long
        enough."""
        self._schedule.clear()
        for flight in self._open_flights():
            self._settle(flight)
            flight.cancel()
        self._running = False
        self._timer = threading.Timer(self._rollouts.idle_seconds, self._shrink)
        self._timer.daemon = True
        self._timer.start()

    def _dispatch(self) -> None:
        for worker, item in self._schedule.assign():
            number = next(self._numbers)
            cancel = self._crew.run(worker, number, item.task)
            self._flights[number] = _Flight(
                item,
                worker,
                cancel,
                time.monotonic() + self._deadline + self._rollouts.stall_seconds,
            )

    def _handle(self, event: Event) -> None:
        if event.kind == "landed":
            self._land(self._flights.pop(event.number), event.answer)
        elif event.number not in self._crew:
            return  # it was ended meanwhile
        elif isinstance(error := event.answer.exception(), RayError):
            self._mourn(event.number, error)
        elif event.kind == "ready":
            self._stillborn = 0
            self._schedule.ready(event.number, time.monotonic())
        else:
            self._heard(event.number, event.answer.result())

    def _land(self, flight: _Flight, answer: Any) -> None:
        self._schedule.left(flight.worker, time.monotonic())
        error = answer.exception()
        if flight.settled:
            self._counts["late"] += error is None and answer.result().trajectory is not None
        elif error is None:
            report: Report = answer.result()
            if report.trajectory is None:
                self._fail(flight, report.kind, report.failure)
            else:
                self._finish(flight, report.trajectory)
        elif isinstance(error, RayError) and not isinstance(error, RayTaskError):
            self._lose(flight.worker)
            self._fail(flight, WORKER_DIED, f"worker died: {type(error).__name__}", died=True)
        else:
            raise error

    def _fail(self, flight: _Flight, kind: str, reason: str, died: bool = False) -> None:
        self._failures[kind] += 1
        if not self._schedule.retry(flight.item, flight.worker, died):
            self._finish(flight, None, reason, kind)

    def _finish(self, flight: _Flight, trajectory: Any, failure: str = "", kind: str = "") -> None:
        item, seconds = flight.item, time.monotonic() - flight.started
        self._done.append(
            (item, RolloutOutcome(item.task, trajectory, failure, seconds, kind, item.attempts))
        )

    def _cut(self, stragglers: Callable[[Mapping[int, float]], list[int]]) -> None:
        now = time.monotonic()
        under_way = {flight.item.number: flight for flight in self._open_flights()}
        for number in stragglers(
            {number: now - flight.started for number, flight in under_way.items()}
        ):
            flight = under_way[number]
            self._settle(flight)
            flight.cancel()
            self._failures[STRAGGLER] += 1
            reason = f"cut after {now - flight.started:.0f} s: its group was large enough and took much less"
            self._finish(flight, None, reason, STRAGGLER)

    def _open_flights(self) -> list[_Flight]:
        return [flight for flight in self._flights.values() if not flight.settled]

    def _settle(self, flight: _Flight) -> None:
        """From now on its answer is late; should none come at all, its worker is no good."""
        flight.settled, flight.until = True, time.monotonic() + self._rollouts.stall_seconds

    # --- workers ---

    def _staff(self) -> None:
        """Start and give back workers, as many as the schedule asks for."""
        for _ in range(self._schedule.missing()):
            self._schedule.started(self._crew.start())
        self._give_back()

    def _give_back(self) -> None:
        for worker in self._schedule.surplus(time.monotonic()):
            self._counts["returned"] += 1
            self._forget(worker)

    def _shrink(self) -> None:
        """Between two runs, from the timer's thread."""
        with self._lock:
            if not self._running and ray.is_initialized():
                self._give_back()

    def _forget(self, worker: int) -> None:
        self._schedule.gone(worker)
        self._asked.pop(worker, None)
        self._crew.end(worker)

    def _lose(self, worker: int) -> None:
        """A worker that died or is no good; all its tasks report it, the first report counts."""
        if worker in self._crew:
            self._counts["lost"] += 1
            self._forget(worker)

    def _mourn(self, worker: int, error: RayError) -> None:
        """A worker died without having run anything, or before it could give a sign of life."""
        seat = self._schedule.seats.get(worker)
        if isinstance(error, RayTaskError) or (
            isinstance(error, RayActorError) and error.actor_init_failed
        ):
            raise error  # a bug, or it could not even start: another one would not either
        if seat is not None and not seat.ready:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise InfrastructureError(
                    f"{_STILLBORN} rollout workers in a row died while they started: {error}. See the worker logs of "
                    "the cluster; too little memory is the usual cause"
                ) from error
        self._lose(worker)

    # --- standing still ---

    def _look_around(self) -> None:
        """Every few seconds: ask busy workers for a sign of life, give up those that no longer keep
        deadlines."""
        now, stall = time.monotonic(), self._rollouts.stall_seconds
        if now < self._look_at:
            return
        self._look_at = now + min(_BEAT_SECONDS, stall / 4)
        for worker, seat in list(self._schedule.seats.items()):
            asked = self._asked.get(worker)
            if asked is None and seat.ready and seat.load:
                self._asked[worker] = now
                self._crew.ask(worker)
            elif asked is not None and now - asked > stall:
                self._tell(worker, f"worker {worker} gave no sign of life for {now - asked:.0f} s")
                self._give_up(worker, "its worker gave no sign of life")
        self._end_overdue(now)
        self._miss_workers(now)

    def _heard(self, worker: int, beat: Beat) -> None:
        self._asked.pop(worker, None)
        if beat.standstill:
            self._tell(worker, beat.standstill)
        if beat.blocked:
            self._give_up(worker, "its worker's event loop was blocked")

    def _end_overdue(self, now: float) -> None:
        overdue: dict[int, list[_Flight]] = {}
        for flight in self._flights.values():
            if now > flight.until and flight.worker in self._crew:
                overdue.setdefault(flight.worker, []).append(flight)
        for worker, flights in overdue.items():
            keys = ", ".join(flight.item.task.key for flight in flights)
            self._tell(
                worker,
                f"worker {worker} is replaced: it goes on with {keys} after its deadline or its end",
            )
            self._give_up(worker, "it went on after its deadline", flights)

    def _give_up(self, worker: int, reason: str, guilty: Container[_Flight] | None = None) -> None:
        """End a worker. Its tasks are tried afresh; where the guilty are known, the others'
        attempts do not count."""
        for flight in self._open_flights():
            if flight.worker == worker:
                self._settle(flight)
                if guilty is None or flight in guilty:
                    self._fail(flight, STALLED, reason, died=guilty is None)
                else:
                    self._schedule.put_back(flight.item)
        self._lose(worker)

    def _miss_workers(self, now: float) -> None:
        """Tell once when tasks wait and no worker gets ready."""
        if not self._schedule.waits() or any(seat.ready for seat in self._schedule.seats.values()):
            self._unstaffed_since = now
        elif now - self._unstaffed_since > self._rollouts.stall_seconds:
            self._unstaffed_since = float("inf")
            self._tell(
                None,
                (
                    f"no rollout worker is ready; {len(self._schedule.seats)} of {self._rollouts.worker_cpus:g} CPUs each "
                    f"are asked for. The cluster has {ray.cluster_resources().get('CPU', 0):g} CPUs, of which "
                    f"{ray.available_resources().get('CPU', 0):g} are free: add nodes, or lower rollouts.worker_cpus"
                ),
            )

    def _tell(self, worker: int | None, account: str) -> None:
        """Log the first line, and keep the account as a file."""
        self._counts["accounts"] += 1
        _LOG.warning("%s", account.splitlines()[0])
        if self._reports is not None:
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            what = "pool" if worker is None else f"worker-{worker}"
            name = f"{REPORTS}/{moment}-{self._counts['accounts']:03d}-{what}.txt"
            self._reports.write_bytes(name, f"{account}\n".encode())
