"""A small disk of its own, which really becomes full."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_FILLER = "filler"


@contextlib.contextmanager
def mount_small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes in memory at ``folder``; the test is skipped where none may
    be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        pytest.skip(f"no tmpfs can be mounted here: {str(reason).strip()}")
    try:
        yield folder
    finally:
        # Lazily: a reader of the test may still have a file of it open.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_disk(disk: Path, left: int) -> None:
    """Write a file that leaves about ``left`` bytes."""
    block = b"\0" * 4096
    with (disk / _FILLER).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(block) == len(block):
            pass
    written = (disk / _FILLER).stat().st_size
    with (disk / _FILLER).open("r+b") as file:
        file.truncate(max(0, written - left))


def empty_disk(disk: Path) -> None:
    """Take the file away again."""
    (disk / _FILLER).unlink()
