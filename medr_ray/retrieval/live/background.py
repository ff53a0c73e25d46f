"""One event loop of the process, in a thread of its own, for calls that block.

Searches are called from many threads; on one loop they share connections, and equal ones are asked
once.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def started(work: Coroutine[Any, Any, T]) -> Future[T]:
    """``work`` under way on the loop."""
    return asyncio.run_coroutine_threadsafe(work, _running())


def result_of(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the loop and wait for it; whoever is interrupted while waiting takes it
    back."""
    future = started(work)
    try:
        return future.result()
    finally:
        future.cancel()


def _running() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="live sources", daemon=True).start()
        return _loop
