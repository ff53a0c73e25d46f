"""``search``: the most relevant documents of every source, or of the web where
``tools.web.provider`` names a service."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, MedrError, ToolError
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.observations import SearchHit, render_hits
from medr_ray.tools.threads import DaemonThreads

_MAX_QUERY_CHARS = 1000  # a longer query is a pasted text, not a search
QUERY_SCHEMA = {
    "type": "string",
    "maxLength": _MAX_QUERY_CHARS,
    "description": "what to look for",
}
T = TypeVar("T")
_THREADS = DaemonThreads()
_CORPUS_DESCRIPTION = (
    "Search the medical literature and the disease records; returns the most relevant passages."
)
_WEB_DESCRIPTION = "Search the web; returns the most relevant pages with their addresses."


class Searcher(Protocol):
    """What the search tools call: ``retrieval.retriever.Retriever``, live sources, both together,
    or the web. The calls block. Their results may carry ``notes`` on what is missing
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
        page: int = 1,
    ) -> Sequence[SearchHit]:
        """Hits by relevance and clinical authority. ``since`` and ``until`` are years, inclusive;
        ``types`` kinds of evidence (``retrieval.authority.KINDS``). Page 2 has the hits behind
        those of page 1."""
        ...


class SearchTool:
    """Search by relevance. ``observation_chars`` bounds what the agent is shown."""

    name = "search"
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"query": QUERY_SCHEMA},
        "required": ["query"],
        "additionalProperties": False,
    }

    def __init__(
        self,
        searcher: Searcher,
        observation_chars: int,
        description: str = _CORPUS_DESCRIPTION,
    ) -> None:
        self._searcher = searcher
        self._observation_chars = observation_chars
        self.description = description

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The hits as text; raises ToolError for wrong arguments, InfrastructureError when the
        index fails."""
        check_arguments(self.name, self.parameters, arguments)
        query = read_query(self.name, arguments)
        return await run_search(
            self.name, lambda: self._searcher.search(query), self._observation_chars
        )


def build_search_tool(config: PipelineConfig, searcher: Searcher) -> SearchTool:
    """The tool over the web where a provider is configured, else over the corpus."""
    from medr_ray.tools.web_search import open_web

    chars = config.agent.observation_chars
    web = open_web(config.tools.web, config.tools.before)
    if web is not None:
        return SearchTool(web, chars, _WEB_DESCRIPTION)
    return SearchTool(searcher, chars, _CORPUS_DESCRIPTION)


def read_query(tool: str, arguments: Mapping[str, Any]) -> str:
    """The query without spaces around it. Raises ToolError when it has no letter or digit."""
    query = str(arguments["query"]).strip()
    if not any(character.isalnum() for character in query):
        raise ToolError(f"{tool}: the argument 'query' is empty: say what to look for")
    return query


async def run_search(
    tool: str, search: Callable[[], Sequence[SearchHit]], chars: int
) -> ToolResult:
    """The hits of a blocking search as text of at most ``chars`` characters."""
    hits = await run_index_work(tool, search)
    return render_hits(hits, chars, getattr(hits, "notes", ()))


async def run_index_work(tool: str, work: Callable[[], T]) -> T:
    """Run blocking work on the index in a thread, so that other rollouts of the worker go on.
    Raises InfrastructureError when the index fails."""
    with translate_index_errors(tool):
        return await _THREADS.run(work)


@contextlib.contextmanager
def translate_index_errors(tool: str) -> Iterator[None]:
    """Turns the index's own errors into InfrastructureError and lets every MedrError pass."""
    try:
        yield
    except MedrError:
        raise
    # The index libraries raise these when its files are gone or broken.
    except (OSError, RuntimeError, ValueError) as error:
        raise InfrastructureError(
            f"{tool}: the index cannot be searched: {type(error).__name__}: {error}"
        ) from error
