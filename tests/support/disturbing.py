"""``medr`` in a process of its own, and what it takes to disturb it at work."""

import subprocess
import sys
import time
from pathlib import Path

import psutil


def start(root: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """``medr`` with these arguments, printing into ``root/log.txt``: what a killed driver leaves
    behind would keep a pipe open."""
    medr = Path(sys.executable).with_name("medr")
    with open(root / "log.txt", "wb") as log:
        return subprocess.Popen(
            [str(medr), *arguments], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def finish(process: subprocess.Popen[bytes], root: Path) -> str:
    """Wait for the process, which must succeed; returns what it printed."""
    process.wait()
    printed = (root / "log.txt").read_text()
    assert process.returncode == 0, printed[-3000:]
    return printed


def wait_for_parts(
    process: subprocess.Popen[bytes], folder: Path, count: int, finished: str = "_*.json"
) -> None:
    """Until so many parts of ``folder`` are ``finished``; fails when the run ends first."""
    while sum(1 for _ in folder.glob(finished)) < count:
        assert process.poll() is None, f"{folder} was done before it could be disturbed"
        time.sleep(0.005)


def workers(process: subprocess.Popen[bytes], busy_with: str) -> list[psutil.Process]:
    """The run's Ray workers that do something named ``busy_with``."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            title = " ".join(one.cmdline())
        except psutil.NoSuchProcess:
            continue
        if title.startswith("ray::") and busy_with in title:
            found.append(one)
    return found
