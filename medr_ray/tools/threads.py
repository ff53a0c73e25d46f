"""Runs blocking work outside of the event loop, in threads for which nobody has to wait.

Work that hangs costs its own thread and nothing else. Work that was cancelled or is late frees its
slot at once, so it neither keeps other tools waiting nor keeps the process from ending. At exit
what still runs is given a moment, because torch aborts a process that ends in the middle of an
operation of a daemon thread.

``asyncio.to_thread`` cannot give this: its threads are few and shared by the whole process, so that
a handful of hanging calls would stop every tool of a worker, and Python joins them at exit.
"""

import asyncio
import atexit
import contextvars
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# For all threads together at exit. A search takes a fraction of it; what is not done then hangs.
_EXIT_SECONDS = 3.0
_THREAD_NAME = "blocking work"


class LoopSemaphore:
    """A semaphore of ``limit`` slots for each event loop: ``async with semaphore.current():``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # An asyncio.Semaphore belongs to the loop that first waits on it, and tools outlive loops.
        self._semaphores: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, asyncio.Semaphore
        ] = weakref.WeakKeyDictionary()

    def current(self) -> asyncio.Semaphore:
        """The semaphore of the running loop."""
        loop = asyncio.get_running_loop()
        return self._semaphores.setdefault(loop, asyncio.Semaphore(self._limit))


class DaemonThreads:
    """Runs work in daemon threads, at most ``limit`` pieces at once for each event loop."""

    def __init__(self, limit: int = 32) -> None:
        self._semaphore = LoopSemaphore(limit)

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. When this is cancelled the work goes on, and its result
        is dropped."""
        loop = asyncio.get_running_loop()
        async with self._semaphore.current():
            future: asyncio.Future[T] = loop.create_future()
            context = contextvars.copy_context()
            arguments = (_run_and_deliver, loop, future, work)
            # A daemon: Python does not wait for it without a limit.
            threading.Thread(
                target=context.run, args=arguments, name=_THREAD_NAME, daemon=True
            ).start()
            return await future


def _run_and_deliver(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", work: Callable[[], Any]
) -> None:
    """Run the work in this thread and hand its result to the future on the loop."""
    result: Any = None
    error: BaseException | None = None
    try:
        result = work()
    except StopIteration as raised:
        # A future refuses StopIteration, and its waiter would then wait for ever.
        error = RuntimeError(f"StopIteration: {raised}")
    except BaseException as raised:
        error = raised
    # The loop may have ended while this work went on. Nobody waits for the result then.
    if not loop.is_closed():
        loop.call_soon_threadsafe(_set_outcome, future, result, error)


def _set_outcome(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _await_threads() -> None:
    """Give the threads that still run a moment to end.

    Once Python ends, a daemon thread that comes back from native code is ended where it is. In the
    middle of C++ that must not throw, such as any operation of torch, this is
    ``terminate called without an active exception`` and the process is aborted.
    """
    deadline = time.monotonic() + _EXIT_SECONDS
    for thread in threading.enumerate():
        if thread.name == _THREAD_NAME:
            thread.join(max(0.0, deadline - time.monotonic()))


atexit.register(_await_threads)
