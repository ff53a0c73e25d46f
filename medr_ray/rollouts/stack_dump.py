"""Dumps the stacks of a process: of its threads and of an event loop's tasks.

Stacks name places in the code and contain no values of variables, so they can be logged.
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

# What coroutines, generators and asynchronous generators call their frame: cr_frame, gi_frame ...
_FRAME_PREFIXES = ("cr", "gi", "ag")


def thread_stacks() -> str:
    """The stack of every thread, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    # The only way to the stacks of other threads; ``faulthandler`` writes to files alone.
    for ident, frame in sys._current_frames().items():
        stack = "".join(traceback.format_stack(frame))
        parts.append(f"thread {names.get(ident, ident)}\n{stack}")
    return "\n".join(parts)


def task_stacks(loop: asyncio.AbstractEventLoop) -> str:
    """The await chain of every task of ``loop``, the innermost call last. May be called from
    another thread."""
    parts = []
    for task in asyncio.all_tasks(loop):
        stack = "".join(_format_frames(_awaited_frames(task.get_coro())))
        parts.append(f"task {task.get_name()}\n{stack}")
    return "\n".join(parts)


def _awaited_frames(awaitable: Any) -> Iterator[FrameType]:
    """The frames of a coroutine and of all it awaits. A suspended coroutine's own stack is one
    frame, so the chain is followed here."""
    while awaitable is not None:
        for prefix in _FRAME_PREFIXES:
            frame = getattr(awaitable, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
        awaitable = (
            getattr(awaitable, "cr_await", None)
            or getattr(awaitable, "gi_yieldfrom", None)
            or getattr(awaitable, "ag_await", None)
        )


def _format_frames(frames: Iterator[FrameType]) -> list[str]:
    return traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames).format()
