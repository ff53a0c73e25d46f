"""Blocking work beside the event loop, in threads that nobody has to wait for.

What holds: work that hangs costs its own thread and no one else's: what is cancelled or late leaves
its place to the next at once, and neither keeps other tools waiting nor the process from ending.
(The threads of ``asyncio.to_thread`` are few and shared by the whole process; as many calls that
hang would stop every tool of a worker.)
"""

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Places:
    """``most`` places on each event loop: ``async with places.one():``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    def one(self) -> asyncio.Semaphore:
        """A place to wait for, and to leave."""
        return self._places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._most))


class Threads:
    """At most ``most`` pieces of work at once for each event loop."""

    def __init__(self, most: int = 32) -> None:
        self._places = Places(most)

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. When this is cancelled the work goes on, and its end is
        not noticed."""
        loop = asyncio.get_running_loop()
        async with self._places.one():
            end: asyncio.Future[T] = loop.create_future()
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(_work, loop, end, work), daemon=True).start()
            return await end


def _work(
    loop: asyncio.AbstractEventLoop, end: "asyncio.Future[Any]", work: Callable[[], Any]
) -> None:
    result, error = None, None
    try:
        result = work()
    except BaseException as raised:
        # A future takes no StopIteration: whoever waits for it would wait for ever.
        error = (
            RuntimeError(f"StopIteration: {raised}")
            if isinstance(raised, StopIteration)
            else raised
        )
    if not loop.is_closed():
        loop.call_soon_threadsafe(_tell, end, result, error)


def _tell(end: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if end.done():  # cancelled
        return
    if error is None:
        end.set_result(result)
    else:
        end.set_exception(error)
