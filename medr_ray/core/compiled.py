"""How functions are compiled: an ``entry`` is called from Python, an ``inner`` only from compiled
functions.

Machine code is kept in the user's cache, for every copy of the same sources: a submitted Ray job
has a copy of its own, and compiling takes a minute. It is never used after any compiled file of the
folder has changed; numba by itself watches only the file of the entry. Compiled entries release the
interpreter's lock.
"""

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import config, njit

from medr_ray.core.private_files import make_private_folder
from medr_ray.core.user_cache import cache_directory

_IMPORTS_THIS_FILE = re.compile(rb"medr_ray\.core(\.compiled| import .*\bcompiled\b)")

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
        with _use_shared_cache():
            return compiler(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        # Neither the package nor the user's cache can be written: each process compiles anew.
        return compiler()(function)  # type: ignore[no-any-return]


class SharedCacheLocator:
    """Tells numba where to keep the machine code of a function: in a folder of the user's cache
    that is named for the content of the sources.

    numba's own locators take the path of the source, so each copy of the package compiles again.
    The methods are those of ``numba.core.caching._CacheLocator``.
    """

    def __init__(self, function: Function) -> None:
        path = Path(function.__code__.co_filename)
        self._digest = _digest_sources(path.parent)
        self._folder = cache_directory() / "compiled" / f"{path.parent.name}-{self._digest}"
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Function, source: str) -> "SharedCacheLocator | None":
        """The locator of a function; None where it has no source or the cache cannot be written,
        so that numba asks its other locators."""
        if not Path(source).is_file():
            return None
        try:
            locator = cls(function)
            locator.ensure_cache_path()
        except (OSError, RuntimeError):  # RuntimeError: a user without a home
            return None
        return locator

    def ensure_cache_path(self) -> None:
        make_private_folder(self._folder)
        if not os.access(self._folder, os.W_OK):
            raise PermissionError(f"{self._folder} cannot be written")

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._digest

    def get_disambiguator(self) -> str:
        return str(self._line)


@contextlib.contextmanager
def _use_shared_cache() -> Iterator[None]:
    """Let numba ask ``SharedCacheLocator`` first, for the functions compiled inside the block.

    A folder or locators that the user has set for numba (``NUMBA_CACHE_DIR``,
    ``NUMBA_CACHE_LOCATOR_CLASSES``) are left in force.
    """
    setting = "CACHE_LOCATOR_CLASSES"
    if getattr(config, "CACHE_DIR", "") or getattr(config, setting, ""):
        yield
        return
    own = f"{__name__}.{SharedCacheLocator.__name__}"
    setattr(config, setting, f"{own},InTreeCacheLocator,UserWideCacheLocator")
    try:
        yield
    finally:
        setattr(config, setting, "")


@functools.cache
def _digest_sources(folder: Path) -> str:
    """A digest of this file and of the files in ``folder`` that import it."""
    sources = [Path(__file__).read_bytes()]
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        if _IMPORTS_THIS_FILE.search(source):
            sources.append(source)
    return hashlib.sha256(b"".join(sources)).hexdigest()[:12]
