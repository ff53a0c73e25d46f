"""A circuit breaker: a service that only fails is left alone for a while, then tried with a single
request.

Closed: everything passes. Open: nothing does until ``open_until``. Half-open after that: one client
may try; its success closes the circuit, its failure opens it for twice as long.
"""

from dataclasses import dataclass
from typing import Literal

_FAILURES = 10  # in a row, of all clients together
_FIRST, _LONGEST = 2.0, 30.0  # seconds open


@dataclass
class Breaker:
    """The circuit of one service. ``probe`` is the client that tries a half-open one."""

    failures: int = 0
    open_until: float | None = None
    probe: str | None = None
    _since: float = float("-inf")
    _seconds: float = _FIRST

    def state(self, now: float) -> Literal["closed", "open", "half-open"]:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def succeeded(self, sent: float) -> None:
        """A request of the time ``sent`` was answered; one sent before the circuit opened does not
        close it."""
        if sent >= self._since:
            self.failures, self.open_until, self.probe, self._seconds = 0, None, None, _FIRST

    def failed(self, sent: float, now: float) -> None:
        """A request of the time ``sent`` failed."""
        if sent < self._since:
            return
        self.failures += 1
        if self.open_until is not None or self.failures >= _FAILURES:
            self.open_until, self.probe = now + self._seconds, None
            self._since, self._seconds = self.open_until, min(_LONGEST, 2 * self._seconds)

    def gone(self, client: str) -> None:
        """A client died, or has nothing in flight: if it was to try, another one may."""
        if self.probe == client:
            self.probe = None
