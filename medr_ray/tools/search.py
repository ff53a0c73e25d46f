"""``search``: the most relevant documents of every source."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from medr_ray.core.errors import InfrastructureError, MedrError, ToolError
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.observations import Found, render_hits

_MAX_QUERY = 1000  # characters; a longer query is a pasted text, not a search
QUERY = {"type": "string", "maxLength": _MAX_QUERY, "description": "what to look for"}


class Searcher(Protocol):
    """The part of ``retrieval.retriever.Retriever`` the tools use. The calls block."""

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[Found]:
        """Hits by relevance."""
        ...

    def medical_search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[Found]:
        """Hits by relevance and clinical authority."""
        ...


class SearchTool:
    """Search by relevance. ``observation_chars`` bounds what the agent is shown."""

    name = "search"
    description = "Search the medical literature and the disease records; returns the most relevant passages."
    parameters: Mapping[str, Any] = {
        "type": "object", "properties": {"query": QUERY}, "required": ["query"], "additionalProperties": False,
    }

    def __init__(self, searcher: Searcher, observation_chars: int) -> None:
        self._searcher, self._chars = searcher, observation_chars

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The hits as text; raises ToolError for wrong arguments, InfrastructureError when the index fails."""
        check_arguments(self.name, self.parameters, arguments)
        query = asked(self.name, arguments)
        return await blocking_search(self.name, lambda: self._searcher.search(query), self._chars)


def asked(tool: str, arguments: Mapping[str, Any]) -> str:
    """The query; a ToolError when it holds nothing to search for."""
    query = str(arguments["query"]).strip()
    if not any(character.isalnum() for character in query):
        raise ToolError(f"{tool}: the argument 'query' is empty: say what to look for")
    return query


async def blocking_search(tool: str, search: Callable[[], Sequence[Found]], chars: int) -> ToolResult:
    """Run a blocking search in a thread, so that other rollouts of the worker go on."""
    try:
        return render_hits(await asyncio.to_thread(search), chars)
    except MedrError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # what the index raises when its files are gone or broken
        raise InfrastructureError(f"{tool}: the index cannot be searched: {type(error).__name__}: {error}") from error
