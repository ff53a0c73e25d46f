"""How functions are compiled: ``entry`` those that Python calls, ``inner`` those that only compiled
ones call.

What holds: machine code is kept on disk where that is possible, and never used after any file of
the folder that is compiled has changed (numba by itself watches only the file of the entry); the
interpreter's lock is not held.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]

Function = Callable[..., Any]


# For compiled callers. Functions that make no arrays need not count references to those they are
# given: counting them
# took two thirds of the time of small ones.
inner: Function = functools.partial(njit, _nrt=False)
allocating_inner: Function = njit  # for those that make arrays


def entry(function: Function) -> Function:
    """For Python: compiled at the first call, or loaded from disk. It must not make arrays
    either."""
    return _kept(function, functools.partial(njit, _nrt=False, nogil=True))


def allocating_entry(function: Function) -> Function:
    """An entry that may make arrays."""
    return _kept(function, functools.partial(njit, nogil=True))


def _kept(function: Function, compiler: Function) -> Function:
    function.__qualname__ += (
        f"_{_sources(Path(function.__code__.co_filename).parent)}"  # part of the files' names
    )
    try:
        return compiler(cache=True)(function)  # type: ignore[no-any-return]
    except (
        RuntimeError
    ):  # neither the package nor the user's cache can be written: each process compiles anew
        return compiler()(function)  # type: ignore[no-any-return]


@functools.cache
def _sources(folder: Path) -> str:
    """A digest of the files of ``folder`` that import this one, and of this one."""
    others = [
        text
        for path in sorted(folder.glob("*.py"))
        if __name__.encode() in (text := path.read_bytes())
    ]
    return hashlib.sha256(b"".join([Path(__file__).read_bytes(), *others])).hexdigest()[:12]
