"""The memory of this process, from /proc."""

import re
from pathlib import Path

_PROCESS = Path("/proc/self")


def reset_peak() -> int:
    """Begin the peak anew; returns the resident bytes now."""
    # 5 sets the peak to what is resident now (proc(5)).
    (_PROCESS / "clear_refs").write_text("5")
    return _read("VmRSS")


def read_peak() -> int:
    """The largest number of resident bytes since ``reset_peak``."""
    return _read("VmHWM")


def _read(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+) kB", (_PROCESS / "status").read_text())
    assert match
    return int(match[1]) * 1024
