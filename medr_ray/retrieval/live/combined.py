"""The index and the live sources as one searcher.

What holds: ``search`` is the index's alone, ``medical_search`` asks both at the same time; a
document that both have is there once; the order within each is kept, and between them the better
score goes first; live sources that fail leave the index's hits, with a note.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol

from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.annotated_results import Noted
from medr_ray.retrieval.live.searcher import Live, incomplete
from medr_ray.retrieval.retriever import Hit


class Local(Protocol):
    """The part of ``retrieval.Retriever`` that is used."""

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[Hit]:
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
    ) -> Sequence[Hit]:
        """Hits by relevance and clinical authority."""
        ...

    def document(self, document_id: str) -> Document | None:
        """The document, None where there is none of that id."""
        ...


def combine(local: Local, live: Live | None, results: int) -> "Local | Combined":
    """One searcher over both, which gives ``results`` hits; the local one where there are no live
    sources."""
    return local if live is None else Combined(local, live, results)


class Combined:
    """A searcher over an index and live sources. Calls block."""

    def __init__(self, local: Local, live: Live, results: int) -> None:
        self._local, self._live, self._results = local, live, results

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[Hit]:
        """The index's hits by relevance."""
        return self._local.search(query, sources=sources)

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Noted[Hit]:
        """Hits of both by relevance and clinical authority. Raises what the index raises."""
        answer = self._live.begun(query, sources=sources, since=since, until=until, types=types)
        here = self._local.medical_search(
            query, sources=sources, since=since, until=until, types=types
        )
        try:
            there = answer()
        except (ToolError, InfrastructureError) as error:
            return Noted(here, [incomplete(error)])
        return Noted(merged(here, there)[: self._results], there.notes)

    def document(self, document_id: str) -> Document | None:
        """The index's document of that id, else one that was found live."""
        return self._local.document(document_id) or self._live.document(document_id)


def merged(here: Sequence[Hit], there: Sequence[Hit]) -> list[Hit]:
    """Both lists in one, a hit of both as it is in the first. A hit stands as high as the best
    score from it to the end of its list, so that neither list is reordered (a title that the query
    names goes before better scores)."""
    known = {one.document_id for one in here}
    rows = [*_heights(here), *_heights([one for one in there if one.document_id not in known])]
    return [hit for _, hit in sorted(rows, key=lambda row: -row[0])]


def _heights(hits: Sequence[Hit]) -> list[tuple[float, Hit]]:
    best = list(itertools.accumulate((one.score for one in reversed(hits)), max))
    return list(zip(reversed(best), hits, strict=True))
