"""What may answer a query: candidates out of the table by full text, by vectors, and by a title the
query names.

What holds: a query is words, never syntax, so "p<0.05" or "HIV/AIDS" cannot be malformed; the same
query and filter give the same candidates; nothing that the filter or the publication-date cut-off
excludes is among them.
"""

import datetime
import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from medr_ray.core.errors import DataError
from medr_ray.core.records import from_row
from medr_ray.retrieval.authority import CURATED_SOURCES
from medr_ray.retrieval.documents import Document, title_key, title_words
from medr_ray.retrieval.filters import Filter, all_of, among, published_before
from medr_ray.retrieval.index import COLUMNS
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.word_rarity import Rarity

if TYPE_CHECKING:
    import numpy as np

Mode = Literal["text", "vector", "hybrid"]

_QUERY_WORDS = 48  # the rest of a longer query adds nothing to rank by
_TELLING = 0.5  # of the rarest word's weight, that a word needs to be searched by
_MOST_TIED = 20_000  # documents that are told apart by their ids
_TITLE_WORDS = 16  # longest title looked for inside a query


class CandidateFinder:
    """Finds ``limit`` candidates of each kind. ``retracted`` are ids known to be, whatever the
    table says."""

    def __init__(
        self,
        table: Any,
        rarity: Rarity,
        limit: int,
        encode: Callable[[str], "np.ndarray"],
        before: datetime.date | None = None,
        retracted: Collection[str] = frozenset(),
    ) -> None:
        self._table, self._rarity, self._limit, self._encode = table, rarity, limit, encode
        self._cutoff, self._retracted = published_before(before), retracted
        self._columns = [one for one in COLUMNS if one in table.schema.names]

    def find(self, query: str, kept: Filter, mode: Mode) -> list[Candidate]:
        """The candidates by document id."""
        tokens = title_words(query)[:_QUERY_WORDS]
        if not tokens:
            return []
        where, vector = self._condition(kept), None if mode == "text" else self._encode(query)
        columns = self._columns if vector is None else [*self._columns, "vector"]
        found = {
            row["document_id"]: self._candidate(row, vector)
            for row in self._named(tokens, where, columns)
        }
        if mode != "vector":
            rows = self._full_text(self._telling(tokens), where, columns) or self._full_text(
                tokens, where, columns
            )
            found |= {row["document_id"]: self._candidate(row, vector) for row in rows}
        if vector is not None:
            for row in self._nearest(vector, where, columns):
                found.setdefault(row["document_id"], self._candidate(row, vector))
        runs = _runs(tokens)
        return [_with_title(found[key], runs) for key in sorted(found)]

    def document(self, document_id: str) -> Document | None:
        """A document by its id, None where there is none or it is later than the cut-off."""
        rows = self._by_id([document_id], self._cutoff, self._columns)
        return self._document(rows[0]) if rows else None

    def _condition(self, kept: Filter) -> str | None:
        if kept.types and "kind" not in self._table.schema.names:
            raise DataError(
                "the index does not know kinds of evidence, it was made by an earlier version: run "
                "`medr index run` again"
            )
        return all_of([kept.condition(), self._cutoff])

    def _document(self, row: dict[str, Any]) -> Document:
        document = from_row(Document, row)
        return (
            replace(document, retracted=True)
            if document.document_id in self._retracted
            else document
        )

    def _candidate(self, row: dict[str, Any], vector: "np.ndarray | None") -> Candidate:
        """The row with its full-text score and its cosine, as far as it has them."""
        cosine = None if vector is None or row["vector"] is None else float(vector @ row["vector"])
        return Candidate(self._document(row), float(row.get("_score") or 0.0), cosine, 0)

    def _telling(self, tokens: list[str]) -> list[str]:
        """The words worth searching by: a rare word is not outvoted by common ones, which still
        count in ranking."""
        rarest = max(map(self._rarity.weight, tokens))
        return [one for one in tokens if self._rarity.weight(one) >= _TELLING * rarest]

    def _named(
        self, tokens: list[str], where: str | None, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Curated records whose whole title is a run of the query's words and that full text may
        have missed."""
        ids = sorted(key for run in _runs(tokens) for key in self._curated.get(run, ()))
        return self._by_id(ids, where, columns) if ids else []

    @functools.cached_property
    def _curated(self) -> dict[str, list[str]]:
        """Ids of the curated records by title key: some ten thousand, unlike the articles."""
        rows = self._rows(
            among("source", sorted(CURATED_SOURCES)),
            ["document_id", "title"],
            self._table.count_rows(),
        )
        titles: dict[str, list[str]] = {}
        for row in rows:
            titles.setdefault(title_key(row["title"]), []).append(row["document_id"])
        return titles

    def _full_text(
        self, tokens: list[str], where: str | None, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        from lancedb.query import MatchQuery

        words = MatchQuery(" ".join(tokens), "text")  # type: ignore[call-arg]
        return self._best(
            lambda: self._table.search(words, query_type="fts"), "_score", where, columns
        )

    def _nearest(
        self, vector: "np.ndarray", where: str | None, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """By exact search; rows without a vector are never among them."""
        return self._best(
            lambda: self._table.search(vector, vector_column_name="vector").distance_type("cosine"),
            "_distance",
            where,
            columns,
        )

    def _best(
        self, search: Callable[[], Any], score: str, where: str | None, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The best rows. Of those that are equally good as the last one, the first by id, so that
        the order of the table's rows, in which it has grown, decides nothing."""

        def first(limit: int, selected: Sequence[str]) -> list[dict[str, Any]]:
            query = search().select([*selected, score]).limit(limit)
            rows: list[dict[str, Any]] = (
                query.where(where, prefilter=True) if where else query
            ).to_list()
            return rows

        rows = first(self._limit + 1, columns)
        if len(rows) <= self._limit or rows[-1][score] != rows[-2][score]:
            return rows[: self._limit]
        last, better = rows[-1][score], [row for row in rows if row[score] != rows[-1][score]]
        tied = sorted(_tied(lambda limit: first(limit, ["document_id"]), score, last, self._limit))
        chosen = self._by_id(tied[: self._limit - len(better)], None, columns)
        return [*better, *({**row, score: last} for row in chosen)]

    def _by_id(
        self, ids: Sequence[str], where: str | None, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        return self._rows(all_of([among("document_id", ids), where]), columns, len(ids))

    def _rows(self, where: str | None, columns: Sequence[str], limit: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (
            self._table.search().where(where).select(list(columns)).limit(limit).to_list()
        )
        return rows


def _tied(
    first: Callable[[int], list[dict[str, Any]]], score: str, last: float, limit: int
) -> list[str]:
    """Ids of the rows whose score is ``last``, which that of the best ``limit`` rows ends with."""
    rows = first(limit := 4 * limit)
    while len(rows) == limit < _MOST_TIED and rows[-1][score] == last:
        rows = first(limit := 4 * limit)
    return [row["document_id"] for row in rows if row[score] == last]


def _runs(tokens: list[str]) -> set[str]:
    """Every run of neighbouring words, joined by spaces."""
    return {
        " ".join(tokens[i:j])
        for i in range(len(tokens))
        for j in range(i + 1, min(i + _TITLE_WORDS, len(tokens)) + 1)
    }


def _with_title(candidate: Candidate, runs: set[str]) -> Candidate:
    key = title_key(candidate.document.title)
    return replace(candidate, title_words=len(key.split(" "))) if key in runs else candidate
