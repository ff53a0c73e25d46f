"""Tools of servers that speak the Model Context Protocol, over stdin and stdout or streamable HTTP.

- The agent sees a tool ``dose`` of the server ``drugs`` as ``drugs__dose``, with its description
  and schema in plain text that cannot speak the agent's protocol (``mcp.schema_sanitizer``).
- A server that is lost is connected again once per call; after that it is an InfrastructureError. A
  call may therefore reach a server twice, where it was lost between the call and the answer.
- A server that was started as a command ends with the process that started it. It gets the
  environment variables named for it, beside those that every program needs.

Needs the package ``mcp``.
"""

from medr_ray.tools.mcp.server_tools import build_mcp_tools

__all__ = ["build_mcp_tools"]
