"""Foreign tools: those of a server that speaks the Model Context Protocol, over stdin and stdout or
streamable HTTP.

What holds: the agent sees a tool ``dose`` of the server ``drugs`` as ``drugs__dose``, its
description and schema in plain words that cannot speak the agent's protocol (``mcp.faces``); a
server that is lost is connected anew once per call, then it is an InfrastructureError; a server
that was started as a command ends with the process that started it, and is given the environment
variables named for it, beside those that every program needs. A call may reach a server twice,
where it was lost between the call and the answer. Needs the package ``mcp``.
"""

from medr_ray.tools.mcp.foreign_tools import foreign_tools

__all__ = ["foreign_tools"]
