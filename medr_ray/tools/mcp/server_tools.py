"""The tools of one MCP server as the agent's own. The server is reached as its configuration says,
and its answers become text of bounded length."""

import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medr_ray.core.config import McpServerConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, ToolError
from medr_ray.core.variables import clean_key, read_key
from medr_ray.governor.gate import Gate, Limits
from medr_ray.retrieval.query_text import remove_hidden
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import Tool, ToolResult
from medr_ray.tools.mcp.schema_sanitizer import (
    sanitize_description,
    sanitize_name,
    sanitize_parameters,
    sanitize_text,
)

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as ServerTool

    from medr_ray.tools.mcp.connection import Connect, ServerConnection

_DIE_WITH_PARENT_SCRIPT = str(Path(__file__).with_name("die_with_parent.py"))
_MAX_ERROR_CHARS = 1000  # of a failure that the agent is shown
_MAX_TOOL_NAME_CHARS = 64  # of a server's own names in a message
_KEY_REFUSED_STATUSES = (401, 403)  # HTTP


def build_mcp_tools(name: str, server: McpServerConfig) -> list[Tool]:
    """The tools of the server ``tools.mcp.<name>``: all in its order, or those listed in
    ``server.tools`` in theirs.

    Raises ConfigError without the package ``mcp``, for a command or a variable that does not exist,
    a listed tool that the server lacks, a key that it refuses, or a tool that cannot be shown to an
    agent; InfrastructureError when the server cannot be reached.
    """
    try:
        # Imported here, because the package mcp is an optional dependency.
        from medr_ray.tools.mcp.connection import ServerConnection
    except ImportError as error:
        raise ConfigError(
            f"tools.mcp.{name} needs the package mcp: pip install 'medr-ray[mcp]' ({error})"
        ) from error
    connect = _connect_by_url(name, server) if server.url else _connect_by_command(name, server)
    connection = ServerConnection(name, server, connect)
    try:
        selected = _select_tools(name, server, connection.server_tools)
        return [McpTool(name, server, tool, connection) for tool in selected]
    except ConfigError:
        connection.close()
        raise


class McpTool:
    """One tool of a server."""

    def __init__(
        self,
        server: str,
        config: McpServerConfig,
        server_tool: "ServerTool",
        connection: "ServerConnection",
    ) -> None:
        self.name = sanitize_name(server, server_tool.name)
        self.description = sanitize_description(server_tool.description, server_tool.name)
        self.parameters: Mapping[str, Any] = sanitize_parameters(
            server, server_tool.name, server_tool.input_schema
        )
        self._server_tool_name = server_tool.name
        self._result_chars = config.result_chars
        self._connection = connection
        # A command is our own process: only a shared service is protected from too many calls.
        self._gate = _server_gate(config) if config.url else None

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The server's answer as text; raises ToolError for wrong arguments and for what the server
        calls an error, InfrastructureError when the server is lost."""
        check_arguments(self.name, self.parameters, arguments)
        result = await self._call_server(dict(arguments))
        text = _render_content(result)
        if result.is_error:
            # Cut before it is cleaned: an error may be of any length.
            message = sanitize_text(text[: 4 * _MAX_ERROR_CHARS], _MAX_ERROR_CHARS)
            raise ToolError(f"{self.name}: {message or 'it failed and does not say why'}")
        if len(text) > self._result_chars:
            text = text[: self._result_chars - 1] + "…"
        return ToolResult(remove_hidden(text))

    async def _call_server(self, arguments: dict[str, Any]) -> "CallToolResult":
        if self._gate is None:
            return await self._connection.call(self._server_tool_name, arguments)
        async with self._gate.permit() as permit:
            try:
                return await self._connection.call(self._server_tool_name, arguments)
            except InfrastructureError:
                permit.record_failure()
                raise


def _server_gate(config: McpServerConfig) -> Gate:
    limits = Limits(requests=config.requests_per_minute, concurrency=config.concurrency)
    return Gate(f"mcp {config.url}", limits, secret=read_key(config.api_key_env))


def _select_tools(
    name: str, server: McpServerConfig, server_tools: list["ServerTool"]
) -> list["ServerTool"]:
    """The tools that the configuration lists, all where it lists none. Raises ConfigError."""
    by_name = {tool.name: tool for tool in server_tools}
    missing = [tool_name for tool_name in server.tools if tool_name not in by_name]
    if missing:
        existing = [sanitize_text(tool_name, _MAX_TOOL_NAME_CHARS) for tool_name in sorted(by_name)]
        raise ConfigError(
            f"tools.mcp.{name}.tools: the server has no tool {missing[0]!r}; it has "
            + ", ".join(existing)
        )
    return [by_name[tool_name] for tool_name in server.tools or by_name]


def _render_content(result: "CallToolResult") -> str:
    """The text of an answer. A part that is not text is replaced by its kind. An answer that has
    only structured data is shown as JSON."""
    parts = [_render_block(block) for block in result.content]
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(filter(None, parts))


def _render_block(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource":
        return str(getattr(block.resource, "text", f"[resource {block.resource.uri}]"))
    if block.type == "resource_link":
        return f"[resource {block.uri}]"
    return f"[{block.type}]"


# --- reaching a server ----------------------------------------------------------------


def _connect_by_command(name: str, server: McpServerConfig) -> "Connect":
    from mcp import Client, StdioServerParameters, stdio_client

    program = shutil.which(server.command[0])
    if program is None:
        raise ConfigError(
            f"tools.mcp.{name}.command: there is no program {server.command[0]!r} on this machine"
        )
    # -I -S: the script runs apart from the user's Python settings and from site-packages.
    script = ["-I", "-S", _DIE_WITH_PARENT_SCRIPT, str(os.getpid())]
    arguments = [*script, program, *server.command[1:]]
    # The library passes on a few variables that programs need, and of the rest only these. The keys
    # of other services stay here.
    environment = {
        variable: _required_variable(name, "env_names", variable) for variable in server.env_names
    }
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    return lambda: Client(stdio_client(parameters))


def _connect_by_url(name: str, server: McpServerConfig) -> "Connect":
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {}
    if server.api_key_env:
        text = _required_variable(name, "api_key_env", server.api_key_env)
        key = clean_key(text, server.api_key_env)
        headers["Authorization"] = f"Bearer {key}"

    # A refused key is a mistake in the configuration. As a lost server it would be tried again.
    async def check_key(response: httpx2.Response) -> None:
        if response.status_code in _KEY_REFUSED_STATUSES:
            raise ConfigError(
                f"tools.mcp.{name}: {server.url} refuses the key in "
                f"${server.api_key_env or '(none)'}"
                f" ({response.status_code}): see tools.mcp.{name}.api_key_env"
            )

    @asynccontextmanager
    async def connect() -> AsyncIterator["Client"]:
        async with AsyncExitStack() as stack:
            timeout = httpx2.Timeout(server.start_seconds, read=None)  # a call has its own deadline
            client = httpx2.AsyncClient(
                headers=headers, timeout=timeout, event_hooks={"response": [check_key]}
            )
            http = await stack.enter_async_context(client)
            yield await stack.enter_async_context(
                Client(streamable_http_client(server.url, http_client=http))
            )

    return connect


def _required_variable(name: str, field: str, variable: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise ConfigError(f"tools.mcp.{name}.{field}: the environment has no variable {variable}")
    return value
