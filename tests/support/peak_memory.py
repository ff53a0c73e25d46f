"""The memory of this process, from /proc."""

import re
import threading
from pathlib import Path
from types import TracebackType

_SAMPLE_SECONDS = 0.001
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Samples the memory of its own that this process has, without mapped files: ``growth`` is the
    peak in bytes above what it had at the start."""

    def __init__(self) -> None:
        self._start = self._peak = read_own_bytes()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def growth(self) -> int:
        return self._peak - self._start

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, read_own_bytes())


def read_own_bytes() -> int:
    """Resident bytes that are no mapped files."""
    match = re.search(r"RssAnon:\s+(\d+) kB", _STATUS.read_text())
    assert match
    return int(match[1]) * 1024
