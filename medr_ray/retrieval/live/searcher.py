"""Live sources behind the searcher's protocol, alone or beside the index.

Guarantees: the sources are asked at the same time. One that is down takes nothing from the others,
and a note in the result names it. The search fails only when every source failed: with
InfrastructureError when one could not be reached, with ToolError when all refused the query.
Documents are plain text, within the years and the kinds of evidence asked for, and never of the
cut-off's day or later as far as their source knows. What a search returned can be read by its id.
"""

import asyncio
import dataclasses
import datetime
from collections import OrderedDict
from collections.abc import Callable, Sequence

from medr_ray.core.config import LiveConfig, RetrievalConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.retrieval.authority import evidence_kind
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.annotated_results import AnnotatedResults
from medr_ray.retrieval.live.background import start_in_background
from medr_ray.retrieval.live.clinical_trials import ClinicalTrialsSource
from medr_ray.retrieval.live.openfda import FdaApprovalsSource, FdaLabelsSource
from medr_ray.retrieval.live.pubmed import PubMedSource
from medr_ray.retrieval.live.query_cache import QueryCache
from medr_ray.retrieval.live.ranker import LiveRanker
from medr_ray.retrieval.live.service import with_deadline
from medr_ray.retrieval.live.source import LiveQuery, LiveSource
from medr_ray.retrieval.query_text import plain_line, plain_lines, split_query
from medr_ray.retrieval.retriever import RetrievalHit

_MAX_CACHED_QUERIES = 1024  # to all sources
_KEPT_DOCUMENTS = 10_000  # that can still be read by their ids

LIVE_SOURCES: dict[str, Callable[[LiveConfig], LiveSource]] = {
    "pubmed": PubMedSource,
    "trials": ClinicalTrialsSource,
    "fda_labels": FdaLabelsSource,
    "fda_approvals": FdaApprovalsSource,
}
_Failure = ToolError | InfrastructureError


def open_live(
    config: LiveConfig, retrieval: RetrievalConfig, before: datetime.date | None
) -> "LiveSearcher | None":
    """A searcher over the configured sources, None where there are none.

    ConfigError for an address that cannot be used.
    """
    if not config.sources:
        return None
    sources = [LIVE_SOURCES[name](config) for name in dict.fromkeys(config.sources)]
    return LiveSearcher(sources, config, retrieval, before)


class LiveSearcher:
    """A searcher over live sources. Calls block.

    It holds connections: open it where it is used.
    """

    def __init__(
        self,
        sources: Sequence[LiveSource],
        config: LiveConfig,
        retrieval: RetrievalConfig,
        before: datetime.date | None,
    ) -> None:
        self._sources = sources
        self._config = config
        self._retrieval = retrieval
        self._before = before
        self._ranker = LiveRanker(retrieval, before)
        self._answers = QueryCache[tuple[str, LiveQuery], list[Document]](_MAX_CACHED_QUERIES)
        # Written on the background loop and read by callers: single operations of a dictionary are
        # atomic.
        self._documents: OrderedDict[str, Document] = OrderedDict()

    def search(
        self, query: str, *, sources: Sequence[str] | None = None
    ) -> AnnotatedResults[RetrievalHit]:
        """The most relevant documents, best first."""
        return self._start_search(query, 1.0, sources)()

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
        page: int = 1,
    ) -> AnnotatedResults[RetrievalHit]:
        """Documents by relevance and clinical authority together, best first; all of them are on
        the first page."""
        if page > 1:
            return AnnotatedResults()
        wait_for_hits = self.start_medical_search(
            query, sources=sources, since=since, until=until, types=types
        )
        return wait_for_hits()

    def start_medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Callable[[], AnnotatedResults[RetrievalHit]]:
        """Start a ``medical_search``; a call of what is returned waits for its result."""
        weight = self._retrieval.relevance_weight
        return self._start_search(query, weight, sources, since, until, types)

    def document(self, document_id: str) -> Document | None:
        """A document that a recent search of this process returned."""
        return self._documents.get(document_id)

    def _start_search(
        self,
        query: str,
        weight: float,
        names: Sequence[str] | None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Callable[[], AnnotatedResults[RetrievalHit]]:
        live_query = LiveQuery(
            query=plain_line(query),
            count=self._config.candidates,
            since=since,
            until=until,
            types=tuple(sorted(types or ())),  # sorted, because the query is a cache key
            before=self._before,
        )
        sources = self._select_sources(names, types)
        if not sources or not live_query.is_possible or not split_query(query):
            # Nothing can match, so nothing is asked. The class itself is the function that gives no
            # hits.
            return AnnotatedResults
        # Started here and awaited in what is returned, so that the index can search meanwhile.
        answers = start_in_background(self._ask_all(sources, live_query))
        return lambda: self._build_hits(live_query.query, weight, answers.result())

    def _select_sources(
        self, names: Sequence[str] | None, types: Sequence[str] | None
    ) -> list[LiveSource]:
        """The sources of these names that have evidence of these kinds; None stands for all."""
        selected = []
        for source in self._sources:
            is_named = not names or source.name in names
            has_kind = not types or bool(source.kinds & set(types))
            if is_named and has_kind:
                selected.append(source)
        return selected

    def _build_hits(
        self, query: str, weight: float, answers: Sequence[list[Document] | _Failure]
    ) -> AnnotatedResults[RetrievalHit]:
        failures = [answer for answer in answers if isinstance(answer, _Failure)]
        # A search without a source was answered before, so there is at least one answer.
        if len(failures) == len(answers):
            raise _combine_failures(failures)
        documents = [answer for answer in answers if not isinstance(answer, _Failure)]
        hits = self._ranker.rank_documents(query, documents, weight)[: self._retrieval.results]
        return AnnotatedResults(hits, map(describe_missing, failures))

    async def _ask_all(
        self, sources: Sequence[LiveSource], query: LiveQuery
    ) -> list[list[Document] | _Failure]:
        return await asyncio.gather(*(self._ask_source(source, query) for source in sources))

    async def _ask_source(self, source: LiveSource, query: LiveQuery) -> list[Document] | _Failure:
        """The source's documents, or why it has none; from the cache where it was asked before."""
        try:
            return await self._answers.get(
                (source.name, query), lambda _: self._fetch_documents(source, query)
            )
        except (ToolError, InfrastructureError) as error:
            return error

    async def _fetch_documents(self, source: LiveSource, query: LiveQuery) -> list[Document]:
        # Inside of the cache: one deadline for all callers that share the answer.
        documents = await with_deadline(
            self._config.deadline_seconds, source.name, source.find_documents(query)
        )
        cleaned = [_clean_document(document) for document in documents]
        kept = [document for document in cleaned if _matches_query(document, query)]
        for document in kept:
            self._documents[document.document_id] = document
            self._documents.move_to_end(document.document_id)
        while len(self._documents) > _KEPT_DOCUMENTS:
            self._documents.popitem(last=False)
        return kept


def describe_missing(failure: Exception) -> str:
    """The note of a result that lacks what a source would have given."""
    return f"not every source answered: {failure}"


def _combine_failures(failures: Sequence[_Failure]) -> _Failure:
    """One failure for all: ToolError, the agent's fault, only where every source refused."""
    message = "; ".join(map(str, failures))
    if any(isinstance(failure, InfrastructureError) for failure in failures):
        return InfrastructureError(message)
    return ToolError(message)


def _clean_document(document: Document) -> Document:
    return dataclasses.replace(
        document,
        title=plain_line(document.title),
        text=plain_lines(document.text),
        journal=plain_line(document.journal),
    )


def _matches_query(document: Document, query: LiveQuery) -> bool:
    """Whether the document is of the years and kinds asked for.

    Services are not always as strict. A document without a year is in no span of years.
    """
    if query.types and evidence_kind(document) not in query.types:
        return False
    if not query.is_dated:
        return True
    if document.year is None:
        return False
    return query.first_day.year <= document.year <= query.last_day.year
