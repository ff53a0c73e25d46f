"""Processes, a governor and a service in made-up time: messages are late, clocks differ, processes
and governors die.

Nothing here decides anything: ``Meter`` and ``Holding`` do, and are told the time. A governor's
event loop is played by ``World``, a process's by ``Process``; what reaches the service is kept with
its time.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from medr_ray.governor.allocator import Meter
from medr_ray.governor.client_state import Holding, Times, Waiter
from medr_ray.governor.clock_offset import Offset
from medr_ray.governor.limits import Amounts, Limits, Service, tolerance
from medr_ray.governor.protocol import RENEWAL, Grant, Message, News, Outcome, Result, Slot

_NOTHING = Grant(0, 0, (), News())


@dataclass(frozen=True)
class Arrival:
    """A request at the service: when it came and went, and what it took."""

    time: float
    end: float
    amounts: Amounts
    process: str


@dataclass
class _Poll:
    process: "Process"
    number: int
    sent: float
    heard: float
    until: float


@dataclass
class World:
    """``delay`` and ``lag`` are the longest a message takes and a process oversleeps, in seconds;
    ``unnoticed`` the longest that a process does not notice the death of the governor."""

    limits: Limits
    chance: random.Random
    delay: float = 0.001
    lag: float = 0.0
    unnoticed: float = 0.0
    seconds: Callable[[], float] = lambda: 0.05  # that the service takes for a request
    result: Callable[[float], Result] = lambda now: "succeeded"
    retry_after: float | None = None
    now: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)
    messages: int = 0

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers, self._epochs = itertools.count(), itertools.count()
        self._polls: dict[str, _Poll] = {}
        self.processes: list[Process] = []
        self.start_governor(cold=False)

    def start_governor(self, cold: bool = True) -> None:
        """A new governor; whatever was on its way to and from the old one is lost."""
        self._due = float("inf")
        self.epoch = f"epoch {next(self._epochs)}"
        self.meter = Meter(
            Service("key", "service", self.limits), self.epoch, self.now, self.now if cold else None
        )
        lost, self._polls = self._polls, {}
        for poll in lost.values():
            self.after(self.chance.uniform(0, self.delay + self.unnoticed), poll.process.lose)

    def process(self, skew: float = 0.0) -> "Process":
        self.processes.append(Process(self, f"process {len(self.processes)}", skew))
        return self.processes[-1]

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def tell(self, process: "Process", message: Message, number: int, sent: float) -> None:
        """A message on its way."""
        self.messages += 1
        self.after(
            self.chance.uniform(0, self.delay), lambda: self._hear(process, message, number, sent)
        )

    def _hear(self, process: "Process", message: Message, number: int, sent: float) -> None:
        poll = _Poll(process, number, sent, self.now, self.now + (RENEWAL if message.stay else 0.0))
        if not self.meter.hear(process.name, message, self.now):
            self._answer(poll, _NOTHING)
            return
        older = self._polls.pop(process.name, None)
        if older is not None:
            self._answer(older, _NOTHING)
        self._polls[process.name] = poll
        self._deal()

    def _deal(self) -> None:
        self._due = -1.0
        for name, grant in self.meter.deal(self.now).items():
            self._answer(self._polls.pop(name), grant)
        for name in [name for name, poll in self._polls.items() if poll.until <= self.now]:
            self.meter.silence(name)
            self._answer(self._polls.pop(name), _NOTHING)
        due = min([self.meter.wake(self.now), *(poll.until for poll in self._polls.values())])
        self._due = due
        if due < float("inf"):
            self.after(max(0.0, due - self.now), lambda: self._deal() if due == self._due else None)

    def _answer(self, poll: _Poll, grant: Grant) -> None:
        epoch, heard, answered = self.epoch, poll.heard, self.now
        self.after(
            self.chance.uniform(0, self.delay),
            lambda: poll.process.hear(epoch, grant, poll.number, poll.sent, heard, answered),
        )

    def most_in_a_window(self, size: Callable[[Arrival], float] = lambda one: 1.0) -> float:
        """The most that came within any ``limits.seconds``."""
        return most_within(self.arrivals, self.limits.window[1], size)

    def most_at_once(self) -> int:
        """The most requests that were in flight together."""
        changes = sorted(
            [(one.time, 1) for one in self.arrivals] + [(one.end, -1) for one in self.arrivals]
        )
        return max(itertools.accumulate(change for _, change in changes), default=0)


def most_within(
    arrivals: Sequence[Arrival], seconds: float, size: Callable[[Arrival], float]
) -> float:
    ordered = sorted(arrivals, key=lambda one: one.time)
    most = total = 0.0
    first = 0
    for one in ordered:
        total += size(one)
        while ordered[first].time <= one.time - seconds:
            total -= size(ordered[first])
            first += 1
        most = max(most, total)
    return most


class Process:
    """A process with a clock of its own. ``demand`` requests wait at any time, until ``demand`` is
    0."""

    def __init__(self, world: World, name: str, skew: float) -> None:
        self.world, self.name, self._skew = world, name, skew
        self.holding: Holding[Amounts] = Holding(world.limits)
        self.demand, self.amounts = 0, Amounts()
        self.used: Callable[[Amounts], Amounts] = lambda amounts: amounts
        self.alive, self._planned, self._offset = True, float("inf"), Offset()

    def want(self, demand: int, amounts: Amounts = Amounts()) -> "Process":  # noqa: B008
        self.demand, self.amounts = demand, amounts
        self.world.after(0.0, self._step)
        return self

    def die(self) -> None:
        self.alive = False

    def times(self) -> Times:
        now = self.world.now + self._skew
        low, high = self._offset.bounds(now)
        return Times(now, now + low, now + high)

    def _step(self) -> None:
        if not self.alive:
            return
        while len(self.holding.waiting) < self.demand:
            self.holding.waiting.append(Waiter(self.amounts, self.amounts))
        times = self.times()
        for amounts, slot in self.holding.served(times):
            self._send(amounts, slot)
        while len(self.holding.waiting) < self.demand:
            self.holding.waiting.append(Waiter(self.amounts, self.amounts))
        message = self.holding.message(times)
        if message is not None:
            self.world.tell(self, message, self.holding.last_message, times.now)
        self._plan(self.holding.next_event(times) - times.now)

    def _plan(self, seconds: float) -> None:
        seconds = max(1e-6, seconds)  # time goes on
        planned = self._planned = self.world.now + seconds
        if planned < float("inf"):
            self.world.after(
                seconds + self.world.chance.uniform(0, self.world.lag),
                lambda: self._step() if planned == self._planned else None,
            )

    def _send(self, amounts: Amounts, slot: Slot) -> None:
        world = self.world
        way = world.chance.uniform(0, tolerance(world.limits.seconds))
        taken = world.seconds()
        world.arrivals.append(
            Arrival(world.now + way, world.now + way + taken, self.used(amounts), self.name)
        )
        world.after(way + taken, lambda: self._finish(amounts, slot))

    def _finish(self, amounts: Amounts, slot: Slot) -> None:
        if self.alive:
            result = self.world.result(self.world.now)
            pause = self.world.retry_after if result == "refused" else None
            self.holding.finish(Outcome(slot, self.used(amounts), result, pause), self.times().now)
            self._step()

    def hear(
        self, epoch: str, grant: Grant, number: int, sent: float, heard: float, answered: float
    ) -> None:
        if self.alive:
            received = self.times().now
            self._offset.observe(sent, heard, answered, received)
            self.holding.hear(epoch, grant, number, received)
            self._step()

    def lose(self) -> None:
        if self.alive:
            self.holding.lost(self.times().now + 0.2)
            self._offset = Offset()
            self._step()
