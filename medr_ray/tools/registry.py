"""Builds the tools named in ``agent.tools``.

A name selects a built-in tool, ``mcp:<server>`` (every tool of a server in
``tools.mcp``), or ``package.module:object``. Such an object is a typed function (see
``tools.schema``), a Tool, or a builder: a function with exactly the parameters
``(config, searcher)`` that returns a Tool. Modules are imported only when one of their tools is
used.
"""

import difflib
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, MedrError
from medr_ray.core.run import Directory
from medr_ray.retrieval.retriever import Retriever
from medr_ray.tools.base import TOOL_NAME_PATTERN, Tool
from medr_ray.tools.cassette.recorder import open_cassette
from medr_ray.tools.schema import from_function
from medr_ray.tools.search import Searcher

if TYPE_CHECKING:
    from medr_ray.retrieval.live.combined import IndexSearcher

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
    """An agent's tools, and ``rarity``, which returns the weight of a word in their index and is
    used by the tool policy.

    A cassette does not store these weights, so ``rarity`` is None in both record and replay mode;
    otherwise the agent's prompt would differ between them. ``searcher`` is what the tools search
    and find documents with; None in replay mode, which has no index.
    """

    tools: list[Tool]
    rarity: Callable[[str], float] | None = None
    searcher: "IndexSearcher | None" = None


def open_tools(config: PipelineConfig, index: Directory) -> Toolbox:
    """Open the agent's tools over the index in this directory and the configured live sources.

    The tools return nothing published after ``tools.before``. In replay mode the index is not
    opened. Raises the errors of ``build_tools`` and of ``Retriever.open``.
    """
    from medr_ray.retrieval.live import combine_searchers, open_live

    if config.tools.cassette.mode == "replay":
        return Toolbox(open_cassette(config).replay_tools(config.agent.tools))
    retriever = Retriever.open(index, config.retrieval, config.models, before=config.tools.before)
    live = open_live(config.tools.live, config.retrieval, config.tools.before)
    searcher = combine_searchers(retriever, live, config.retrieval.results)
    tools = build_tools(config, searcher)
    is_recording = config.tools.cassette.mode == "record"
    return Toolbox(tools, None if is_recording else retriever.rarity, searcher)


def open_live_tools(config: PipelineConfig) -> Toolbox:
    """Open the agent's tools over the configured live sources alone.

    Raises the errors of ``build_tools``, and ConfigError where neither a live source nor a web
    search is configured.
    """
    from medr_ray.retrieval.live import open_live

    searcher = open_live(config.tools.live, config.retrieval, config.tools.before)
    if searcher is None:
        raise ConfigError("tools.live.sources is empty: name the sources to search, such as pubmed")
    # There is no index, so nothing of it is offered.
    index = config.index.model_copy(update={"sources": ()})
    config = config.model_copy(update={"index": index})
    return Toolbox(build_tools(config, searcher), None, searcher)


def build_tools(config: PipelineConfig, searcher: Searcher) -> list[Tool]:
    """Build the tools named in ``agent.tools``, in that order. All of them use ``searcher``. In
    record mode their calls are recorded.

    Raises ConfigError for a module that cannot be imported, an object that is not a tool, and two
    tools with the same name; InfrastructureError when an MCP server cannot be reached.
    """
    # For callers with a searcher of their own; ``open_tools`` has already handled replay mode.
    if config.tools.cassette.mode == "replay":
        return open_cassette(config).replay_tools(config.agent.tools)
    selectors = config.agent.tools
    tools_by_selector = {
        selector: _build_selected_tools(selector, config, searcher) for selector in selectors
    }
    # Go through the list, not the dictionary, in which a selector that is configured twice appears
    # only once.
    _check_names([tool.name for selector in selectors for tool in tools_by_selector[selector]])
    if config.tools.cassette.mode == "record":
        return open_cassette(config).record_tools(tools_by_selector)
    return [tool for tools in tools_by_selector.values() for tool in tools]


def find_tool_problems(config: PipelineConfig) -> Iterator[str]:
    """What keeps the tools of ``agent.tools`` from being built, as far as it shows without an index
    and without starting a server."""
    if config.tools.cassette.mode == "replay":
        return
    for selector in config.agent.tools:
        if selector.startswith(_MCP_PREFIX):
            continue
        try:
            _import_object(BUILT_IN.get(selector, selector))
        except MedrError as error:
            yield str(error)


def _build_selected_tools(selector: str, config: PipelineConfig, searcher: Searcher) -> list[Tool]:
    """Build the tools that an entry of ``agent.tools`` selects: one, or all of an MCP server."""
    if selector.startswith(_MCP_PREFIX):
        return _build_server_tools(selector.removeprefix(_MCP_PREFIX), config)
    target = BUILT_IN.get(selector, selector)
    return [_build_tool(target, _import_object(target), config, searcher)]


def _build_server_tools(server: str, config: PipelineConfig) -> list[Tool]:
    """Build the tools of a server in ``tools.mcp``."""
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
    """Returns the tool of an imported object: the object itself, what a builder returns, or a tool
    that calls a function. Raises ConfigError."""
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
    """Raises ConfigError for two tools with the same name and for a name that endpoints refuse."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"agent.tools: {count} tools are named {name!r}: keep one")
        if not re.fullmatch(TOOL_NAME_PATTERN, name):
            raise ConfigError(
                f"agent.tools: {name!r} is no name for a tool: 1 to 64 of A-Z a-z 0-9 _ -"
            )
