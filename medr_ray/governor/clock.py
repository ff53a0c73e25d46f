"""The governor's time. Tests replace these two functions to let it run faster."""

import asyncio
import contextlib
import time


def now() -> float:
    """Seconds on a clock that never runs backwards; its zero is arbitrary."""
    return time.monotonic()


async def wait_for_signal(event: asyncio.Event, until: float) -> None:
    """Wait until the event is set or the time has come, then clear the event."""
    seconds = until - now()
    timeout = None if seconds == float("inf") else max(0.0, seconds)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout)
    event.clear()
