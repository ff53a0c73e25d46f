"""Where a process stands: the stacks of its threads and of an event loop's tasks, without any
values of variables."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any


def thread_stacks() -> str:
    """The stack of every thread, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )


def task_stacks(loop: asyncio.AbstractEventLoop) -> str:
    """The await chain of every task of ``loop``, the innermost call last; may be asked from another
    thread."""
    return "\n".join(
        f"task {task.get_name()}\n{''.join(_format(_awaited_frames(task.get_coro())))}"
        for task in asyncio.all_tasks(loop)
    )


def _awaited_frames(awaited: Any) -> Iterator[FrameType]:
    """The frames of a coroutine and of what it waits for: a suspended one tells only its own."""
    while awaited is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
        awaited = (
            getattr(awaited, "cr_await", None)
            or getattr(awaited, "gi_yieldfrom", None)
            or getattr(awaited, "ag_await", None)
        )


def _format(frames: Iterator[FrameType]) -> list[str]:
    return traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames).format()
