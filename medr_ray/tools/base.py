"""The protocol of a tool: a name, a description, a JSON schema, and an asynchronous call that
returns text or raises a ToolError."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

# The names of functions that OpenAI-compatible endpoints accept.
TOOL_NAME_PATTERN = r"[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True)
class ToolResult:
    """``text`` is shown to the agent, ``documents`` are the ids it came from (for evidence checks
    and lineage)."""

    text: str
    documents: tuple[str, ...] = ()


class Tool(Protocol):
    """A tool. ``parameters`` is the JSON schema of its arguments object; unknown or missing
    arguments and failures raise ToolError with a message meant for the agent. A tool may also offer
    ``async prepare()``, awaited once before an episode, and be ``PerEpisode``."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Run the tool; raises ToolError."""
        ...


@runtime_checkable
class PerEpisode(Protocol):
    """A tool with a state that belongs to one episode."""

    def for_episode(self) -> Tool:
        """The same tool with a fresh state."""
        ...


def for_episode(tools: Sequence[Tool]) -> list[Tool]:
    """The tools for one episode: none carries state from another."""
    return [tool.for_episode() if isinstance(tool, PerEpisode) else tool for tool in tools]
