"""The index and the live sources as one searcher.

Guarantees: ``search`` uses the index alone, ``medical_search`` asks both at the same time. A
document that both have is there once. The order within each is kept, and between them the better
score goes first. When the live sources fail, the index's hits are returned with a note.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol

from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.annotated_results import AnnotatedResults
from medr_ray.retrieval.live.searcher import LiveSearcher, describe_missing
from medr_ray.retrieval.retriever import RetrievalHit


class IndexSearcher(Protocol):
    """The part of ``retrieval.Retriever`` that is used."""

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[RetrievalHit]:
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
    ) -> Sequence[RetrievalHit]:
        """Hits by relevance and clinical authority."""
        ...

    def document(self, document_id: str) -> Document | None:
        """The document, None if there is none with that id."""
        ...


def combine_searchers(
    index: IndexSearcher, live: LiveSearcher | None, results: int
) -> "IndexSearcher | CombinedSearcher":
    """One searcher over both, which gives ``results`` hits; the index's without live sources."""
    return index if live is None else CombinedSearcher(index, live, results)


class CombinedSearcher:
    """A searcher over an index and live sources. Calls block."""

    def __init__(self, index: IndexSearcher, live: LiveSearcher, results: int) -> None:
        self._index = index
        self._live = live
        self._results = results

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[RetrievalHit]:
        """The index's hits by relevance."""
        return self._index.search(query, sources=sources)

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
        """Hits of both by relevance and clinical authority. Raises what the index raises.

        What the live sources have is on the first page.
        """
        if page > 1:
            return AnnotatedResults(
                self._index.medical_search(
                    query, sources=sources, since=since, until=until, types=types, page=page
                )
            )
        # The live sources are slow, so they search while the index does.
        wait_for_live_hits = self._live.start_medical_search(
            query, sources=sources, since=since, until=until, types=types
        )
        index_hits = self._index.medical_search(
            query, sources=sources, since=since, until=until, types=types
        )
        try:
            live_hits = wait_for_live_hits()
        except (ToolError, InfrastructureError) as error:
            return AnnotatedResults(index_hits, [describe_missing(error)])
        merged = merge_hits(index_hits, live_hits)
        return AnnotatedResults(merged[: self._results], live_hits.notes)

    def document(self, document_id: str) -> Document | None:
        """The index's document of that id, else one that a live search returned."""
        return self._index.document(document_id) or self._live.document(document_id)


def merge_hits(first: Sequence[RetrievalHit], second: Sequence[RetrievalHit]) -> list[RetrievalHit]:
    """Both lists in one; a hit of both is taken from the first.

    A hit is placed by the best score from it to the end of its list, so that neither list is
    reordered: a title that the query names goes before better scores.
    """
    first_ids = {hit.document_id for hit in first}
    # The index has the whole record and a score from full text; the live copy has only a place.
    only_second = [hit for hit in second if hit.document_id not in first_ids]
    placed = [*_pair_with_best_score(first), *_pair_with_best_score(only_second)]
    # ``sorted`` is stable: of equal scores the index's hits come first.
    return [hit for _, hit in sorted(placed, key=lambda pair: -pair[0])]


def _pair_with_best_score(hits: Sequence[RetrievalHit]) -> list[tuple[float, RetrievalHit]]:
    """Each hit with the best score from it to the end of the list."""
    scores = (hit.score for hit in reversed(hits))
    best = list(itertools.accumulate(scores, max))
    return list(zip(reversed(best), hits, strict=True))
