"""The order of calls to an engine in another process.

Ray begins the calls of an actor that runs many at a time in any order. So an engine could be told
of new weights before it has the requests that were made earlier, and answer those with them.

Guaranteed here: a change of the engine is sent when it has all requests that were made before, and
requests that are made later are sent when the change is over. Requests among themselves keep no
order and wait for none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class CallOrder:
    """It belongs to the coroutines of one event loop, which make all calls of a client."""

    def __init__(self) -> None:
        self._sent: set[asyncio.Event] = set()  # requests, set when the engine has them
        self._changes: set[asyncio.Event] = set()  # set when they are over

    @contextlib.asynccontextmanager
    async def send_request(self) -> AsyncIterator[asyncio.Event]:
        """Wait for the changes that were made before; the request is sent within the block, which
        sets the event when the engine has it."""
        received = asyncio.Event()
        # From now on, though it may have to wait: a change that is made meanwhile comes after it.
        self._sent.add(received)
        try:
            for change in tuple(self._changes):
                await change.wait()
            yield received
        finally:
            self._sent.discard(received)
            # Or, where it failed or was given up, never will.
            received.set()

    @contextlib.asynccontextmanager
    async def send_change(self) -> AsyncIterator[None]:
        """Wait until the engine has the requests that were made before; the change is made within
        the block."""
        over = asyncio.Event()
        earlier = tuple(self._sent)
        self._changes.add(over)
        try:
            for received in earlier:
                await received.wait()
            yield
        finally:
            self._changes.discard(over)
            over.set()
