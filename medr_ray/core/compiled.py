"""How functions are compiled: an ``entry`` is called from Python, an ``inner`` only from compiled
functions.

Machine code is cached on disk where that is possible. It is never used after any compiled file of
the folder has changed; numba by itself watches only the file of the entry. Compiled entries release
the interpreter's lock.
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

# For compiled callers. A function that makes no arrays need not count references to its arguments:
# counting took two thirds of the time of small functions.
inner: Function = functools.partial(njit, _nrt=False)
allocating_inner: Function = njit  # for functions that make arrays


def entry(function: Function) -> Function:
    """Compile a function for Python at its first call, or load it from disk. It must not make
    arrays."""
    return _compile_cached(function, functools.partial(njit, _nrt=False, nogil=True))


def allocating_entry(function: Function) -> Function:
    """An entry that may make arrays."""
    return _compile_cached(function, functools.partial(njit, nogil=True))


def _compile_cached(function: Function, compiler: Function) -> Function:
    folder = Path(function.__code__.co_filename).parent
    # numba names its cache files after the qualified name, so a changed source is another file.
    function.__qualname__ += f"_{_digest_sources(folder)}"
    try:
        return compiler(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        # Neither the package nor the user's cache can be written: each process compiles anew.
        return compiler()(function)  # type: ignore[no-any-return]


@functools.cache
def _digest_sources(folder: Path) -> str:
    """A digest of this file and of the files in ``folder`` that import it."""
    sources = [Path(__file__).read_bytes()]
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        if __name__.encode() in source:
            sources.append(source)
    return hashlib.sha256(b"".join(sources)).hexdigest()[:12]
