"""Tools by the names the configuration uses.

A name in ``agent.tools`` is one of the built-in tools, ``mcp:<server>`` (every tool of a foreign
server in ``tools.mcp``), or ``package.module:object``: a typed function (see ``tools.schema``), a
Tool, or a factory ``make(config, searcher)`` of one. Modules are imported when one of their tools
is asked for.
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
    "search": "medr_ray.tools.search:make",
    "medical_search": "medr_ray.tools.medical:make",
    "read": "medr_ray.tools.read:make",
    "diagnose": "medr_ray.tools.diagnose.tool:make_diagnose_tool",
}
_FOREIGN = "mcp:"
_FACTORY = ["config", "searcher"]  # the arguments by which a factory is known


@dataclass(frozen=True)
class Toolbox:
    """An agent's tools, and the weight of a word in their index: what a tool policy looks at. A
    cassette does not hold the latter, so there is none under one: recorded and replayed, an agent
    is told the same."""

    tools: list[Tool]
    rarity: Callable[[str], float] | None = None


def open_tools(config: PipelineConfig, index: Directory) -> Toolbox:
    """The agent's tools over the index in this directory and the live sources beside it, where
    there are any, without what came after the cut-off. The index is left alone where a cassette
    answers in its place.

    Raises ConfigError as ``build_tools`` does, and what ``Retriever.open`` raises.
    """
    from medr_ray.retrieval.live import combine_searchers, open_live

    if config.tools.cassette.mode == "replay":
        return Toolbox(open_cassette(config).tools(config.agent.tools))
    retriever = Retriever.open(index, config.retrieval, config.models, before=config.tools.before)
    live = open_live(config.tools.live, config.retrieval, config.tools.before)
    tools = build_tools(config, combine_searchers(retriever, live, config.retrieval.results))
    return Toolbox(tools, retriever.rarity if config.tools.cassette.mode == "off" else None)


def build_tools(config: PipelineConfig, searcher: Searcher) -> list[Tool]:
    """The tools named in ``agent.tools``, in order, over one searcher; recorded where
    ``tools.cassette`` says so.

    Raises ConfigError for a module that cannot be imported, an object that is no tool, and two
    tools of one name; InfrastructureError when a foreign server is out of reach.
    """
    if config.tools.cassette.mode == "replay":
        return open_cassette(config).tools(config.agent.tools)
    groups = {name: _selected(name, config, searcher) for name in config.agent.tools}
    _check_names([tool.name for name in config.agent.tools for tool in groups[name]])
    if config.tools.cassette.mode == "record":
        return open_cassette(config).recorded(groups)
    return [tool for group in groups.values() for tool in group]


def _selected(name: str, config: PipelineConfig, searcher: Searcher) -> list[Tool]:
    """The tools that one name in ``agent.tools`` stands for."""
    if name.startswith(_FOREIGN):
        return _foreign(name.removeprefix(_FOREIGN), config)
    target = BUILT_IN.get(name, name)
    return [_made(target, _loaded(target), config, searcher)]


def _foreign(server: str, config: PipelineConfig) -> list[Tool]:
    from medr_ray.tools.mcp import foreign_tools

    return foreign_tools(server, config.tools.mcp[server])


def _loaded(target: str) -> Any:
    """What ``package.module:object`` names."""
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except MedrError:
        raise
    except Exception as error:  # a module may fail in any way while it is imported
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


def _made(target: str, found: Any, config: PipelineConfig, searcher: Searcher) -> Tool:
    """The tool behind what was found: itself, a factory's, or a function's."""
    if _is_tool(found):
        return found
    if not callable(found):
        raise ConfigError(
            f"agent.tools: {target} is neither a function nor a tool, but {type(found).__name__}"
        )
    if list(inspect.signature(found).parameters) != _FACTORY:
        return from_function(found)
    built = found(config, searcher)
    if not _is_tool(built):
        raise ConfigError(f"agent.tools: {target} made no tool, but {type(built).__name__}")
    return built


def _is_tool(one: Any) -> bool:
    return all(hasattr(one, part) for part in ("name", "description", "parameters", "call"))


def _check_names(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"agent.tools: {count} tools are named {name!r}: keep one")
        if not re.fullmatch(TOOL_NAME, name):
            raise ConfigError(
                f"agent.tools: {name!r} is no name for a tool: 1 to 64 of A-Z a-z 0-9 _ -"
            )
