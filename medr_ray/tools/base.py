"""What an agent can call: a name, a JSON schema and an asynchronous call that answers with text or a ToolError."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class ToolResult:
    """``text`` is shown to the agent, ``documents`` are the ids it came from (for evidence checks and lineage)."""

    text: str
    documents: tuple[str, ...] = ()


class Tool(Protocol):
    """A tool. ``parameters`` is the JSON schema of its arguments object; unknown or missing arguments and failures
    raise ToolError with a message meant for the agent."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Run the tool; raises ToolError."""
        ...
