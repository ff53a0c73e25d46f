"""One server's connection, alive on an event loop in a thread of its own, so that calls may come
from any loop.

What holds: a connection that is lost is made anew when it is next needed, by one caller for all;
one call sees at most one such loss, the second is an InfrastructureError; leaving, or the end of
the process, closes the connection and ends the server that was started for it.
"""

import asyncio
import contextlib
import logging
import math
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, MCPError
from mcp.types import REQUEST_TIMEOUT, CallToolResult
from mcp.types import Tool as Offer
from pydantic import ValidationError

from medr_ray.core.config import McpServerConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ToolError
from medr_ray.tools.mcp.schema_sanitizer import plain

_LOG = logging.getLogger(__name__)
_LEAVING_SECONDS = 8.0  # the library needs up to six to end a server that does not listen
_PAGES = 100  # of a list of tools; a server that never ends its list is not waited for
# As the library begins.
_LOST = (
    "Connection closed",
    "SSE stream",
    "Session terminated",
    "Server returned an error",
)

Connect = Callable[[], AbstractAsyncContextManager[Client]]


class Connection:
    """The connection to the server ``name``, made by ``connect``. ``offers`` are the tools it
    named.

    Raises InfrastructureError when the server cannot be reached.
    """

    def __init__(self, name: str, config: McpServerConfig, connect: Connect) -> None:
        self._stack = contextlib.ExitStack()
        portal = self._stack.enter_context(start_blocking_portal("asyncio", name=f"mcp {name}"))
        self._portal, self._line = portal, _Line(name, config, connect)
        thread = portal.call(threading.get_ident)
        # At exit as well.
        self.close = weakref.finalize(self, _hang_up, self._stack, portal, self._line, thread)
        try:
            self.offers: list[Offer] = portal.call(self._line.offers)
        except BaseException:
            self.close()
            raise

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """The server's answer. Raises ToolError when it refuses or is late, InfrastructureError
        when it is lost."""
        return await asyncio.wrap_future(
            self._portal.start_task_soon(self._line.call, tool, arguments)
        )


def _hang_up(
    stack: contextlib.ExitStack, portal: BlockingPortal, line: "_Line", thread: int
) -> None:
    if threading.get_ident() == thread:
        # Garbage is collected anywhere, and this thread cannot wait for itself.
        threading.Thread(target=_hang_up, args=(stack, portal, line, thread), daemon=True).start()
        return
    with stack:
        portal.call(line.leave)


class _Line:
    """The connection as it is now; lives on the thread's loop."""

    def __init__(self, name: str, config: McpServerConfig, connect: Connect) -> None:
        self._name, self._config, self._connect = name, config, connect
        self._turn = asyncio.Lock()
        self._session: _Session | None = None

    async def offers(self) -> list[Offer]:
        client = (await self._open(None)).client
        offers: list[Offer] = []
        cursor: str | None = None
        try:
            with anyio.fail_after(self._config.start_seconds):
                for _ in range(_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    offers += page.tools
                    if not (cursor := page.next_cursor):
                        return offers
        except (MCPError, ValidationError, TimeoutError) as error:
            raise InfrastructureError(
                f"tools.mcp.{self._name} does not name its tools: {_said(error)}"
            ) from error
        raise InfrastructureError(f"tools.mcp.{self._name}: its list of tools has no end")

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        session = await self._open(None)
        try:
            return await self._asked(session, tool, arguments)
        except _Lost as loss:
            _LOG.warning("the server tools.mcp.%s was lost (%s), connecting anew", self._name, loss)
        session = await self._open(session)
        try:
            return await self._asked(session, tool, arguments)
        except _Lost as loss:
            raise InfrastructureError(
                f"tools.mcp.{self._name} was lost twice during a call: {loss}"
            ) from None

    async def _asked(
        self, session: "_Session", tool: str, arguments: dict[str, Any]
    ) -> CallToolResult:
        try:
            return await session.client.call_tool(
                tool, arguments, read_timeout_seconds=self._config.seconds
            )
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise ToolError(
                    f"{self._name} did not answer within {self._config.seconds:g} s"
                ) from None
            if session.ended or error.message.startswith(_LOST):
                # Its code is every server's own as well.
                raise _Lost(session.end or _said(error)) from None
            raise ToolError(f"{self._name} refuses the call: {_said(error)}") from None
        except (
            ValidationError,
            RuntimeError,
        ) as error:
            # An answer that breaks the protocol or its own schema.
            raise ToolError(
                f"{self._name} gave an answer that cannot be read: {_said(error)}"
            ) from error

    async def _open(self, lost: "_Session | None") -> "_Session":
        """The session, made anew where there is none, it is the ``lost`` one, or it ended by
        itself."""
        async with self._turn:
            if self._session is not None and (self._session is lost or self._session.ended):
                await self._session.leave()
                self._session = None
            if self._session is None:
                self._session = await _Session.begin(
                    self._name, self._config.start_seconds, self._connect
                )
            return self._session

    async def leave(self) -> None:
        """Close the connection and end the server that was started for it."""
        async with self._turn:
            if self._session is not None:
                await self._session.leave()
                self._session = None


class _Session:
    """A connected client. A task of its own enters and leaves it, as its library demands."""

    def __init__(self, name: str, seconds: float, connect: Connect) -> None:
        self.client: Client
        self.end = ""
        self.refusal: ConfigError | None = None
        self._opened, self._leave = asyncio.Event(), asyncio.Event()
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._task = asyncio.create_task(self._hold(connect), name=f"mcp {name}")

    @classmethod
    async def begin(cls, name: str, seconds: float, connect: Connect) -> "_Session":
        """Raises InfrastructureError when it cannot be connected in time, ConfigError when the key
        is refused."""
        session = cls(name, seconds, connect)
        try:
            await session._opened.wait()
        except asyncio.CancelledError:
            session._scope.cancel()  # nobody would leave it
            raise
        if session.refusal is not None:
            raise session.refusal
        if session.ended:
            raise InfrastructureError(f"tools.mcp.{name} cannot be reached: {session.end}")
        return session

    @property
    def ended(self) -> bool:
        return bool(self.end) or self._leave.is_set()

    async def leave(self) -> None:
        self._scope.deadline = anyio.current_time() + _LEAVING_SECONDS
        self._leave.set()
        await asyncio.wait((self._task,))

    async def _hold(self, connect: Connect) -> None:
        try:
            with self._scope:
                async with AsyncExitStack() as stack:
                    self.client = await stack.enter_async_context(connect())
                    # setattr, because a type checker refuses to assign a method.
                    setattr(self.client.session, "validate_tool_result", _unchecked)  # noqa: B010
                    self._scope.deadline = math.inf
                    self._opened.set()
                    await self._leave.wait()
            self.end = "closed" if self._leave.is_set() else "no answer in time"
        except Exception as error:  # a transport may fail in any way, as a group of errors too
            self.end, cause = _said(error), _cause(error)
            self.refusal = cause if isinstance(cause, ConfigError) else None
            _LOG.debug("a connection ended", exc_info=True)
        finally:
            self.end = self.end or "it was cancelled"
            self._opened.set()


async def _unchecked(name: str, result: CallToolResult) -> None:
    """Answers are shown as text, whatever schema the server gives for them: a stranger's patterns
    and references could hold up the whole process."""


class _Lost(MedrError):
    """The connection ended between a call and its answer."""


def _cause(error: BaseException) -> BaseException:
    """The first of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _said(error: BaseException) -> str:
    """The first cause, on one line."""
    cause = _cause(error)
    return f"{type(cause).__name__}: {plain(str(cause), 300)}"
