"""How much of something may be taken when: the rate limits of a service as arithmetic over given
times.

What holds for a ``Bucket``, for times that do not run backwards: what is taken for the time from
``at`` on may happen until ``until``, and however that turns out, in any window of its span it sums
up to at most ``limit`` (one amount above it goes alone). Amounts are spread over the window but for
a burst. What was taken can be corrected later without loosening the bound.
"""

import bisect
from dataclasses import dataclass, field

from medr_ray.governor.limits import Amounts, Limits, tolerance

_CELLS = (
    1000  # parts of a window that are counted as one moment; times are rounded to the safe side
)
_EPSILON = 1e-9
_REQUEST_BURST, _TOKEN_BURST = (
    0.01,
    0.1,
)  # of the limit; requests differ in size by more than they do in number


class Window:
    """A log of what was taken, by the last moment when it may happen: exact over any window, open
    to corrections."""

    def __init__(self, limit: float, span: float) -> None:
        self.limit, self.span, self._cell = limit, span, span / _CELLS
        self._taken: dict[int, float] = {}
        self._order: list[int] = []  # parts of time in which something was taken
        self._total = 0.0

    def earliest(self, amount: float, at: float) -> float:
        """The first time from ``at`` on when ``amount`` fits in."""
        over = min(amount, self.limit) + self._total - self.limit
        moment = at
        for index in self._order:
            leaves = self._leaves(index)
            if leaves > at + _EPSILON:
                if over <= _EPSILON:
                    break
                moment = leaves
            over -= self._taken[index]
        return moment

    def take(self, amount: float, at: float, until: float) -> None:
        """Nothing is taken for a time before ``at`` from now on."""
        while self._order and self._leaves(self._order[0]) <= at + _EPSILON:
            self._total -= self._taken.pop(self._order.pop(0))
        index = int(until // self._cell)
        if index not in self._taken:
            bisect.insort(self._order, index)
        self._taken[index] = self._taken.get(index, 0.0) + amount
        self._total = (
            self._total + amount if len(self._order) > 1 else self._taken[index]
        )  # fractions do not drift

    def correct(self, difference: float, until: float) -> None:
        """Change what was taken until then, if it still counts."""
        index = int(until // self._cell)
        if index in self._taken:
            self._taken[index] += difference
            self._total += difference

    def used(self, at: float) -> float:
        """What counts at ``at``."""
        return sum(taken for index, taken in self._taken.items() if self._leaves(index) > at)

    def moved(self, limit: float, span: float) -> "Window":
        """The same log under another limit."""
        other = Window(limit, span)
        for index, taken in self._taken.items():
            other.take(taken, float("-inf"), (index + 1) * self._cell)
        return other

    def _leaves(self, index: int) -> float:
        return (index + 1) * self._cell + self.span


@dataclass
class Pace:
    """Continuous refill, so that what a window allows is spread over it. ``level`` holds at the
    time ``since``."""

    rate: float
    capacity: float
    level: float
    since: float

    def earliest(self, amount: float, at: float) -> float:
        """When ``amount`` is there; for one above the capacity, when all is. It leaves a debt."""
        start = max(at, self.since)
        missing = min(amount, self.capacity) - self._level(start)
        return start + missing / self.rate if missing > _EPSILON else start

    def take(self, amount: float, at: float) -> None:
        start = max(at, self.since)
        self.level, self.since = self._level(start) - amount, start

    def give(self, amount: float) -> None:
        self.level = min(self.capacity, self.level + amount)

    def _level(self, at: float) -> float:
        return min(self.capacity, self.level + (at - self.since) * self.rate)


@dataclass
class Bucket:
    """A bound on one quantity: the window keeps it, the pace spreads it."""

    window: Window
    pace: Pace
    weights: tuple[int, int, int] = field(
        default=(1, 0, 0)
    )  # of a request, its input and its output tokens

    def amount(self, amounts: Amounts, requests: int = 1) -> float:
        """What a request takes of it."""
        each, inputs, outputs = self.weights
        return each * requests + inputs * amounts.input_tokens + outputs * amounts.output_tokens

    def earliest(self, amount: float, at: float) -> float:
        return self.window.earliest(amount, self.pace.earliest(amount, at))

    def take(self, amount: float, at: float, until: float) -> None:
        self.window.take(amount, at, until)
        self.pace.take(amount, at)

    def correct(self, difference: float, until: float) -> None:
        """Replace an estimate by what was used."""
        self.window.correct(difference, until)
        self.pace.give(-difference)

    def after(self, old: "Bucket | None") -> "Bucket":
        """This bucket, in which counts what was taken from the one it replaces."""
        if old is not None:
            self.window = old.window.moved(self.window.limit, self.window.span)
            self.pace.level = min(self.pace.level, old.pace.level)
            self.pace.since = max(self.pace.since, old.pace.since)
        return self

    def drained(self, until: float) -> None:
        """As if somebody had taken all that there was until then, at the pace, and bursts at both
        ends of it."""
        self.pace.level, self.pace.since = 0.0, until + 2 * self.pace.capacity / self.pace.rate


def buckets_of(limits: Limits, now: float) -> list[Bucket]:
    """The buckets that ``limits`` ask for, full."""
    most, seconds = limits.window
    wanted = [
        (None if limits.requests is None else float(most), seconds, _REQUEST_BURST, (1, 0, 0)),
        (limits.input_tokens, limits.seconds, _TOKEN_BURST, (0, 1, 0)),
        (limits.output_tokens, limits.seconds, _TOKEN_BURST, (0, 0, 1)),
        (limits.tokens, limits.seconds, _TOKEN_BURST, (0, 1, 1)),
    ]
    return [
        _bucket(limit, span, burst, weights, now)
        for limit, span, burst, weights in wanted
        if limit is not None
    ]


def _bucket(
    limit: float, seconds: float, burst: float, weights: tuple[int, int, int], now: float
) -> Bucket:
    capacity = max(burst * limit, min(1.0, limit))
    span = seconds + tolerance(seconds)
    return Bucket(Window(limit, span), Pace(limit / span, capacity, capacity, now), weights)
