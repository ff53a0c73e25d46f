"""How many requests may be in flight: additive increase, multiplicative decrease, within the
configured bounds."""

from dataclasses import dataclass

_STEP = 1 / 16  # of the most, regained per round of successes
_SHRINK = 0.5


@dataclass
class Concurrency:
    """The limit now. A service that is overloaded halves it, at most once for all requests sent
    before."""

    most: int
    level: float
    shrunk_at: float = float("-inf")

    @property
    def limit(self) -> int:
        return max(1, int(self.level))

    def adopt(self, most: int) -> None:
        """Another bound from above; what was learnt about the service stays."""
        self.level = float(most) if self.level >= self.most else min(self.level, float(most))
        self.most = most

    def succeeded(self) -> None:
        self.level = min(float(self.most), self.level + max(1.0, _STEP * self.most) / self.level)

    def overloaded(self, sent: float, now: float) -> None:
        """The service refused, or was too slow for, a request of the time ``sent``."""
        if sent > self.shrunk_at:
            self.level, self.shrunk_at = max(1.0, self.level * _SHRINK), now
