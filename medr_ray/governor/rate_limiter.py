"""The rate limits of a service: computes when an amount may be used, as arithmetic over given
times.

Guaranteed by ``RateLimiter``, for times that do not run backwards: whatever is taken for the time
from ``at`` on may happen at any moment until ``until``, and still the amounts in any window sum up
to at most ``limit`` (a single amount above the limit goes alone). Amounts are spread over the
window, except for a burst. What was taken can be corrected later without loosening the bound.
"""

import bisect
from dataclasses import dataclass

from medr_ray.governor.limits import Amounts, Limits, arrival_jitter

_CELLS_PER_WINDOW = 1000  # times are rounded up to a whole cell, which can only delay requests
_EPSILON = 1e-9  # amounts and seconds below it are rounding errors

# Size of a burst as a share of the limit. The tokens' share is larger because requests differ in
# size more than they do in number.
_REQUEST_BURST = 0.01
_TOKEN_BURST = 0.1


class SlidingWindow:
    """A log of the amounts taken, each under the last moment at which it may happen: exact over any
    window, and open to corrections."""

    def __init__(self, limit: float, span: float) -> None:
        self.limit = limit
        self.span = span
        self._cell_seconds = span / _CELLS_PER_WINDOW
        self._taken: dict[int, float] = {}  # amount by cell, a part of time
        self._cells: list[int] = []  # the keys of ``_taken``, ascending
        self._total = 0.0

    def earliest_time(self, amount: float, at: float) -> float:
        """The first time from ``at`` on when ``amount`` fits in."""
        # An amount above the limit never fits: it waits until the window is empty.
        excess = min(amount, self.limit) + self._total - self.limit
        moment = at
        for cell in self._cells:
            expiry = self._cell_expiry(cell)
            # Cells that have left the window by ``at`` may still be logged. They only lower the
            # excess.
            if expiry > at + _EPSILON:
                if excess <= _EPSILON:
                    break
                moment = expiry
            excess -= self._taken[cell]
        return moment

    def take(self, amount: float, at: float, until: float) -> None:
        """Log an amount taken for the time from ``at`` to ``until``. No later call may take for a
        time before ``at``, so what has left the window by then is dropped."""
        while self._cells and self._cell_expiry(self._cells[0]) <= at + _EPSILON:
            self._total -= self._taken.pop(self._cells.pop(0))
        cell = self._cell_at(until)
        if cell not in self._taken:
            bisect.insort(self._cells, cell)
        self._taken[cell] = self._taken.get(cell, 0.0) + amount
        if len(self._cells) > 1:
            self._total += amount
        else:
            # With one cell left the sum is known exactly: rounding errors do not add up for ever.
            self._total = self._taken[cell]

    def correct(self, difference: float, until: float) -> None:
        """Change what was taken until then, if it still counts."""
        cell = self._cell_at(until)
        if cell in self._taken:
            self._taken[cell] += difference
            self._total += difference

    def usage(self, at: float) -> float:
        """The amount in the window at ``at``."""
        return sum(amount for cell, amount in self._taken.items() if self._cell_expiry(cell) > at)

    def with_limit(self, limit: float, span: float) -> "SlidingWindow":
        """The same log under another limit."""
        window = SlidingWindow(limit, span)
        for cell, amount in self._taken.items():
            cell_end = (cell + 1) * self._cell_seconds
            # Under the end of its old cell, the latest moment at which it may happen: never too
            # early. At minus infinity nothing is dropped while the log is copied.
            window.take(amount, float("-inf"), cell_end)
        return window

    def _cell_at(self, moment: float) -> int:
        return int(moment // self._cell_seconds)

    def _cell_expiry(self, cell: int) -> float:
        """When what was taken in a cell leaves the window, counted from the cell's end."""
        return (cell + 1) * self._cell_seconds + self.span


@dataclass
class TokenBucket:
    """A bucket that refills continuously, so that what a window allows is spread over it.

    ``rate`` is the refill per second. ``level`` is the content at the time ``since``; below zero it
    is a debt. The unit is that of the limit: requests, or tokens of a language model.
    """

    rate: float
    capacity: float
    level: float
    since: float

    def earliest_time(self, amount: float, at: float) -> float:
        """When ``amount`` is there. An amount above the capacity waits for a full bucket and leaves
        a debt."""
        start = max(at, self.since)
        # A bucket never holds more than its capacity, so a larger amount waits for that.
        missing = min(amount, self.capacity) - self._level_at(start)
        return start + missing / self.rate if missing > _EPSILON else start

    def take(self, amount: float, at: float) -> None:
        start = max(at, self.since)
        self.level = self._level_at(start) - amount
        self.since = start

    def give_back(self, amount: float) -> None:
        """Add an amount that was not needed; a negative one was taken in addition."""
        self.level = min(self.capacity, self.level + amount)

    def _level_at(self, at: float) -> float:
        return min(self.capacity, self.level + (at - self.since) * self.rate)


@dataclass
class RateLimiter:
    """The limit of one quantity: the window enforces it, the bucket spreads it.

    ``weights`` are what a request, an input token and an output token count of the quantity.
    """

    window: SlidingWindow
    bucket: TokenBucket
    weights: tuple[int, int, int] = (1, 0, 0)

    def cost(self, amounts: Amounts) -> float:
        """What a request with these amounts takes of the quantity."""
        per_request, per_input, per_output = self.weights
        return per_request + per_input * amounts.input_tokens + per_output * amounts.output_tokens

    def earliest_time(self, amount: float, at: float) -> float:
        """The first time from ``at`` on when ``amount`` may be taken."""
        # In this order: the bucket only fills as time passes, so what it allows at its own time it
        # allows at the window's later one as well.
        return self.window.earliest_time(amount, self.bucket.earliest_time(amount, at))

    def take(self, amount: float, at: float, until: float) -> None:
        """Take an amount that may be used at any moment from ``at`` to ``until``."""
        self.window.take(amount, at, until)
        self.bucket.take(amount, at)

    def correct(self, difference: float, until: float) -> None:
        """Add a difference to what was taken until then: what was used less the estimate."""
        self.window.correct(difference, until)
        self.bucket.give_back(-difference)

    def carry_over(self, previous: "RateLimiter | None") -> "RateLimiter":
        """This limiter, in which counts what was taken from the one that it replaces."""
        if previous is not None:
            self.window = previous.window.with_limit(self.window.limit, self.window.span)
            # The lower level at the later time, so that a change of limits gives no second burst.
            self.bucket.level = min(self.bucket.level, previous.bucket.level)
            self.bucket.since = max(self.bucket.since, previous.bucket.since)
        return self

    def drain(self, until: float) -> None:
        """Leave nothing before ``until``, as if somebody had taken all that there was until then:
        at the bucket's rate, with a burst at the beginning and at the end."""
        two_bursts = 2 * self.bucket.capacity / self.bucket.rate
        self.bucket.level = 0.0
        self.bucket.since = until + two_bursts


def build_limiters(limits: Limits, now: float) -> list[RateLimiter]:
    """A limiter with a full bucket for each quantity that ``limits`` bound."""
    max_requests, request_seconds = limits.request_window
    limiters = []
    if limits.requests is not None:
        limiters.append(
            _build_limiter(float(max_requests), request_seconds, _REQUEST_BURST, (1, 0, 0), now)
        )
    token_limits = [
        (limits.input_tokens, (0, 1, 0)),
        (limits.output_tokens, (0, 0, 1)),
        (limits.tokens, (0, 1, 1)),
    ]
    for limit, weights in token_limits:
        if limit is not None:
            limiters.append(_build_limiter(limit, limits.seconds, _TOKEN_BURST, weights, now))
    return limiters


def _build_limiter(
    limit: float, seconds: float, burst: float, weights: tuple[int, int, int], now: float
) -> RateLimiter:
    # A single request has to fit in, unless the limit itself is below one.
    capacity = max(burst * limit, min(1.0, limit))
    # The window is longer than the limit's by the jitter with which requests arrive.
    span = seconds + arrival_jitter(seconds)
    bucket = TokenBucket(limit / span, capacity, level=capacity, since=now)
    return RateLimiter(SlidingWindow(limit, span), bucket, weights)
