"""Folders and files that only their owner may read: runs, caches, sessions.

They hold other people's texts, questions and the replies of paid models, on machines that several
people use.
"""

import os
import stat
from pathlib import Path

from medr_ray.core.errors import ConfigError

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, for the owner alone. A folder that exists keeps
    its rights: somebody may have shared it on purpose."""
    missing = []
    current = folder
    while not current.exists():
        missing.append(current)
        current = current.parent
    for path in reversed(missing):
        # Another process may make it at the same time.
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    # Also where a file is in the way, which ``exists`` does not tell.
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def claim_private_folder(folder: Path) -> None:
    """Make a folder for the owner alone in a place that everybody may write.

    Raises ConfigError where somebody else was there first, also with a link.
    """
    make_private_folder(folder)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ConfigError(f"{folder} belongs to somebody else: set RAY_TMPDIR to a folder of yours")
    folder.chmod(FOLDER_MODE)


def open_private(path: str, flags: int) -> int:
    """An ``opener`` of ``open``: a file that it creates is for the owner alone."""
    return os.open(path, flags, FILE_MODE)


def flush_to_disk(path: Path) -> None:
    """Let a file or folder survive a power cut: a name without its content would count as
    finished."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
