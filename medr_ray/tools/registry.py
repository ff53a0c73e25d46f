"""Tools by the names the configuration uses.

A name in ``agent.tools`` is a built-in tool, ``mcp:<server>`` (every tool of a server in
``tools.mcp``), or ``package.module:object``. Such an object is a typed function (see
``tools.schema``), a Tool, or a builder: a function of exactly ``(config, searcher)`` that returns a
Tool. Modules are imported only when one of their tools is used.
"""

import difflib
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, MedrError
from medr_ray.core.run import Directory
from medr_ray.retrieval.retriever import Retriever
from medr_ray.tools.base import TOOL_NAME, Tool
from medr_ray.tools.cassette.recorder import open_cassette
from medr_ray.tools.schema import from_function
from medr_ray.tools.search import Searcher

BUILT_IN = {
    "search": "medr_ray.tools.search:build_search_tool",
    "medical_search": "medr_ray.tools.medical:build_medical_search_tool",
    "read": "medr_ray.tools.read:build_read_tool",
    "diagnose": "medr_ray.tools.diagnose.tool:build_diagnose_tool",
}
_MCP_PREFIX = "mcp:"
# A callable with exactly these parameters is a builder; any other one is itself a tool's function.
_BUILDER_PARAMETERS = ["config", "searcher"]
_TOOL_ATTRIBUTES = ("name", "description", "parameters", "call")


@dataclass(frozen=True)
class Toolbox:
    """An agent's tools, and ``rarity``, the weight of a word in their index, which a tool policy
    looks at.

    A cassette does not hold the weights, so ``rarity`` is None while one records or replays. The
    agent's prompt is then the same in both.
    """

    tools: list[Tool]
    rarity: Callable[[str], float] | None = None


def open_tools(config: PipelineConfig, index: Directory) -> Toolbox:
    """The agent's tools over the index in this directory and the live sources, if any are
    configured. Nothing published after the cut-off is returned by them. While a cassette replays,
    the index is not opened.

    Raises ConfigError as ``build_tools`` does, and what ``Retriever.open`` raises.
    """
    from medr_ray.retrieval.live import combine_searchers, open_live

    if config.tools.cassette.mode == "replay":
        return Toolbox(open_cassette(config).replay_tools(config.agent.tools))
    retriever = Retriever.open(index, config.retrieval, config.models, before=config.tools.before)
    live = open_live(config.tools.live, config.retrieval, config.tools.before)
    tools = build_tools(config, combine_searchers(retriever, live, config.retrieval.results))
    return Toolbox(tools, retriever.rarity if config.tools.cassette.mode == "off" else None)


def build_tools(config: PipelineConfig, searcher: Searcher) -> list[Tool]:
    """The tools named in ``agent.tools``, in order, over one searcher; recorded where
    ``tools.cassette`` says so.

    Raises ConfigError for a module that cannot be imported, an object that is no tool, and two
    tools of one name; InfrastructureError when an MCP server cannot be reached.
    """
    if config.tools.cassette.mode == "replay":
        return open_cassette(config).replay_tools(config.agent.tools)
    groups = {name: _build_selected_tools(name, config, searcher) for name in config.agent.tools}
    # Over the list and not over the groups: a name that is configured twice has only one group.
    _check_names([tool.name for name in config.agent.tools for tool in groups[name]])
    if config.tools.cassette.mode == "record":
        return open_cassette(config).record_tools(groups)
    return [tool for group in groups.values() for tool in group]


def _build_selected_tools(name: str, config: PipelineConfig, searcher: Searcher) -> list[Tool]:
    """The tools that one name in ``agent.tools`` stands for."""
    if name.startswith(_MCP_PREFIX):
        return _build_server_tools(name.removeprefix(_MCP_PREFIX), config)
    target = BUILT_IN.get(name, name)
    return [_build_tool(target, _import_object(target), config, searcher)]


def _build_server_tools(server: str, config: PipelineConfig) -> list[Tool]:
    """The tools of a server in ``tools.mcp``."""
    from medr_ray.tools.mcp import build_mcp_tools

    return build_mcp_tools(server, config.tools.mcp[server])


def _import_object(target: str) -> Any:
    """The object that ``package.module:object`` names. Raises ConfigError."""
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except MedrError:
        raise
    except Exception as error:  # a user's module may fail in any way while it is imported
        raise ConfigError(
            f"agent.tools: {target}: {module_name} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        near = difflib.get_close_matches(attribute, vars(module), n=1)
        raise ConfigError(
            f"agent.tools: {target}: {module_name} has no {attribute!r}"
            + (f": did you mean {near[0]!r}?" if near else "")
        )
    return getattr(module, attribute)


def _build_tool(target: str, candidate: Any, config: PipelineConfig, searcher: Searcher) -> Tool:
    """The tool of an imported object: the object itself, what a builder returns, or the tool of a
    function. Raises ConfigError."""
    if _is_tool(candidate):
        return candidate
    if not callable(candidate):
        raise ConfigError(
            f"agent.tools: {target} is neither a function nor a tool, but "
            f"{type(candidate).__name__}"
        )
    if list(inspect.signature(candidate).parameters) != _BUILDER_PARAMETERS:
        return from_function(candidate)
    tool = candidate(config, searcher)
    if not _is_tool(tool):
        raise ConfigError(f"agent.tools: {target} made no tool, but {type(tool).__name__}")
    return tool


def _is_tool(candidate: Any) -> bool:
    return all(hasattr(candidate, attribute) for attribute in _TOOL_ATTRIBUTES)


def _check_names(names: list[str]) -> None:
    """Raises ConfigError for two tools of one name and for a name that endpoints refuse."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"agent.tools: {count} tools are named {name!r}: keep one")
        if not re.fullmatch(TOOL_NAME, name):
            raise ConfigError(
                f"agent.tools: {name!r} is no name for a tool: 1 to 64 of A-Z a-z 0-9 _ -"
            )
