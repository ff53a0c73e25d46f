"""The connection to one MCP server, alive on an event loop in a thread of its own, so that calls
may come from any loop.

- A lost connection is made again when it is next needed, by one caller for all.
- One call survives one loss; the second is an InfrastructureError.
- Closing, or the end of the process, closes the connection and ends the server that was started for
  it.
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
from mcp.types import Tool as ServerTool
from pydantic import ValidationError

from medr_ray.core.config import McpServerConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ToolError
from medr_ray.tools.mcp.schema_sanitizer import sanitize_text

_LOG = logging.getLogger(__name__)
_CLOSE_SECONDS = 8.0  # the library needs up to six to end a server that does not listen
_MAX_TOOL_PAGES = 100  # of a list of tools; a server that never ends its list is not waited for
_MAX_ERROR_CHARS = 300  # of a server's message
# How the library's messages for a lost connection begin. It has no error type or code for them.
_LOST_MESSAGES = (
    "Connection closed",
    "SSE stream",
    "Session terminated",
    "Server returned an error",
)

Connect = Callable[[], AbstractAsyncContextManager[Client]]


class ServerConnection:
    """The connection to the server ``name``, opened by ``connect``. ``server_tools`` are the tools
    it lists.

    Raises InfrastructureError when the server cannot be reached.
    """

    def __init__(self, name: str, config: McpServerConfig, connect: Connect) -> None:
        self._stack = contextlib.ExitStack()
        portal = self._stack.enter_context(start_blocking_portal("asyncio", name=f"mcp {name}"))
        self._portal = portal
        self._client = _ReconnectingClient(name, config, connect)
        thread = portal.call(threading.get_ident)
        # A finalizer also runs at exit. It must not hold ``self``, or it would never be due.
        self.close = weakref.finalize(
            self, _close_connection, self._stack, portal, self._client, thread
        )
        try:
            self.server_tools: list[ServerTool] = portal.call(self._client.list_tools)
        except BaseException:
            self.close()
            raise

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """The server's answer. Raises ToolError when it refuses or is late, InfrastructureError
        when it is lost."""
        return await asyncio.wrap_future(
            self._portal.start_task_soon(self._client.call, tool, arguments)
        )


def _close_connection(
    stack: contextlib.ExitStack,
    portal: BlockingPortal,
    client: "_ReconnectingClient",
    thread: int,
) -> None:
    if threading.get_ident() == thread:
        # Garbage is collected in any thread, also in the portal's own, which cannot wait for
        # itself.
        arguments = (stack, portal, client, thread)
        threading.Thread(target=_close_connection, args=arguments, daemon=True).start()
        return
    with stack:
        portal.call(client.close)


class _ReconnectingClient:
    """The current session with the server, opened again when it is lost. Lives on the thread's
    loop."""

    def __init__(self, name: str, config: McpServerConfig, connect: Connect) -> None:
        self._name = name
        self._config = config
        self._connect = connect
        self._lock = asyncio.Lock()
        self._session: _Session | None = None

    async def list_tools(self) -> list[ServerTool]:
        """All tools of the server. Raises InfrastructureError."""
        client = (await self._open_session(None)).client
        tools: list[ServerTool] = []
        cursor: str | None = None
        try:
            with anyio.fail_after(self._config.start_seconds):
                for _ in range(_MAX_TOOL_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    tools += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        return tools
        except (MCPError, ValidationError, TimeoutError) as error:
            raise InfrastructureError(
                f"tools.mcp.{self._name} does not name its tools: {_describe_error(error)}"
            ) from error
        raise InfrastructureError(f"tools.mcp.{self._name}: its list of tools has no end")

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """The server's answer; see ``ServerConnection.call``."""
        session = await self._open_session(None)
        try:
            return await self._call_session(session, tool, arguments)
        except _SessionLost as loss:
            _LOG.warning("the server tools.mcp.%s was lost (%s), connecting anew", self._name, loss)
        session = await self._open_session(session)
        try:
            return await self._call_session(session, tool, arguments)
        except _SessionLost as loss:
            raise InfrastructureError(
                f"tools.mcp.{self._name} was lost twice during a call: {loss}"
            ) from None

    async def _call_session(
        self, session: "_Session", tool: str, arguments: dict[str, Any]
    ) -> CallToolResult:
        """One attempt. Raises ToolError, and _SessionLost when the connection ended."""
        try:
            return await session.client.call_tool(
                tool, arguments, read_timeout_seconds=self._config.seconds
            )
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise ToolError(
                    f"{self._name} did not answer within {self._config.seconds:g} s"
                ) from None
            # By the message, because servers use the code of a lost connection for their own
            # errors as well.
            if session.has_ended or error.message.startswith(_LOST_MESSAGES):
                raise _SessionLost(session.end_reason or _describe_error(error)) from None
            raise ToolError(f"{self._name} refuses the call: {_describe_error(error)}") from None
        # What the library raises for an answer that breaks the protocol or its own schema.
        except (ValidationError, RuntimeError) as error:
            raise ToolError(
                f"{self._name} gave an answer that cannot be read: {_describe_error(error)}"
            ) from error

    async def _open_session(self, lost: "_Session | None") -> "_Session":
        """The current session. It is opened again where there is none, it is the ``lost`` one, or
        it ended by itself."""
        # Under a lock: of several calls that lost a session, the first opens the next for all.
        async with self._lock:
            if self._session is not None and (self._session is lost or self._session.has_ended):
                await self._session.close()
                self._session = None
            if self._session is None:
                self._session = await _Session.open(
                    self._name, self._config.start_seconds, self._connect
                )
            return self._session

    async def close(self) -> None:
        """Close the connection and end the server that was started for it."""
        async with self._lock:
            if self._session is not None:
                await self._session.close()
                self._session = None


class _Session:
    """A connected client.

    A task of its own enters and leaves the client: its library requires both in the same task, and
    callers come and go.
    """

    def __init__(self, name: str, seconds: float, connect: Connect) -> None:
        self.client: Client
        self.end_reason = ""
        self.config_error: ConfigError | None = None
        self._opened = asyncio.Event()
        self._close_requested = asyncio.Event()
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._task = asyncio.create_task(self._run(connect), name=f"mcp {name}")

    @classmethod
    async def open(cls, name: str, seconds: float, connect: Connect) -> "_Session":
        """Raises InfrastructureError when it cannot be connected in time, ConfigError when the key
        is refused."""
        session = cls(name, seconds, connect)
        try:
            await session._opened.wait()
        except asyncio.CancelledError:
            session._scope.cancel()  # nobody would close it
            raise
        if session.config_error is not None:
            raise session.config_error
        if session.has_ended:
            raise InfrastructureError(f"tools.mcp.{name} cannot be reached: {session.end_reason}")
        return session

    @property
    def has_ended(self) -> bool:
        return bool(self.end_reason) or self._close_requested.is_set()

    async def close(self) -> None:
        """Close the client and wait for the end of its task, at most ``_CLOSE_SECONDS``."""
        self._scope.deadline = anyio.current_time() + _CLOSE_SECONDS
        self._close_requested.set()
        await asyncio.wait((self._task,))

    async def _run(self, connect: Connect) -> None:
        """Open the client, keep it until it is closed or lost, and leave it."""
        try:
            with self._scope:
                async with AsyncExitStack() as stack:
                    self.client = await stack.enter_async_context(connect())
                    # setattr, because a type checker refuses to assign a method.
                    setattr(  # noqa: B010
                        self.client.session, "validate_tool_result", _skip_result_validation
                    )
                    self._scope.deadline = math.inf  # it was for connecting only
                    self._opened.set()
                    await self._close_requested.wait()
            self.end_reason = "closed" if self._close_requested.is_set() else "no answer in time"
        except Exception as error:  # a transport may fail in any way, also with a group of errors
            cause = _first_cause(error)
            self.end_reason = _describe_error(error)
            self.config_error = cause if isinstance(cause, ConfigError) else None
            _LOG.debug("a connection ended", exc_info=True)
        finally:
            # Whatever happened, ``open`` must not wait for ever.
            self.end_reason = self.end_reason or "it was cancelled"
            self._opened.set()


async def _skip_result_validation(name: str, result: CallToolResult) -> None:
    """Replaces the library's check of an answer against the server's own schema. Answers are shown
    as text, and the patterns and references of an untrusted schema could block the process."""


class _SessionLost(MedrError):
    """The connection ended between a call and its answer."""


def _first_cause(error: BaseException) -> BaseException:
    """The first error of a group, and of groups within it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _describe_error(error: BaseException) -> str:
    """The first cause, on one line."""
    cause = _first_cause(error)
    return f"{type(cause).__name__}: {sanitize_text(str(cause), _MAX_ERROR_CHARS)}"
