"""The governor's time. Tests replace these two to let it run faster."""

import asyncio
import contextlib
import time


def now() -> float:
    return time.monotonic()


async def signalled(event: asyncio.Event, until: float) -> None:
    """Wait until the event is set, or the time has come; the event is cleared."""
    seconds = until - now()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), None if seconds == float("inf") else max(0.0, seconds))
    event.clear()
