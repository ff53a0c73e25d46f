"""One event loop of the process, in a thread of its own, for calls that block.

Searches are called from many threads. On one loop they share connections, and equal ones are asked
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


def start_in_background(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Start ``work`` on the loop; the future has its result."""
    return asyncio.run_coroutine_threadsafe(work, _get_loop())


def run_and_wait(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the loop and wait for its result.

    When the caller is interrupted while it waits, the work is cancelled.
    """
    future = start_in_background(work)
    try:
        return future.result()
    finally:
        # No effect on a finished future; an interrupted caller leaves no request behind.
        future.cancel()


def _get_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            # A daemon: requests under way must not keep the process from ending.
            threading.Thread(target=_loop.run_forever, name="live sources", daemon=True).start()
        return _loop
