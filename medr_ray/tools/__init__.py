"""What an agent can call. Arguments are checked against a tool's JSON schema before it runs; an
agent's mistake is a ToolError that names the argument, a broken index an InfrastructureError; an
observation keeps within its room. A user adds a tool as a typed function (``tools.schema``),
foreign ones come by the Model Context Protocol (``tools.mcp``), and what all of them answer can be
kept and played again (``tools.cassette``).
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
