"""Tools by the names the configuration uses."""

from collections.abc import Sequence

from medr_ray.core.errors import ConfigError
from medr_ray.tools.base import Tool
from medr_ray.tools.medical import MedicalSearchTool
from medr_ray.tools.search import Searcher, SearchTool

_TOOLS: dict[str, type[SearchTool] | type[MedicalSearchTool]] = {
    tool.name: tool for tool in (SearchTool, MedicalSearchTool)
}


def build_tools(names: Sequence[str], retriever: Searcher, chars: int) -> list[Tool]:
    """The named tools over one retriever, in order. Raises ConfigError for a name that is no tool."""
    unknown = [name for name in names if name not in _TOOLS]
    if unknown:
        raise ConfigError(f"agent.tools: there is no tool {unknown[0]!r}; there are {', '.join(_TOOLS)}")
    return [_TOOLS[name](retriever, chars) for name in names]
