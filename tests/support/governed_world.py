"""Processes, a governor and a service in made-up time: messages are late, clocks differ, processes
and governors die.

Nothing here decides anything: ``LeaseAllocator`` and ``ClientState`` do, and are given the time.
``World`` stands for a governor's event loop, ``Process`` for that of a client; what reaches the
service is kept with its time.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from medr_ray.governor.allocator import LeaseAllocator
from medr_ray.governor.client_state import ClientState, ClockReading, Waiter
from medr_ray.governor.clock_offset import ClockOffset
from medr_ray.governor.limits import Amounts, GovernedService, Limits, arrival_jitter
from medr_ray.governor.protocol import (
    NO_GRANT,
    POLL_SECONDS,
    GovernorResponse,
    Grant,
    Outcome,
    RequestResult,
    Slot,
    StateReport,
)

_NO_AMOUNTS = Amounts()


@dataclass(frozen=True)
class Arrival:
    """A request at the service: when it came and went, and what it took."""

    time: float
    end: float
    amounts: Amounts
    process: str


@dataclass
class _LongPoll:
    process: "Process"
    number: int
    sent: float
    received_at: float
    expires_at: float


@dataclass
class World:
    """``delay`` and ``lag`` are the longest a message takes and a process oversleeps, in seconds;
    ``unnoticed`` the longest that a process does not notice the death of the governor."""

    limits: Limits
    rng: random.Random
    delay: float = 0.001
    lag: float = 0.0
    unnoticed: float = 0.0
    seconds: Callable[[], float] = lambda: 0.05  # that the service takes for a request
    result: Callable[[float], RequestResult] = lambda now: "succeeded"
    retry_after: float | None = None
    now: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)
    messages: int = 0

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._epochs = itertools.count()
        self._polls: dict[str, _LongPoll] = {}
        self.processes: list[Process] = []
        self.start_governor(replaces_another=False)

    def start_governor(self, replaces_another: bool = True) -> None:
        """A new governor; whatever was on its way to and from the old one is lost."""
        self._due = float("inf")
        self.epoch = f"epoch {next(self._epochs)}"
        service = GovernedService("key", "service", self.limits)
        predecessor_until = self.now if replaces_another else None
        self.allocator = LeaseAllocator(service, self.epoch, self.now, predecessor_until)
        lost_polls = self._polls
        self._polls = {}
        for poll in lost_polls.values():
            self.after(self.rng.uniform(0, self.delay + self.unnoticed), poll.process.lose_governor)

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

    def send_report(self, process: "Process", report: StateReport, sent: float) -> None:
        """Let a report be on its way."""
        self.messages += 1
        number = process.state.last_report_number
        self.after(
            self.rng.uniform(0, self.delay),
            lambda: self._receive_report(process, report, number, sent),
        )

    def _receive_report(
        self, process: "Process", report: StateReport, number: int, sent: float
    ) -> None:
        seconds = POLL_SECONDS if report.awaits_grant else 0.0
        poll = _LongPoll(process, number, sent, self.now, self.now + seconds)
        if not self.allocator.receive_report(process.name, report, self.now):
            self._answer(poll, NO_GRANT)
            return
        older = self._polls.pop(process.name, None)
        if older is not None:
            self._answer(older, NO_GRANT)
        self._polls[process.name] = poll
        self._allocate()

    def _allocate(self) -> None:
        self._due = -1.0
        for name, grant in self.allocator.allocate(self.now).items():
            self._answer(self._polls.pop(name), grant)
        expired = [name for name, poll in self._polls.items() if poll.expires_at <= self.now]
        for name in expired:
            self.allocator.stop_listening(name)
            self._answer(self._polls.pop(name), NO_GRANT)
        expiries = [poll.expires_at for poll in self._polls.values()]
        due = min([self.allocator.next_wakeup(self.now), *expiries])
        self._due = due
        if due < float("inf"):
            self.after(
                max(0.0, due - self.now), lambda: self._allocate() if due == self._due else None
            )

    def _answer(self, poll: _LongPoll, grant: Grant) -> None:
        response = GovernorResponse(self.epoch, poll.received_at, self.now, grant)
        self.after(
            self.rng.uniform(0, self.delay),
            lambda: poll.process.receive_response(response, poll.number, poll.sent),
        )

    def most_in_a_window(self, size: Callable[[Arrival], float] = lambda arrival: 1.0) -> float:
        """The most that came within any ``limits.seconds``."""
        return most_within(self.arrivals, self.limits.request_window[1], size)

    def most_at_once(self) -> int:
        """The most requests that were in flight together."""
        begins = [(arrival.time, 1) for arrival in self.arrivals]
        ends = [(arrival.end, -1) for arrival in self.arrivals]
        changes = sorted(begins + ends)
        return max(itertools.accumulate(change for _, change in changes), default=0)


def most_within(
    arrivals: Sequence[Arrival], seconds: float, size: Callable[[Arrival], float]
) -> float:
    """The most that came within any ``seconds``."""
    ordered = sorted(arrivals, key=lambda arrival: arrival.time)
    largest = 0.0
    total = 0.0
    first = 0
    for arrival in ordered:
        total += size(arrival)
        while ordered[first].time <= arrival.time - seconds:
            total -= size(ordered[first])
            first += 1
        largest = max(largest, total)
    return largest


class Process:
    """A process with its own clock. ``demand`` requests wait at any time, until ``demand`` is
    0."""

    def __init__(self, world: World, name: str, skew: float) -> None:
        self.world = world
        self.name = name
        self._skew = skew
        self.state: ClientState[Amounts] = ClientState(world.limits)
        self.demand = 0
        self.amounts = Amounts()
        self.used: Callable[[Amounts], Amounts] = lambda amounts: amounts
        self.alive = True
        self._planned = float("inf")
        self._offset = ClockOffset()

    def want(self, demand: int, amounts: Amounts = _NO_AMOUNTS) -> "Process":
        self.demand, self.amounts = demand, amounts
        self.world.after(0.0, self._step)
        return self

    def die(self) -> None:
        self.alive = False

    def read_clock(self) -> ClockReading:
        now = self.world.now + self._skew
        low, high = self._offset.bounds(now)
        return ClockReading(now, now + low, now + high)

    def _step(self) -> None:
        if not self.alive:
            return
        while len(self.state.waiting) < self.demand:
            self.state.waiting.append(Waiter(self.amounts, self.amounts))
        reading = self.read_clock()
        for amounts, slot in self.state.serve_waiters(reading):
            self._send(amounts, slot)
        while len(self.state.waiting) < self.demand:
            self.state.waiting.append(Waiter(self.amounts, self.amounts))
        report = self.state.build_report(reading)
        if report is not None:
            self.world.send_report(self, report, reading.now)
        self._plan(self.state.next_event_time(reading) - reading.now)

    def _plan(self, seconds: float) -> None:
        seconds = max(1e-6, seconds)  # time goes on
        planned = self._planned = self.world.now + seconds
        if planned < float("inf"):
            self.world.after(
                seconds + self.world.rng.uniform(0, self.world.lag),
                lambda: self._step() if planned == self._planned else None,
            )

    def _send(self, amounts: Amounts, slot: Slot) -> None:
        world = self.world
        way = world.rng.uniform(0, arrival_jitter(world.limits.seconds))
        taken = world.seconds()
        world.arrivals.append(
            Arrival(world.now + way, world.now + way + taken, self.used(amounts), self.name)
        )
        world.after(way + taken, lambda: self._finish(amounts, slot))

    def _finish(self, amounts: Amounts, slot: Slot) -> None:
        if self.alive:
            result = self.world.result(self.world.now)
            pause = self.world.retry_after if result == "refused" else None
            self.state.finish_request(
                Outcome(slot, self.used(amounts), result, pause), self.read_clock().now
            )
            self._step()

    def receive_response(self, response: GovernorResponse, number: int, sent: float) -> None:
        if self.alive:
            received = self.read_clock().now
            self._offset.observe_exchange(
                sent, response.received_at, response.answered_at, received
            )
            self.state.apply_grant(response.epoch, response.grant, number, received)
            self._step()

    def lose_governor(self) -> None:
        if self.alive:
            self.state.handle_connection_loss(self.read_clock().now + 0.2)
            self._offset = ClockOffset()
            self._step()
