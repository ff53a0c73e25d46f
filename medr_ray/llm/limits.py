"""The rate limits of one endpoint as a pure state machine: it owns no clock, no task and no client.

What holds, for times that do not run backwards: in any window of 60 s at most ``requests_per_minute`` requests are
granted (for limits of at least one); at most ``concurrency`` leases are live, a lease ending when released or after
its time to live; nothing is granted during a pause. Tokens are bounded the same way by what requests estimate, and
corrected by what they used; a request larger than the whole burst waits for a full bucket and leaves it in debt.
"""

from dataclasses import dataclass, field

_WINDOW = 60.6  # seconds; one percent more than a minute, for requests that arrive closer together than they were sent
_BURST = 0.02  # of a minute's requests; the rest is spread evenly
_TOKEN_BURST = 0.1  # of a minute's tokens; requests differ in size by more than they do in number
_LEASE_POLL = 0.02  # seconds between looks at leases when all are out


@dataclass(frozen=True)
class Limits:
    """What an endpoint allows."""

    requests_per_minute: float
    tokens_per_minute: float | None
    concurrency: int


@dataclass
class _Bucket:
    """Continuous refill. ``most`` in one window: capacity - unit + rate * window, the first unit being free."""

    capacity: float
    rate: float
    level: float
    refilled: float

    @classmethod
    def per_minute(cls, limit: float, burst: float, unit: float, now: float) -> "_Bucket":
        capacity = max(unit, burst * limit)
        return cls(capacity, max(limit - capacity + unit, unit) / _WINDOW, capacity, now)

    def after(self, old: "_Bucket | None") -> "_Bucket":
        """This bucket, holding no more than the one it replaces did."""
        if old is not None:
            self.level, self.refilled = min(self.level, old.level), old.refilled
        return self

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` may be taken; 0 when it may be now."""
        self.level = min(self.capacity, self.level + (now - self.refilled) * self.rate)
        self.refilled = now
        missing = min(amount, self.capacity) - self.level
        return missing / self.rate if missing > 1e-9 else 0.0


@dataclass
class Meter:
    """The state of one endpoint's limits."""

    limits: Limits
    now: float
    _leases: dict[int, float] = field(default_factory=dict)
    _next_lease: int = 0
    _paused_until: float = 0.0

    _requests: _Bucket | None = None
    _tokens: _Bucket | None = None

    def __post_init__(self) -> None:
        self.adopt(self.limits, self.now)

    def adopt(self, limits: Limits, now: float) -> None:
        """Go on under other limits; what was granted under the old ones counts on."""
        self.limits = limits
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        self._requests = _Bucket.per_minute(requests, _BURST, min(1.0, requests), now).after(self._requests)
        self._tokens = None if tokens is None else (
            _Bucket.per_minute(tokens, _TOKEN_BURST, min(1.0, tokens), now).after(self._tokens))

    def acquire(self, tokens: int, ttl: float, now: float) -> tuple[int | None, float]:
        """(lease, 0) when a request of that many tokens may go now, else (None, seconds until asking again)."""
        asked = [(self._requests, 1.0), (self._tokens, float(tokens))]
        drawn = [(bucket, amount) for bucket, amount in asked if bucket is not None]
        wait = max(self._paused_until - now, self._lease_wait(now), *(b.wait(amount, now) for b, amount in drawn))
        if wait > 0:
            return None, wait
        for bucket, amount in drawn:
            bucket.level -= amount
        self._next_lease += 1
        self._leases[self._next_lease] = now + ttl
        return self._next_lease, 0.0

    def _lease_wait(self, now: float) -> float:
        self._leases = {lease: ends for lease, ends in self._leases.items() if ends > now}
        return _LEASE_POLL if len(self._leases) >= self.limits.concurrency else 0.0

    def release(self, lease: int, estimated: int, used: int) -> None:
        """Give the lease back, and correct the tokens it was granted for by those it used."""
        self._leases.pop(lease, None)
        if self._tokens is not None:
            self._tokens.level += estimated - used

    def pause(self, seconds: float, now: float) -> None:
        """Grant nothing for so long; an earlier, longer pause stands."""
        self._paused_until = max(self._paused_until, now + seconds)
