"""A circuit breaker: a service that fails repeatedly is left alone for a while, then tried with a
single request.

While the circuit is closed, every request passes. While it is open, none does until ``open_until``.
After that it is half-open and one client may try: success closes the circuit, failure opens it
again for twice as long.
"""

from dataclasses import dataclass
from typing import Literal

CircuitState = Literal["closed", "open", "half-open"]

_FAILURES_TO_OPEN = 10  # in a row, of all clients together
_FIRST_OPEN_SECONDS = 2.0
_MAX_OPEN_SECONDS = 30.0


@dataclass
class CircuitBreaker:
    """The circuit of one service. ``probe`` is the client that tries a half-open one."""

    failures: int = 0
    open_until: float | None = None
    probe: str | None = None
    # Requests sent before this time were under way when the circuit opened; their results are
    # stale.
    _counts_from: float = float("-inf")
    _next_open_seconds: float = _FIRST_OPEN_SECONDS

    def state(self, now: float) -> CircuitState:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def record_success(self, sent: float) -> None:
        """Close the circuit: a request sent at ``sent`` was answered. One that was sent before the
        circuit opened says nothing about the service now and changes nothing."""
        if sent < self._counts_from:
            return
        self.failures = 0
        self.open_until = None
        self.probe = None
        self._next_open_seconds = _FIRST_OPEN_SECONDS

    def record_failure(self, sent: float, now: float) -> None:
        """Count the failure of a request sent at ``sent``; open the circuit if it was one too many,
        or if it was the probe's."""
        if sent < self._counts_from:
            return
        self.failures += 1
        if self.open_until is not None or self.failures >= _FAILURES_TO_OPEN:
            self.open_until = now + self._next_open_seconds
            self.probe = None
            self._counts_from = self.open_until
            self._next_open_seconds = min(_MAX_OPEN_SECONDS, 2 * self._next_open_seconds)

    def release_probe(self, client_id: str) -> None:
        """Let another client try if this one, which died or has nothing in flight, was to."""
        if self.probe == client_id:
            self.probe = None
