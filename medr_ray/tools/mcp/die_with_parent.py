"""Runs a command that dies with the process that started it: ``python die_with_parent.py PARENT
COMMAND [ARGUMENT ...]``.

A server should end when its input ends. One that does not would outlive a worker that was killed;
on Linux the kernel then kills it (``prctl`` PR_SET_PDEATHSIG). The file is run by its path with
``python -I -S`` and imports nothing of this package.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


def main(parent: int, command: list[str]) -> None:
    """Become the command."""
    if sys.platform == "linux":
        # SIGKILL, because a server that ignores the end of its input may ignore SIGTERM as well.
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        # The parent may have died before the signal was requested. It would then never come.
        if os.getppid() != parent:
            sys.exit(1)
    # exec keeps the process, and with it the signal that was requested.
    os.execvp(command[0], command)  # noqa: S606 - the command of the configuration


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
