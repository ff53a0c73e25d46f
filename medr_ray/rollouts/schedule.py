"""Decides which request goes to which worker, and how many workers there should be.

It only decides: the caller gives the time and owns the processes.

- A request goes to a worker that is ready and has room. Workers that are still starting are not
  counted on.
- After a failure a request goes to another worker, where another is ready.
- A request that has one attempt left, and under which a worker died before, runs on a worker alone.
  A request that kills its worker is then given up without taking others with it.
- The number of workers follows what waits and runs, between ``rollouts.workers`` and
  ``rollouts.max_workers``.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from medr_ray.core.config import RolloutsConfig
from medr_ray.core.placement import Need
from medr_ray.rollouts.worker import RolloutRequest


def describe_worker_need(config: RolloutsConfig) -> Need:
    """The least that rollouts need: one worker."""
    settings = {"CPU": ["rollouts.worker_cpus"]}
    return Need("a rollout worker", {"CPU": config.worker_cpus}, 1, settings)


@dataclass
class ScheduledRequest:
    """A request on its way to its outcome.

    ``attempts`` were begun, the last failure was on the worker ``failed_on``, and ``deaths``
    workers died under it.
    """

    number: int
    request: RolloutRequest
    attempts: int = 0
    failed_on: int | None = None
    deaths: int = 0


@dataclass
class WorkerSlot:
    """A worker as the schedule sees it. ``load`` counts its rollouts; ``idle_since`` is on the
    caller's clock, in seconds."""

    load: int = 0
    ready: bool = False
    alone: bool = False
    idle_since: float = 0.0


@dataclass
class Schedule:
    """The requests that wait, and the workers with their load.

    ``fresh`` requests were never tried; ``retries`` failed or lost their worker before.
    """

    config: RolloutsConfig
    slots: dict[int, WorkerSlot] = field(default_factory=dict)
    fresh: deque[ScheduledRequest] = field(default_factory=deque)
    retries: list[ScheduledRequest] = field(default_factory=list)

    # --- requests ---

    def add_requests(self, scheduled: Iterable[ScheduledRequest]) -> None:
        """Queue requests that were never tried."""
        self.fresh.extend(scheduled)

    def drop_waiting_requests(self) -> None:
        """Drop all waiting requests."""
        self.fresh.clear()
        self.retries.clear()

    def has_waiting_requests(self) -> bool:
        return bool(self.fresh or self.retries)

    def requeue_failed(self, scheduled: ScheduledRequest, worker: int, died: bool) -> bool:
        """Queue a request that failed on ``worker`` again. False, and it is not queued, when its
        attempts are used up."""
        scheduled.failed_on = worker
        # A death may be the request's fault (memory, a crash in native code), which decides whether
        # it later runs alone.
        scheduled.deaths += died
        if scheduled.attempts > self.config.retries:
            return False
        self.retries.append(scheduled)
        return True

    def put_back(self, scheduled: ScheduledRequest) -> None:
        """Queue a request that lost its worker through no fault of its own. The attempt is not
        counted."""
        scheduled.attempts -= 1
        self.retries.append(scheduled)

    def assign_requests(self) -> Iterator[tuple[int, ScheduledRequest]]:
        """(worker, request) for every waiting request that a worker has room for, retries first."""
        # A copy, because requests are taken out while it is walked through.
        for scheduled in list(self.retries):
            worker = self._choose_worker(scheduled)
            if worker is not None:
                self.retries.remove(scheduled)
                yield self._assign_to(worker, scheduled)
        while self.fresh:
            worker = self._least_loaded(self._workers_with_room())
            if worker is None:
                return
            yield self._assign_to(worker, self.fresh.popleft())

    def _assign_to(self, worker: int, scheduled: ScheduledRequest) -> tuple[int, ScheduledRequest]:
        slot = self.slots[worker]
        slot.load += 1
        slot.alone = self._is_suspect(scheduled)
        scheduled.attempts += 1
        return worker, scheduled

    def _choose_worker(self, scheduled: ScheduledRequest) -> int | None:
        candidates = self._workers_with_room()
        if self._is_ready_elsewhere(scheduled.failed_on):
            # Better to wait for room on another worker than to fail on the same one again.
            candidates = [worker for worker in candidates if worker != scheduled.failed_on]
        if self._is_suspect(scheduled):
            candidates = [worker for worker in candidates if not self.slots[worker].load]
        return self._least_loaded(candidates)

    def _is_ready_elsewhere(self, failed_on: int | None) -> bool:
        return any(slot.ready and worker != failed_on for worker, slot in self.slots.items())

    def _is_suspect(self, scheduled: ScheduledRequest) -> bool:
        """Whether a worker died under the request and one attempt is left."""
        return scheduled.deaths > 0 and scheduled.attempts >= self.config.retries

    def _workers_with_room(self) -> list[int]:
        return [worker for worker, slot in self.slots.items() if self._has_room(slot)]

    def _has_room(self, slot: WorkerSlot) -> bool:
        return slot.ready and not slot.alone and slot.load < self.config.concurrency

    def _least_loaded(self, workers: list[int]) -> int | None:
        # Equal loads go by number, so that the same events give the same schedule.
        return min(workers, key=lambda worker: (self.slots[worker].load, worker), default=None)

    # --- workers ---

    def add_worker(self, worker: int) -> None:
        """A worker was started; it is given requests after ``mark_ready``."""
        self.slots[worker] = WorkerSlot()

    def mark_ready(self, worker: int, now: float) -> None:
        slot = self.slots[worker]
        slot.ready = True
        slot.idle_since = now

    def remove_worker(self, worker: int) -> None:
        self.slots.pop(worker, None)

    def release_worker(self, worker: int, now: float) -> None:
        """A rollout ended on a worker, which may have been removed before."""
        slot = self.slots.get(worker)
        if slot is not None:
            slot.load -= 1
            slot.alone = False
            slot.idle_since = now

    def wanted_workers(self) -> int:
        """How many workers there should be for what waits and runs now."""
        suspects = sum(self._is_suspect(scheduled) for scheduled in self.retries)
        running = sum(slot.load for slot in self.slots.values())
        # Suspects are counted apart: each takes a whole worker.
        sharing = len(self.fresh) + len(self.retries) - suspects + running
        needed = math.ceil(sharing / self.config.concurrency) + suspects
        return min(self.config.max_workers, max(self.config.workers, needed))

    def missing_workers(self) -> int:
        """How many workers to start. Those that are starting count as present."""
        return max(0, self.wanted_workers() - len(self.slots))

    def surplus_workers(self, now: float) -> list[int]:
        """The workers to give back: first those that are still starting, then those that have been
        idle for ``rollouts.idle_seconds``; the newest first."""
        spare = len(self.slots) - self.wanted_workers()
        starting = [worker for worker, slot in self.slots.items() if not slot.ready]
        idle = [worker for worker, slot in self.slots.items() if self._is_idle(slot, now)]
        # Starting workers first: they hold no warm environment and no memory of caches yet.
        return [*reversed(starting), *reversed(idle)][: max(0, spare)]

    def _is_idle(self, slot: WorkerSlot, now: float) -> bool:
        seconds = now - slot.idle_since
        return slot.ready and not slot.load and seconds >= self.config.idle_seconds
