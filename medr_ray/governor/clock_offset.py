"""Where the governor's clock stands relative to this process's clock.

Processes may run on different hosts, and monotonic clocks of two hosts have unrelated zeros. The
offset is therefore known only as an interval. Every answer of the governor tightens it.
"""

_DRIFT_PER_SECOND = 1e-4  # seconds by which two clocks may part in a second


class ClockOffset:
    """Bounds of (the governor's time - our time). Unbounded before the first answer."""

    def __init__(self) -> None:
        self._low = float("-inf")
        self._high = float("inf")
        self._observed_at = 0.0

    def observe_exchange(
        self,
        sent_at: float,
        server_received_at: float,
        server_answered_at: float,
        received_at: float,
    ) -> None:
        """Learn from one exchange: sent and received by our clock, in between received and answered
        by the governor's."""
        # A message takes no negative time, so each direction bounds the offset from one side.
        new_low = server_answered_at - received_at
        new_high = server_received_at - sent_at
        old_low, old_high = self.bounds(received_at)
        low = max(old_low, new_low)
        high = min(old_high, new_high)
        if low > high:
            # A clock was stopped or set: the earlier bounds no longer apply.
            low = new_low
            high = max(new_low, new_high)
        self._low = low
        self._high = high
        self._observed_at = received_at

    def bounds(self, now: float) -> tuple[float, float]:
        """(lowest, highest) offset at our time ``now``. The interval widens as the clocks drift."""
        # Both ends widen: nobody knows which of the two clocks is the faster one.
        drift = _DRIFT_PER_SECOND * max(0.0, now - self._observed_at)
        return self._low - drift, self._high + drift
