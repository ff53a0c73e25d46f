"""``search``: the most relevant documents of every source, or of the web where
``tools.web.provider`` names one."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, MedrError, ToolError
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.observations import SearchHit, render_hits
from medr_ray.tools.threads import Threads

_MAX_QUERY = 1000  # characters; a longer query is a pasted text, not a search
QUERY = {"type": "string", "maxLength": _MAX_QUERY, "description": "what to look for"}
T = TypeVar("T")
_THREADS = Threads()
_CORPUS = (
    "Search the medical literature and the disease records; returns the most relevant passages."
)
_WEB = "Search the web; returns the most relevant pages with their addresses."


class Searcher(Protocol):
    """What searches for the tools: ``retrieval.retriever.Retriever``, live sources, both together,
    the web. The calls block; their results may carry ``notes`` on what is missing
    (``retrieval.live.annotated_results``)."""

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[SearchHit]:
        """Hits by relevance."""
        ...

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Sequence[SearchHit]:
        """Hits by relevance and clinical authority. ``since`` and ``until`` are years, inclusive;
        ``types`` kinds of evidence (``retrieval.authority.KINDS``)."""
        ...


class SearchTool:
    """Search by relevance. ``observation_chars`` bounds what the agent is shown."""

    name = "search"
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"query": QUERY},
        "required": ["query"],
        "additionalProperties": False,
    }

    def __init__(
        self, searcher: Searcher, observation_chars: int, description: str = _CORPUS
    ) -> None:
        self._searcher, self._chars, self.description = searcher, observation_chars, description

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The hits as text; raises ToolError for wrong arguments, InfrastructureError when the
        index fails."""
        check_arguments(self.name, self.parameters, arguments)
        query = asked(self.name, arguments)
        return await blocking_search(self.name, lambda: self._searcher.search(query), self._chars)


def make(config: PipelineConfig, searcher: Searcher) -> SearchTool:
    """The tool over the web where a provider is configured, else over the corpus."""
    from medr_ray.tools.web_search import open_web

    web = open_web(config.tools.web, config.tools.before)
    return SearchTool(web or searcher, config.agent.observation_chars, _WEB if web else _CORPUS)


def asked(tool: str, arguments: Mapping[str, Any]) -> str:
    """The query; a ToolError when it holds nothing to search for."""
    query = str(arguments["query"]).strip()
    if not any(character.isalnum() for character in query):
        raise ToolError(f"{tool}: the argument 'query' is empty: say what to look for")
    return query


async def blocking_search(
    tool: str, search: Callable[[], Sequence[SearchHit]], chars: int
) -> ToolResult:
    """The hits of a blocking search as text."""
    hits = await of_index(tool, search)
    return render_hits(hits, chars, getattr(hits, "notes", ()))


async def of_index(tool: str, work: Callable[[], T]) -> T:
    """Blocking work with the index in a thread, so that other rollouts of the worker go on.
    InfrastructureError when the index fails."""
    with reading_index(tool):
        return await _THREADS.run(work)


@contextlib.contextmanager
def reading_index(tool: str) -> Iterator[None]:
    """What goes wrong with the index is an InfrastructureError; our own errors pass."""
    try:
        yield
    except MedrError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        # What the index raises when its files are gone or broken.
        raise InfrastructureError(
            f"{tool}: the index cannot be searched: {type(error).__name__}: {error}"
        ) from error
