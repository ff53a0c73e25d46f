"""Runs a command that dies with the process that started it: ``python leash.py PARENT COMMAND
[ARGUMENT ...]``.

A server is to end when its input does. One that does not would outlive a worker that was killed; on
Linux the kernel then kills it (``prctl`` PR_SET_PDEATHSIG). Run by its path with ``python -I -S``:
it imports nothing of this package.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


def main(parent: int, command: list[str]) -> None:
    """Become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the signal was asked for
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the command of the configuration


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
