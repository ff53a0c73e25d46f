"""The governor's clock as seen from another process: bounds, tightened by every answer."""

_DRIFT = 1e-4  # seconds that two clocks may part per second


class Offset:
    """Bounds of (the governor's time - ours). Nothing is known before the first answer."""

    def __init__(self) -> None:
        self._low, self._high, self._at = float("-inf"), float("inf"), 0.0

    def observe(self, sent: float, heard: float, answered: float, received: float) -> None:
        """A message that we sent and whose answer we received at our times, heard and answered at
        the governor's."""
        low, high = self.bounds(received)
        least, most = answered - received, heard - sent  # a message takes no negative time
        low, high = max(low, least), min(high, most)
        if low > high:  # a clock was stopped or set: what was known before is void
            low, high = least, max(least, most)
        self._low, self._high, self._at = low, high, received

    def bounds(self, now: float) -> tuple[float, float]:
        """(least, most) at our time ``now``."""
        drift = _DRIFT * max(0.0, now - self._at)
        return self._low - drift, self._high + drift
