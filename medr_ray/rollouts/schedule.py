"""Which task goes to which worker, and how many workers there should be: decisions only, no clock,
no process.

What holds:
- a task goes to a worker that is ready and has room; workers that are still starting are not counted on;
- after a failure a task goes to another worker, where another is ready;
- a task that has one attempt left, and under which a worker died before, runs on a worker alone: one that brings its
  worker down is given up without taking others with it;
- workers are wanted for what waits and runs, between the number kept and the number allowed.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from medr_ray.core.config import RolloutsConfig
from medr_ray.rollouts.worker import RolloutTask


@dataclass
class Item:
    """A task on its way to its outcome. ``attempts`` begun; ``failed_on``: the worker of the last
    failure; ``deaths``: workers that died under it."""

    number: int
    task: RolloutTask
    attempts: int = 0
    failed_on: int | None = None
    deaths: int = 0


@dataclass
class Seat:
    """A worker as the schedule sees it. ``idle_since`` is on the caller's clock."""

    load: int = 0
    ready: bool = False
    alone: bool = False
    idle_since: float = 0.0


@dataclass
class Schedule:
    """Tasks that wait and workers with their load."""

    config: RolloutsConfig
    seats: dict[int, Seat] = field(default_factory=dict)
    fresh: deque[Item] = field(default_factory=deque)
    again: list[Item] = field(default_factory=list)

    # --- tasks ---

    def add(self, items: Iterable[Item]) -> None:
        self.fresh.extend(items)

    def clear(self) -> None:
        """Forget what waits."""
        self.fresh.clear()
        self.again.clear()

    def waits(self) -> bool:
        return bool(self.fresh or self.again)

    def retry(self, item: Item, worker: int, died: bool) -> bool:
        """Whether the task, which failed on this worker, is tried again; it waits then."""
        item.failed_on, item.deaths = worker, item.deaths + died
        if item.attempts > self.config.retries:
            return False
        self.again.append(item)
        return True

    def put_back(self, item: Item) -> None:
        """A task that lost its worker through no fault of its own waits again, and the attempt is
        not counted."""
        item.attempts -= 1
        self.again.append(item)

    def assign(self) -> Iterator[tuple[int, Item]]:
        """Give out what can be given out, what failed before first."""
        for item in list(self.again):
            worker = self._place(item)
            if worker is not None:
                self.again.remove(item)
                yield self._seat(worker, item)
        while self.fresh:
            worker = self._least(self._with_room())
            if worker is None:
                return
            yield self._seat(worker, self.fresh.popleft())

    def _seat(self, worker: int, item: Item) -> tuple[int, Item]:
        seat = self.seats[worker]
        seat.load, seat.alone = seat.load + 1, self._suspect(item)
        item.attempts += 1
        return worker, item

    def _place(self, item: Item) -> int | None:
        others = any(seat.ready and one != item.failed_on for one, seat in self.seats.items())
        fitting = [one for one in self._with_room() if not (others and one == item.failed_on)]
        if self._suspect(item):
            fitting = [one for one in fitting if not self.seats[one].load]
        return self._least(fitting)

    def _suspect(self, item: Item) -> bool:
        return item.deaths > 0 and item.attempts >= self.config.retries

    def _with_room(self) -> list[int]:
        return [
            one
            for one, seat in self.seats.items()
            if seat.ready and not seat.alone and seat.load < self.config.concurrency
        ]

    def _least(self, workers: list[int]) -> int | None:
        return min(workers, key=lambda one: (self.seats[one].load, one), default=None)

    # --- workers ---

    def started(self, worker: int) -> None:
        self.seats[worker] = Seat()

    def ready(self, worker: int, now: float) -> None:
        self.seats[worker].ready, self.seats[worker].idle_since = True, now

    def gone(self, worker: int) -> None:
        self.seats.pop(worker, None)

    def left(self, worker: int, now: float) -> None:
        """A rollout ended on a worker, which may be gone."""
        seat = self.seats.get(worker)
        if seat is not None:
            seat.load, seat.alone, seat.idle_since = seat.load - 1, False, now

    def wanted(self) -> int:
        """Workers there should be for what waits and runs now."""
        room = self.config.concurrency
        suspects = sum(self._suspect(one) for one in self.again)
        demand = (
            len(self.fresh)
            + len(self.again)
            - suspects
            + sum(seat.load for seat in self.seats.values())
        )
        return min(
            self.config.max_workers, max(self.config.workers, math.ceil(demand / room) + suspects)
        )

    def missing(self) -> int:
        """Workers to start; those still starting count as there."""
        return max(0, self.wanted() - len(self.seats))

    def surplus(self, now: float) -> list[int]:
        """Workers to give back: first those that are still starting, then those without a rollout
        for so long."""
        spare = len(self.seats) - self.wanted()
        starting = [one for one, seat in self.seats.items() if not seat.ready]
        idle = [
            one
            for one, seat in self.seats.items()
            if seat.ready and not seat.load and now - seat.idle_since >= self.config.idle_seconds
        ]
        return [*reversed(starting), *reversed(idle)][: max(0, spare)]
