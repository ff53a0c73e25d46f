"""The tools of one server as the agent's own: reached as its configuration says, answers as bounded
text."""

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
from medr_ray.governor.gate import Gate, Limits
from medr_ray.retrieval.query_text import remove_hidden
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import Tool, ToolResult
from medr_ray.tools.mcp.schema_sanitizer import (
    plain,
    shown_description,
    shown_name,
    shown_parameters,
)

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as Offer

    from medr_ray.tools.mcp.connection import Connect, Connection

_LEASH = str(Path(__file__).with_name("die_with_parent.py"))
_LONGEST_ERROR = 1000  # characters of a failure that the agent is shown
_KEY_REFUSED = (401, 403)  # HTTP


def foreign_tools(name: str, server: McpServerConfig) -> list[Tool]:
    """The tools of the server ``tools.mcp.<name>``, in its order, or those listed in
    ``server.tools``, in theirs.

    Raises ConfigError without the package ``mcp``, for a command or a variable that does not exist,
    a listed tool that the server has not, a key that it refuses, or a tool that cannot be shown to
    an agent; InfrastructureError when the server is out of reach.
    """
    try:
        from medr_ray.tools.mcp.connection import Connection
    except ImportError as error:
        raise ConfigError(
            f"tools.mcp.{name} needs the package mcp: pip install 'medr-ray[mcp]' ({error})"
        ) from error
    connect = _by_url(name, server) if server.url else _by_command(name, server)
    connection = Connection(name, server, connect)
    try:
        offers = _allowed(name, server, connection.offers)
        return [ForeignTool(name, server, offer, connection) for offer in offers]
    except ConfigError:
        connection.close()
        raise


class ForeignTool:
    """One tool of a server."""

    def __init__(
        self, server: str, config: McpServerConfig, offer: "Offer", connection: "Connection"
    ) -> None:
        self.name = shown_name(server, offer.name)
        self.description = shown_description(offer.description, offer.name)
        self.parameters: Mapping[str, Any] = shown_parameters(
            server, offer.name, offer.input_schema
        )
        self._called, self._chars, self._connection = offer.name, config.result_chars, connection
        self._gate = _gate(config) if config.url else None

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The server's answer as text; raises ToolError for wrong arguments and for what the server
        calls an error, InfrastructureError when the server is lost."""
        check_arguments(self.name, self.parameters, arguments)
        result = await self._answer(dict(arguments))
        text = _text(result)
        if result.is_error:
            message = plain(text[: 4 * _LONGEST_ERROR], _LONGEST_ERROR)
            raise ToolError(f"{self.name}: {message or 'it failed and does not say why'}")
        return ToolResult(
            remove_hidden(text if len(text) <= self._chars else text[: self._chars - 1] + "…")
        )

    async def _answer(self, arguments: dict[str, Any]) -> "CallToolResult":
        if self._gate is None:
            return await self._connection.call(self._called, arguments)
        async with self._gate.permit() as permit:
            try:
                return await self._connection.call(self._called, arguments)
            except InfrastructureError:
                permit.record_failure()
                raise


def _gate(config: McpServerConfig) -> Gate:
    limits = Limits(requests=config.requests_per_minute, concurrency=config.concurrency)
    return Gate(f"mcp {config.url}", limits, secret=os.environ.get(config.api_key_env, ""))


def _allowed(name: str, server: McpServerConfig, offers: list["Offer"]) -> list["Offer"]:
    offered = {offer.name: offer for offer in offers}
    if missing := [tool for tool in server.tools if tool not in offered]:
        raise ConfigError(
            f"tools.mcp.{name}.tools: the server has no tool {missing[0]!r}; it has "
            + ", ".join(plain(offer_name, 64) for offer_name in sorted(offered))
        )
    return [offered[tool] for tool in server.tools or offered]


def _text(result: "CallToolResult") -> str:
    """What the parts of an answer say; of what is no text, its kind. Data alone is shown as
    JSON."""
    parts = [_part(block) for block in result.content]
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(filter(None, parts))


def _part(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource":
        return str(getattr(block.resource, "text", f"[resource {block.resource.uri}]"))
    return f"[resource {block.uri}]" if block.type == "resource_link" else f"[{block.type}]"


# --- reaching a server ----------------------------------------------------------------


def _by_command(name: str, server: McpServerConfig) -> "Connect":
    from mcp import Client, StdioServerParameters, stdio_client

    program = shutil.which(server.command[0])
    if program is None:
        raise ConfigError(
            f"tools.mcp.{name}.command: there is no program {server.command[0]!r} on this machine"
        )
    arguments = ["-I", "-S", _LEASH, str(os.getpid()), program, *server.command[1:]]
    environment = {
        variable: _variable(name, "env_names", variable) for variable in server.env_names
    }
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    return lambda: Client(stdio_client(parameters))


def _by_url(name: str, server: McpServerConfig) -> "Connect":
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {}
    if server.api_key_env:
        headers["Authorization"] = f"Bearer {_variable(name, 'api_key_env', server.api_key_env)}"

    async def check(response: httpx2.Response) -> None:
        if response.status_code in _KEY_REFUSED:
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
                headers=headers, timeout=timeout, event_hooks={"response": [check]}
            )
            http = await stack.enter_async_context(client)
            yield await stack.enter_async_context(
                Client(streamable_http_client(server.url, http_client=http))
            )

    return connect


def _variable(name: str, field: str, variable: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise ConfigError(f"tools.mcp.{name}.{field}: the environment has no variable {variable}")
    return value
