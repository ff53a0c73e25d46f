"""How this room compiles functions: ``entry`` those that Python calls, ``inner`` those that only compiled ones call.

What holds: machine code is kept on disk where that is possible, and never used after this file or one that imports it
has changed (numba by itself watches only the file of the entry); the interpreter's lock is not held.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]

# Nothing here allocates, so references to arrays need not be counted: counting them took two thirds of the time.
inner = functools.partial(njit, _nrt=False)


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, or load what was compiled before."""
    function.__qualname__ += f"_{_sources()}"  # part of the names of the files on disk
    try:
        return inner(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # neither the package nor the user's cache can be written: each process compiles anew
        return inner(nogil=True)(function)  # type: ignore[no-any-return]


@functools.cache
def _sources() -> str:
    """A digest of the files that import this one, and of this one."""
    here = Path(__file__)
    others = [text for path in sorted(here.parent.glob("*.py")) if __name__.encode() in (text := path.read_bytes())]
    return hashlib.sha256(b"".join([here.read_bytes(), *others])).hexdigest()[:12]
