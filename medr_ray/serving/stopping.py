"""Cutting streamed text at stop sequences: nothing of a stop sequence is ever shown, not even its beginning."""

from collections.abc import Sequence


class StopFilter:
    """Feed deltas, show what comes back. ``stopped`` once a stop sequence was met; later text is swallowed."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, delta: str) -> str:
        """The text that is safe to show now."""
        if self.stopped:
            return ""
        self._held += delta
        cuts = [self._held.index(stop) for stop in self._stops if stop in self._held]
        if cuts:
            self.stopped = True
            shown, self._held = self._held[:min(cuts)], ""
            return shown
        keep = self._begun()
        shown, self._held = self._held[:len(self._held) - keep], self._held[len(self._held) - keep:]
        return shown

    def flush(self) -> str:
        """What was held back and turned out to be no stop sequence."""
        shown, self._held = self._held, ""
        return shown

    def _begun(self) -> int:
        """Length of the longest end of the held text that begins a stop sequence."""
        sizes = (size for stop in self._stops for size in range(min(len(stop) - 1, len(self._held)), 0, -1)
                 if self._held.endswith(stop[:size]))
        return max(sizes, default=0)
