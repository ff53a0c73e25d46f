"""What an agent can call. Arguments are checked against a tool's JSON schema before it runs; an agent's mistake is a
ToolError that names the argument, a broken index an InfrastructureError; an observation keeps within its room.
"""

from medr_ray.tools.base import Tool, ToolResult
from medr_ray.tools.registry import build_tools

__all__ = ["Tool", "ToolResult", "build_tools"]
