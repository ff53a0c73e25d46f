"""How many requests may be in flight: additive increase, multiplicative decrease (AIMD), within the
configured bound."""

from dataclasses import dataclass

_INCREASE_SHARE = 1 / 16  # of the maximum, regained per round of successful requests
_DECREASE_FACTOR = 0.5  # halving, as in TCP's congestion control


@dataclass
class ConcurrencyLimit:
    """The current limit of one service, at most ``maximum``. ``level`` is its exact value, of which
    ``limit`` is the whole part."""

    maximum: int
    level: float
    shrunk_at: float = float("-inf")

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least one."""
        return max(1, int(self.level))

    def set_maximum(self, maximum: int) -> None:
        """Change the configured bound; a level below it was learnt from the service and stays."""
        was_unrestricted = self.level >= self.maximum
        self.level = float(maximum) if was_unrestricted else min(self.level, float(maximum))
        self.maximum = maximum

    def record_success(self) -> None:
        """Raise the level a little. Divided by the level, because that many successes make one
        round of requests."""
        increase_per_round = max(1.0, _INCREASE_SHARE * self.maximum)
        self.level = min(float(self.maximum), self.level + increase_per_round / self.level)

    def record_overload(self, sent: float, now: float) -> None:
        """Halve the level: the service refused, or was too slow for, a request sent at ``sent``.

        Requests sent before the last decrease do not count again: they show the same overload.
        """
        # One overload refuses many requests at once. Halving for each would leave a single place.
        if sent > self.shrunk_at:
            self.level = max(1.0, self.level * _DECREASE_FACTOR)
            self.shrunk_at = now
