"""Lets requests into an engine, or holds them back while its weights or its memory change.

Guaranteed: whoever closes the gate goes on when no request is in work. A request that comes
meanwhile waits until every reason for closing is gone, or fails when the engine has failed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from medr_ray.core.errors import InfrastructureError


class RequestGate:
    """Counts the requests in work. It belongs to the coroutines of one event loop."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._failure = ""
        self._running = 0
        self._changed = asyncio.Event()  # something that a waiting request looks at is different
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.asynccontextmanager
    async def admit_request(self) -> AsyncIterator[None]:
        """Wait until the gate is open; the request is in work until the end of the block.

        Raises InfrastructureError when the engine has failed.
        """
        while self._reasons and not self._failure:
            self._changed.clear()
            await self._changed.wait()
        if self._failure:
            raise InfrastructureError(self._failure)
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def close(self, reason: str) -> None:
        """Hold back new requests for ``reason``; returns when those in work are done. Where that is
        cancelled, the reason is taken back."""
        is_new = reason not in self._reasons
        self._reasons.add(reason)
        try:
            await self._idle.wait()
        except BaseException:
            if is_new:
                self.open(reason)
            raise

    def open(self, reason: str) -> None:
        """Take back a reason for closing; requests go on when none is left."""
        self._reasons.discard(reason)
        self._changed.set()

    def is_closed_for(self, reason: str) -> bool:
        """Whether the gate is closed for this reason, or still waiting for requests to end."""
        return reason in self._reasons

    def fail(self, message: str) -> None:
        """Refuse requests with ``message``, those that wait as well, until ``recover``."""
        self._failure = message
        self._changed.set()

    def recover(self) -> None:
        """Take back ``fail``."""
        self._failure = ""
