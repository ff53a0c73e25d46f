"""CPU time of processes, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # a second
# Places in /proc/PID/stat behind the name, which is in brackets and may have spaces.
_PARENT, _USER, _SYSTEM = 1, 11, 12


def list_descendants(root: int) -> dict[int, str]:
    """The command lines of all processes that ``root`` or one of its descendants started."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _read_stat(int(folder.name))
            if fields:
                parents[int(folder.name)] = int(fields[_PARENT])
    descendants = {}
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != root:
            ancestor = parents[ancestor]
        if ancestor == root and pid != root:
            descendants[pid] = _read_command(pid)
    return descendants


def sum_cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes so far; those that ended count nothing."""
    ticks = 0
    for pid in pids:
        fields = _read_stat(pid)
        if fields:
            ticks += int(fields[_USER]) + int(fields[_SYSTEM])
    return ticks / _TICKS


def _read_stat(pid: int) -> list[str]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended
        return []
    return stat.rpartition(")")[2].split()


def _read_command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
