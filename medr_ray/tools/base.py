"""What an agent can call: a name, a JSON schema and an asynchronous call that answers with text or
a ToolError."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

TOOL_NAME = r"[A-Za-z0-9_-]{1,64}"  # what OpenAI-compatible endpoints take as a function's name


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
    """A tool that remembers what one episode asked it."""

    def for_episode(self) -> Tool:
        """The same tool with nothing remembered."""
        ...


def for_episode(tools: Sequence[Tool]) -> list[Tool]:
    """The tools as an episode is to be given them: none remembers another episode."""
    return [tool.for_episode() if isinstance(tool, PerEpisode) else tool for tool in tools]
