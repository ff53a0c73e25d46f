"""A pool of worker actors that grows and shrinks with the number of open requests.

- Every request given to ``run`` comes back exactly once: as a trajectory, or as a failure of a
  kind.
- A result that arrives after its request was given up is dropped and counted.
- A worker that died, or whose event loop is blocked, is replaced. Its requests start again, on
  another worker if there is one.
- A request that keeps failing is given up after ``rollouts.retries`` fresh attempts.
- Where no node could ever hold a worker, that is an InfrastructureError and no endless wait.
- Requests in a row that are given up for the same reason end the run: InfrastructureError.
- ``close`` ends the run as well as the workers, wherever its consumer stopped. Afterwards nothing
  of the pool starts a thread or an actor any more.
- Bugs (any exception that is not an infrastructure failure) are raised, not retried.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from medr_ray.agent.episode_loop import NO_FAULTS, FaultPlan
from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, MedrError
from medr_ray.core.failure_streak import FailureStreak
from medr_ray.core.placement import find_shortage, read_nodes
from medr_ray.core.records import Trajectory
from medr_ray.core.run import Directory
from medr_ray.rollouts.failure_kinds import STALLED, STRAGGLER, WORKER_DIED, FailureKind
from medr_ray.rollouts.groups import GroupBook
from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.schedule import Schedule, ScheduledRequest, describe_worker_need
from medr_ray.rollouts.worker import (
    EnvironmentFactory,
    EpisodeReport,
    Heartbeat,
    IndexEnvironment,
    PolicyFactory,
    RolloutRequest,
)
from medr_ray.rollouts.worker_group import WorkerEvent, WorkerGroup

STALL_REPORTS_FOLDER = "stalls"
_TICK_SECONDS = 0.25  # how often the clock is looked at while no event arrives
# Between two health checks; a quarter of ``rollouts.stall_seconds`` where that is shorter.
_HEALTH_CHECK_SECONDS = 10.0
# Workers in a row that die before they are ready. Then the cause is common to all (memory, mostly),
# and the next would die as well.
_MAX_DEATHS_AT_START = 3
_LOG = logging.getLogger(__name__)

FindStragglers = Callable[[Mapping[int, float]], list[int]]
# Given a finished group, the groups to run besides.
AddGroups = Callable[[GroupOutcome], Sequence[Sequence[RolloutRequest]]]


@dataclass(eq=False)
class _InFlightRollout:
    """A rollout in flight.

    After ``deadline`` (monotonic seconds) its worker no longer keeps its own deadlines. When it is
    ``settled``, its outcome was given or its request waits again, so what it returns is late.
    """

    scheduled: ScheduledRequest
    worker: int
    cancel: Callable[[], None]
    deadline: float
    started: float = field(default_factory=time.monotonic)
    settled: bool = False


class RolloutPool:
    """Keeps ``rollouts.workers`` actors, up to ``rollouts.max_workers`` while requests queue up.

    Workers run episodes in ``environment``, or else with the configured tools over ``index_uri``
    and the policies of ``make_factory``. Reports on workers that stalled go to ``reports``. While
    ``may_begin`` says no, because what the rollouts need is away, none is begun.
    """

    def __init__(
        self,
        config: PipelineConfig,
        index_uri: str = "",
        make_factory: Callable[[Rarity | None], PolicyFactory] | None = None,
        faults: FaultPlan = NO_FAULTS,
        *,
        environment: EnvironmentFactory | None = None,
        reports: Directory | None = None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        if environment is None:
            if make_factory is None:
                raise TypeError("RolloutPool needs index_uri and make_factory, or environment")
            environment = IndexEnvironment(config, index_uri, make_factory)
        self._config = config.rollouts
        self._episode_seconds = config.agent.seconds
        self._reports = reports
        self._may_begin = may_begin
        self._placement_seconds = config.ray.placement_seconds
        self._workers = WorkerGroup(config, environment, faults)
        self._schedule = Schedule(config.rollouts)
        self._in_flight: dict[int, _InFlightRollout] = {}
        # A number for each attempt: a late answer of an earlier attempt must not pass for the new
        # one.
        self._rollout_numbers = itertools.count()
        # Of the run: the positions of its requests, and how many have no outcome yet.
        self._positions = itertools.count()
        self._remaining = 0
        self._finished: list[tuple[ScheduledRequest, RolloutOutcome]] = []
        self._heartbeat_requested: dict[int, float] = {}  # when, by worker, until it answers
        self._next_health_check = time.monotonic()
        self._unstaffed_since = time.monotonic()
        self._unstaffed_reported = False
        self._deaths_at_start = 0
        self._streak = FailureStreak("rollouts")
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        # The lock is between a run and the timer's thread, which gives idle workers back.
        self._running = False
        self._closed = False
        self._lock = threading.Lock()
        # Never started. It is there so that the first run has a timer to cancel.
        self._timer = threading.Timer(0, self._return_idle_workers)
        self._adjust_workers()

    def run(self, requests: Iterable[RolloutRequest]) -> Generator[RolloutOutcome, None, None]:
        """Outcomes as they finish, in no particular order."""
        with contextlib.closing(self._run_requests(requests, None)) as finished:
            for _, outcome in finished:
                yield outcome

    def run_groups(
        self,
        groups: Sequence[Sequence[RolloutRequest]],
        share: float,
        add_groups: AddGroups | None = None,
    ) -> Generator[GroupOutcome, None, None]:
        """Groups as they finish, in no particular order.

        A group is viable with ``share`` of its rollouts, and from then on waits for no straggler
        (``rollouts.straggler_factor``, ``straggler_seconds``). ``add_groups`` is called with each
        finished group; the groups that it returns run beside those that still do.
        """
        factor = self._config.straggler_factor
        book = GroupBook(groups, share, factor, self._config.straggler_seconds)
        with contextlib.closing(
            self._run_requests(book.requests, book.find_stragglers)
        ) as finished:
            for position, outcome in finished:
                group = book.add_outcome(position, outcome)
                if group is None:
                    continue
                if add_groups is not None:
                    self._add_requests(book.add_groups(add_groups(group)))
                yield group

    def figures(self) -> dict[str, Any]:
        """Counts since the pool began.

        ``failed_attempts`` by kind (also those of requests that succeeded later), ``late`` results
        that were dropped, workers ``started``, ``lost`` and ``returned``, and ``accounts``: reports
        on what stalled.
        """
        return {
            "failed_attempts": dict(sorted(self._failures.items())),
            "started": self._workers.started,
            **{name: self._counts[name] for name in ("lost", "returned", "late", "accounts")},
        }

    def close(self) -> None:
        """End a run that nobody followed to its end, and all workers."""
        self._closed = True
        self._timer.cancel()
        # Not left to the run's generator: it is suspended where its consumer raised, and Python may
        # collect it when the interpreter ends and no thread can start any more.
        try:
            self._end_run()
        finally:
            with self._lock:
                self._workers.end_all()
                self._schedule.slots.clear()

    def __enter__(self) -> "RolloutPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- one run ---

    def _run_requests(
        self, requests: Iterable[RolloutRequest], find_stragglers: FindStragglers | None
    ) -> Generator[tuple[int, RolloutOutcome], None, None]:
        """(position of the request, its outcome)."""
        self._begin_run()
        is_complete = False
        try:
            self._add_requests(requests)
            while self._remaining:
                self._require_open()
                self._adjust_workers()
                self._dispatch_requests()
                # Before the events: what is judged late had not come by then. With the time after
                # them, a pause of this process would be held against answers that are queued.
                now = time.monotonic()
                for event in self._workers.events(_TICK_SECONDS):
                    self._handle_event(event)
                if find_stragglers is not None:
                    self._cut_stragglers(find_stragglers, now)
                self._check_health(now)
                finished = self._finished
                self._finished = []
                self._remaining -= len(finished)
                yield from ((scheduled.number, outcome) for scheduled, outcome in finished)
                # Only now: what was finished is the consumer's to keep.
                self._streak.require_hope()
            is_complete = True
        finally:
            self._end_run()
            if is_complete and not self._closed:
                self._start_idle_timer()

    def _require_open(self) -> None:
        if self._closed:
            raise MedrError("this pool is closed: make another one")

    def _add_requests(self, requests: Iterable[RolloutRequest]) -> None:
        """Queue requests of the run; their positions go on behind those there are."""
        queue = [ScheduledRequest(next(self._positions), request) for request in requests]
        self._remaining += len(queue)
        self._schedule.add_requests(queue)

    def _begin_run(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._require_open()
            if self._running:
                raise MedrError(
                    "this pool is already running requests: take all its outcomes first, or use "
                    "another pool"
                )
            self._running = True
        self._finished.clear()
        self._positions = itertools.count()
        self._remaining = 0
        self._unstaffed_since = time.monotonic()

    def _end_run(self) -> None:
        """Cancel what nobody waits for. Does nothing where the run has ended."""
        if not self._running:
            return
        self._running = False
        self._schedule.drop_waiting_requests()
        for rollout in self._open_rollouts():
            self._mark_settled(rollout)
            rollout.cancel()

    def _start_idle_timer(self) -> None:
        """Set the timer that gives idle workers back.

        Only behind a whole run. One that was cut short may be ended by the interpreter's own end,
        which waits for ever for a thread that it no longer lets start.
        """
        self._timer = threading.Timer(self._config.idle_seconds, self._return_idle_workers)
        # The process may end before the timer does.
        self._timer.daemon = True
        self._timer.start()

    def _dispatch_requests(self) -> None:
        if not self._may_begin():
            return
        # A worker ends its episodes itself after ``agent.seconds``; only one that fails to do so
        # for ``stall_seconds`` more is ended from here.
        allowed = self._episode_seconds + self._config.stall_seconds
        for worker, scheduled in self._schedule.assign_requests():
            number = next(self._rollout_numbers)
            cancel = self._workers.start_rollout(worker, number, scheduled.request)
            deadline = time.monotonic() + allowed
            self._in_flight[number] = _InFlightRollout(scheduled, worker, cancel, deadline)

    def _handle_event(self, event: WorkerEvent) -> None:
        if event.kind == "finished":
            self._handle_finished(self._in_flight.pop(event.number), event.answer)
            return
        if event.number not in self._workers:
            return  # the worker was ended meanwhile
        error = event.answer.exception()
        if isinstance(error, RayError):
            self._handle_worker_death(event.number, error)
        elif event.kind == "ready":
            # Only deaths in a row count: a worker that came up shows that others can.
            self._deaths_at_start = 0
            self._schedule.mark_ready(event.number, time.monotonic())
        else:
            self._handle_heartbeat(event.number, event.answer.result())

    def _handle_finished(self, rollout: _InFlightRollout, answer: Any) -> None:
        self._schedule.release_worker(rollout.worker, time.monotonic())
        error = answer.exception()
        if rollout.settled:
            if error is None and answer.result().trajectory is not None:
                self._counts["late"] += 1
        elif error is None:
            self._take_report(rollout, answer.result())
        elif isinstance(error, RayError) and not isinstance(error, RayTaskError):
            # A RayTaskError is an exception of our own code; all else is the worker's end.
            self._lose_worker(rollout.worker)
            reason = f"worker died: {type(error).__name__}"
            self._retry_or_give_up(rollout, WORKER_DIED, reason, died=True)
        else:
            raise error

    def _take_report(self, rollout: _InFlightRollout, report: EpisodeReport) -> None:
        if report.trajectory is not None:
            self._add_outcome(rollout, report.trajectory)
        elif report.kind:
            self._retry_or_give_up(rollout, report.kind, report.failure)
        else:
            raise RuntimeError("a worker reported neither a trajectory nor a kind of failure")

    def _retry_or_give_up(
        self, rollout: _InFlightRollout, kind: FailureKind, reason: str, died: bool = False
    ) -> None:
        """Try the request again, or give it up where its attempts are used up."""
        self._failures[kind] += 1
        if not self._schedule.requeue_failed(rollout.scheduled, rollout.worker, died):
            self._add_outcome(rollout, None, reason, kind)

    def _add_outcome(
        self,
        rollout: _InFlightRollout,
        trajectory: Trajectory | None,
        failure: str = "",
        kind: FailureKind | Literal[""] = "",
    ) -> None:
        scheduled = rollout.scheduled
        seconds = time.monotonic() - rollout.started
        outcome = RolloutOutcome(
            scheduled.request, trajectory, failure, seconds, kind, scheduled.attempts
        )
        self._finished.append((scheduled, outcome))
        if trajectory is not None:
            self._streak.record_success()
        elif kind != STRAGGLER:
            # A straggler is cut by choice, from a group that does without it.
            self._streak.record_failure(f"{failure} ({kind})")

    def _cut_stragglers(self, find_stragglers: FindStragglers, now: float) -> None:
        # At most one attempt of a request is open at a time, so the request's number identifies it.
        by_number = {rollout.scheduled.number: rollout for rollout in self._open_rollouts()}
        elapsed = {number: now - rollout.started for number, rollout in by_number.items()}
        for number in find_stragglers(elapsed):
            rollout = by_number[number]
            self._mark_settled(rollout)
            rollout.cancel()
            self._failures[STRAGGLER] += 1
            reason = (
                f"cut after {elapsed[number]:.0f} s: its group was large enough and took much less"
            )
            self._add_outcome(rollout, None, reason, STRAGGLER)

    def _open_rollouts(self) -> list[_InFlightRollout]:
        return [rollout for rollout in self._in_flight.values() if not rollout.settled]

    def _mark_settled(self, rollout: _InFlightRollout) -> None:
        """From now on its result is late. If none comes at all, its worker is ended."""
        rollout.settled = True
        rollout.deadline = time.monotonic() + self._config.stall_seconds

    # --- workers ---

    def _adjust_workers(self) -> None:
        """Start and give back workers, as many as the schedule asks for."""
        for _ in range(self._schedule.missing_workers()):
            self._schedule.add_worker(self._workers.start())
        self._return_surplus()

    def _return_surplus(self) -> None:
        for worker in self._schedule.surplus_workers(time.monotonic()):
            self._counts["returned"] += 1
            self._end_worker(worker)

    def _return_idle_workers(self) -> None:
        """Give idle workers back between two runs; called from the timer's thread."""
        with self._lock:
            if not self._running and ray.is_initialized():
                self._return_surplus()

    def _end_worker(self, worker: int) -> None:
        self._schedule.remove_worker(worker)
        self._heartbeat_requested.pop(worker, None)
        self._workers.end(worker)

    def _lose_worker(self, worker: int) -> None:
        """End a worker that died or stalled. All its rollouts report it; the first counts."""
        if worker in self._workers:
            self._counts["lost"] += 1
            self._end_worker(worker)

    def _handle_worker_death(self, worker: int, error: RayError) -> None:
        """A worker died before it was ready, or before it answered a heartbeat."""
        slot = self._schedule.slots.get(worker)
        is_bug = isinstance(error, RayTaskError)
        failed_to_start = isinstance(error, RayActorError) and error.actor_init_failed
        if is_bug or failed_to_start:
            raise error  # another worker would fail in the same way
        if slot is not None and not slot.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= _MAX_DEATHS_AT_START:
                raise InfrastructureError(
                    f"{_MAX_DEATHS_AT_START} rollout workers in a row died while they started: "
                    f"{error}. See the worker logs of the cluster; too little memory is the usual "
                    "cause"
                ) from error
        self._lose_worker(worker)

    # --- health ---

    def _check_health(self, now: float) -> None:
        """Every few seconds: ask busy workers for a heartbeat, and replace those that gave none or
        no longer keep deadlines."""
        if now < self._next_health_check:
            return
        stall_seconds = self._config.stall_seconds
        self._next_health_check = now + min(_HEALTH_CHECK_SECONDS, stall_seconds / 4)
        # A copy, because replacing a worker changes the slots.
        for worker, slot in list(self._schedule.slots.items()):
            requested = self._heartbeat_requested.get(worker)
            if requested is None:
                if slot.ready and slot.load:
                    self._heartbeat_requested[worker] = time.monotonic()
                    self._workers.request_heartbeat(worker)
            elif now - requested > stall_seconds:
                silent = f"gave no sign of life for {now - requested:.0f} s"
                self._keep_report(worker, f"worker {worker} {silent}")
                self._replace_worker(worker, "its worker gave no sign of life")
        self._replace_overdue_workers(now)
        self._check_staff(now)

    def _handle_heartbeat(self, worker: int, heartbeat: Heartbeat) -> None:
        self._heartbeat_requested.pop(worker, None)
        if heartbeat.stall_report:
            self._keep_report(worker, heartbeat.stall_report)
        if heartbeat.blocked:
            self._replace_worker(worker, "its worker's event loop was blocked")

    def _replace_overdue_workers(self, now: float) -> None:
        overdue: dict[int, list[_InFlightRollout]] = {}
        # Settled rollouts too: one that was cancelled and goes on still occupies its worker.
        for rollout in self._in_flight.values():
            if now > rollout.deadline and rollout.worker in self._workers:
                overdue.setdefault(rollout.worker, []).append(rollout)
        for worker, rollouts in overdue.items():
            keys = ", ".join(rollout.scheduled.request.key for rollout in rollouts)
            self._keep_report(
                worker,
                f"worker {worker} is replaced: it goes on with {keys} after its deadline or its "
                "end",
            )
            self._replace_worker(worker, "it went on after its deadline", rollouts)

    def _replace_worker(
        self, worker: int, reason: str, guilty: Container[_InFlightRollout] | None = None
    ) -> None:
        """End a worker and try its requests afresh.

        Where the guilty rollouts are known, the attempts of the others do not count.
        """
        for rollout in self._open_rollouts():
            if rollout.worker != worker:
                continue
            self._mark_settled(rollout)
            if guilty is None or rollout in guilty:
                self._retry_or_give_up(rollout, STALLED, reason, died=guilty is None)
            else:
                self._schedule.put_back(rollout.scheduled)
        self._lose_worker(worker)

    def _check_staff(self, now: float) -> None:
        """When requests wait and no worker becomes ready: report it once.

        Raises InfrastructureError where no node could ever hold a worker.
        """
        is_staffed = any(slot.ready for slot in self._schedule.slots.values())
        if is_staffed or not self._schedule.has_waiting_requests():
            self._unstaffed_since = now
            self._unstaffed_reported = False
            return
        waited = now - self._unstaffed_since
        if waited >= self._placement_seconds:
            shortage = find_shortage([describe_worker_need(self._config)], read_nodes())
            if shortage:
                raise InfrastructureError(f"{shortage} (waited {waited:.0f} s)")
        if waited > self._config.stall_seconds and not self._unstaffed_reported:
            self._unstaffed_reported = True
            requested = f"{len(self._schedule.slots)} of {self._config.worker_cpus:g} CPUs each"
            total = ray.cluster_resources().get("CPU", 0)
            free = ray.available_resources().get("CPU", 0)
            self._keep_report(
                None,
                f"no rollout worker is ready; {requested} are asked for. The cluster has {total:g} "
                f"CPUs, of which {free:g} are free: add nodes, or lower rollouts.worker_cpus",
            )

    def _keep_report(self, worker: int | None, text: str) -> None:
        """Log the first line, and keep the whole text as a file."""
        self._counts["accounts"] += 1
        _LOG.warning("%s", text.splitlines()[0])
        if self._reports is not None:
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            subject = "pool" if worker is None else f"worker-{worker}"
            name = f"{STALL_REPORTS_FOLDER}/{moment}-{self._counts['accounts']:03d}-{subject}.txt"
            self._reports.write_bytes(name, f"{text}\n".encode())
