"""Runs ``medr`` in a separate process and disturbs it while it works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

# Parts are written every few hundredths of a second. Looking more often took a tenth of the time of
# the run that is disturbed.
_POLL_SECONDS = 0.02
# Ray's settings for a cluster of which a node is lost. A killed node refuses its health checks and
# is counted out after three of them. The long timeout is for the others: on a busy machine their
# answers may take seconds.
NODE_HEALTH = {
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 3,
}


def start(root: Path, *arguments: str, script: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start ``medr``, or a ``script`` in its place, with these arguments; it prints into
    ``root/log.txt``.

    A file, because what a killed driver leaves behind would keep a pipe open.
    """
    medr = [str(Path(sys.executable).with_name("medr"))]
    command = [sys.executable, *script] if script else medr
    with open(root / "log.txt", "wb") as log:
        return subprocess.Popen(
            [*command, *arguments], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def finish(process: subprocess.Popen[bytes], root: Path) -> str:
    """Wait for the process, which must succeed; returns what it printed."""
    process.wait()
    printed = (root / "log.txt").read_text()
    assert process.returncode == 0, printed[-3000:]
    return printed


def kill_driver(process: subprocess.Popen[bytes]) -> None:
    """Kill the process as a lost machine would: it has no chance to clean up."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_parts(
    process: subprocess.Popen[bytes], folder: Path, count: int, finished: str = "_*.json"
) -> None:
    """Until so many parts of ``folder`` are ``finished``; fails when the run ends first."""
    while sum(1 for _ in folder.glob(finished)) < count:
        assert process.poll() is None, f"{folder} was done before it could be disturbed"
        time.sleep(_POLL_SECONDS)


def busy_workers(process: subprocess.Popen[bytes], work: str) -> list[psutil.Process]:
    """The run's Ray workers whose title names this ``work``. A worker has no title between two
    pieces of work."""
    busy = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            title = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if title.startswith("ray::") and work in title:
            busy.append(child)
    return busy


def kill_busy_workers(process: subprocess.Popen[bytes], work: str, most: int | None = None) -> None:
    """Kill the workers that are at this ``work``, all or so many at ``most``; fails when the run
    ends before one is killed."""
    killed = 0
    while not killed:
        assert process.poll() is None, f"nobody was caught at {work}"
        for worker in busy_workers(process, work)[:most]:
            # It may have ended since it was listed.
            with suppress(psutil.NoSuchProcess):
                worker.kill()
                killed += 1
