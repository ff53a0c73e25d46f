"""The lock that allows one writer per run directory.

The kernel keeps the lock (``flock``), so it ends with its process, however that process ends. A
lock file that a dead process left behind can be locked again. The file names the
holder, for the error message only. A run on object storage cannot be locked this way; there, the
user must start only one job per run.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

import pyarrow.fs as pafs

from medr_ray.core.errors import MedrError
from medr_ray.core.private_files import make_private_folder, open_private
from medr_ray.core.run import Directory

_LOCK_FILE = ".lock"


@contextlib.contextmanager
def run_lock(run: Directory) -> Iterator[None]:
    """Hold the lock of a run inside the block.

    Raises MedrError, which names the holder, when another process has the lock.
    """
    # Object stores have no locks (see the module's docstring).
    if not isinstance(run.fs, pafs.LocalFileSystem):
        yield
        return
    make_private_folder(run.local)
    # Opened for appending: "w" would erase the holder's name before the lock is ours.
    with open(run.local / _LOCK_FILE, "a+", encoding="utf-8", opener=open_private) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise MedrError(
                f"{run.uri} is being written by {holder}: wait for it, or use another directory"
            ) from None
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        # Other processes read the file while the lock is held: do not leave the text in the buffer.
        handle.flush()
        yield
