"""The tools that an agent can call.

- Arguments are checked against a tool's JSON schema before it runs.
- An agent's mistake is a ToolError that names the argument; a broken index is an
  InfrastructureError.
- An observation never exceeds its limit of characters.

A user adds a tool as a typed function (``tools.schema``). Tools of other servers come by the Model
Context Protocol (``tools.mcp``). The answers of all tools can be recorded and replayed
(``tools.cassette``).
"""

from medr_ray.tools.base import Tool, ToolResult, for_episode
from medr_ray.tools.registry import build_tools, open_tools
from medr_ray.tools.schema import from_function, tool

__all__ = [
    "Tool",
    "ToolResult",
    "build_tools",
    "for_episode",
    "from_function",
    "open_tools",
    "tool",
]
