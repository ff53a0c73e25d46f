"""Live sources behind the searcher's protocol, alone or beside the index.

What holds: the sources are asked at the same time; one that is down takes nothing from the others,
and a note in the result names it; only when every one failed does the search, as
InfrastructureError when one could not be had and as ToolError when all refused the query. Documents
are plain text, within the years and the kinds of evidence asked for, and never of the cut-off's day
or later as far as their source knows. What was found can be read by its id.
"""

import asyncio
import dataclasses
import datetime
from collections import OrderedDict
from collections.abc import Callable, Sequence

from medr_ray.core.config import LiveConfig, RetrievalConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.retrieval.authority import kind_of
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.annotated_results import Noted
from medr_ray.retrieval.live.background import started
from medr_ray.retrieval.live.clinical_trials import Trials
from medr_ray.retrieval.live.openfda import FdaApprovals, FdaLabels
from medr_ray.retrieval.live.pubmed import PubMed
from medr_ray.retrieval.live.query_cache import Memory
from medr_ray.retrieval.live.ranker import Ranker
from medr_ray.retrieval.live.service import within
from medr_ray.retrieval.live.source import Inquiry, Source
from medr_ray.retrieval.query_text import plain, plain_lines, query_words
from medr_ray.retrieval.retriever import Hit

_REMEMBERED = 1024  # inquiries to a source
_KEPT = 10_000  # documents that can still be read by their ids

LIVE_SOURCES: dict[str, Callable[[LiveConfig], Source]] = {
    "pubmed": PubMed,
    "trials": Trials,
    "fda_labels": FdaLabels,
    "fda_approvals": FdaApprovals,
}
_Failure = ToolError | InfrastructureError


def open_live(
    config: LiveConfig, retrieval: RetrievalConfig, before: datetime.date | None
) -> "Live | None":
    """The configured sources, None where there are none. Raises ConfigError for an address that is
    none."""
    if not config.sources:
        return None
    return Live(
        [LIVE_SOURCES[name](config) for name in dict.fromkeys(config.sources)],
        config,
        retrieval,
        before,
    )


class Live:
    """A searcher over live sources. Calls block; open it where it is used, it holds connections."""

    def __init__(
        self,
        sources: Sequence[Source],
        config: LiveConfig,
        retrieval: RetrievalConfig,
        before: datetime.date | None,
    ) -> None:
        self._sources, self._config, self._retrieval, self._before = (
            sources,
            config,
            retrieval,
            before,
        )
        self._ranker = Ranker(retrieval, before)
        self._answers = Memory[tuple[str, Inquiry], list[Document]](_REMEMBERED)
        self._documents: OrderedDict[str, Document] = OrderedDict()

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Noted[Hit]:
        """The most relevant documents, best first."""
        return self._begun(query, 1.0, sources)()

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Noted[Hit]:
        """Documents by relevance and clinical authority together, best first."""
        return self.begun(query, sources=sources, since=since, until=until, types=types)()

    def begun(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Callable[[], Noted[Hit]]:
        """``medical_search`` under way; call what is returned for its result."""
        return self._begun(query, self._retrieval.relevance_weight, sources, since, until, types)

    def document(self, document_id: str) -> Document | None:
        """A document that a search of this process found not long ago."""
        return self._documents.get(document_id)

    def _begun(
        self,
        query: str,
        weight: float,
        sources: Sequence[str] | None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Callable[[], Noted[Hit]]:
        inquiry = Inquiry(
            plain(query),
            self._config.candidates,
            since,
            until,
            tuple(sorted(types or ())),
            self._before,
        )
        asked = [
            one
            for one in self._sources
            if (not sources or one.name in sources) and (not types or one.kinds & set(types))
        ]
        if not asked or not inquiry.is_possible or not query_words(query):
            return Noted
        answers = started(self._all(asked, inquiry))
        return lambda: self._hits(inquiry.query, weight, answers.result())

    def _hits(
        self, query: str, weight: float, answers: Sequence[list[Document] | _Failure]
    ) -> Noted[Hit]:
        failures = [one for one in answers if isinstance(one, _Failure)]
        if len(failures) == len(answers):
            raise _together(failures)
        found = [one for one in answers if not isinstance(one, _Failure)]
        hits = self._ranker.hits(query, found, weight)[: self._retrieval.results]
        return Noted(hits, map(incomplete, failures))

    async def _all(
        self, asked: Sequence[Source], inquiry: Inquiry
    ) -> list[list[Document] | _Failure]:
        return await asyncio.gather(*(self._of(one, inquiry) for one in asked))

    async def _of(self, source: Source, inquiry: Inquiry) -> list[Document] | _Failure:
        try:
            return await self._answers.get(
                (source.name, inquiry), lambda _: self._asked(source, inquiry)
            )
        except (ToolError, InfrastructureError) as error:
            return error

    async def _asked(self, source: Source, inquiry: Inquiry) -> list[Document]:
        found = await within(self._config.deadline_seconds, source.name, source.documents(inquiry))
        kept = [one for one in map(_cleaned, found) if _is_wanted(one, inquiry)]
        for document in kept:
            self._documents[document.document_id] = document
            self._documents.move_to_end(document.document_id)
        while len(self._documents) > _KEPT:
            self._documents.popitem(last=False)
        return kept


def incomplete(failure: Exception) -> str:
    """The note of an answer that lacks what a source would have given."""
    return f"not every source answered: {failure}"


def _together(failures: Sequence[_Failure]) -> _Failure:
    """Refused by all: the query's fault. Else ours."""
    said = "; ".join(map(str, failures))
    ours = any(isinstance(one, InfrastructureError) for one in failures)
    return InfrastructureError(said) if ours else ToolError(said)


def _cleaned(document: Document) -> Document:
    return dataclasses.replace(
        document,
        title=plain(document.title),
        text=plain_lines(document.text),
        journal=plain(document.journal),
    )


def _is_wanted(document: Document, inquiry: Inquiry) -> bool:
    """Of the years and kinds asked for; services are not always as strict, and what has no year is
    in none."""
    if inquiry.types and kind_of(document) not in inquiry.types:
        return False
    if not inquiry.is_dated:
        return True
    return (
        document.year is not None
        and inquiry.first_day.year <= document.year <= inquiry.last_day.year
    )
