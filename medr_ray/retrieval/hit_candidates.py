"""Finds documents that may answer a query: by full text, by vectors, and by a title or a number in
the query.

Guaranteed: a query is read as words and never as syntax, so "p<0.05" or "HIV/AIDS" cannot be
malformed. The same query and filter give the same candidates. No candidate is excluded by the
filter or the publication-date cut-off.
"""

import datetime
import functools
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from medr_ray.core.errors import DataError
from medr_ray.core.records import from_row
from medr_ray.knowledge.name_normalization import list_word_forms, spell_greek_letters
from medr_ray.retrieval.authority import CURATED_SOURCES
from medr_ray.retrieval.documents import Document, title_key, title_words
from medr_ray.retrieval.filters import DocumentFilter, join_conditions, published_before, sql_in
from medr_ray.retrieval.index import COLUMNS
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.word_rarity import WordRarity

if TYPE_CHECKING:
    import numpy as np

RetrievalMode = Literal["text", "vector", "hybrid"]
Row = dict[str, Any]

_MOST_QUERY_WORDS = 48  # the rest of a longer query adds nothing to rank by
_INFORMATIVE_SHARE = 0.5  # of the rarest word's weight, that a word needs to be searched by
_MOST_TIED = 20_000  # documents of one score that are ordered by their ids
_TIED_GROWTH = 4  # times as many rows are asked for while all of them have the same score
# Numbers of documents as words of a query, and what their ids begin with.
_NUMBERS = (
    (re.compile(r"nct\d{8}"), ("NCT",)),
    (re.compile(r"(?:nda|anda|bla)\d{6}"), ("FDA", "ORANGE-BOOK")),
    (re.compile(r"\d{5,8}"), ("PMID",)),
)
_LONGEST_TITLE = 16  # words of a title that is looked for inside a query


class CandidateFinder:
    """Finds at most ``limit`` candidates of each kind.

    ``encode`` makes a query's vector. ``retracted`` are ids known to be retracted, whatever the
    table has.
    """

    def __init__(
        self,
        table: Any,
        rarity: WordRarity,
        limit: int,
        encode: Callable[[str], "np.ndarray"],
        before: datetime.date | None = None,
        retracted: Collection[str] = frozenset(),
    ) -> None:
        self._table = table
        self._rarity = rarity
        self._limit = limit
        self._encode = encode
        self._cutoff = published_before(before)
        self._retracted = retracted
        # An index of an earlier version may lack some columns.
        self._columns = [column for column in COLUMNS if column in table.schema.names]

    def find_candidates(
        self, query: str, document_filter: DocumentFilter, mode: RetrievalMode
    ) -> list[Candidate]:
        """The candidates by document id. DataError where the index cannot serve the filter."""
        tokens = title_words(query)[:_MOST_QUERY_WORDS]
        if not tokens:
            return []
        where = self._build_condition(document_filter)
        vector = None if mode == "text" else self._encode(spell_greek_letters(query))
        columns = self._columns if vector is None else [*self._columns, "vector"]
        candidates: dict[str, Candidate] = {}
        for row in self._find_named(tokens, where, columns):
            candidates[row["document_id"]] = self._build_candidate(row, vector)
        if mode != "vector":
            informative = self._select_informative(tokens)
            rows = self._search_text(informative, where, columns)
            # No document that is kept has one of the rare words (they may be misspelt): search by
            # all words.
            rows = rows or self._search_text(tokens, where, columns)
            # In place of a named record's row, which has no full-text score.
            for row in rows:
                candidates[row["document_id"]] = self._build_candidate(row, vector)
        if vector is not None:
            # A row found by text has its cosine already; that of a vector search has no BM25.
            for row in self._search_vector(vector, where, columns):
                candidates.setdefault(row["document_id"], self._build_candidate(row, vector))
        runs = _list_runs(tokens)
        numbered = frozenset(_list_numbered_ids(tokens))
        # In the order of ids, whichever search found them first.
        return [_mark_named(candidates[key], runs, numbered) for key in sorted(candidates)]

    def find_document(self, document_id: str) -> Document | None:
        """A document by its id; None if there is none or it is later than the cut-off."""
        rows = self._find_by_id([document_id], self._cutoff, self._columns)
        return self._build_document(rows[0]) if rows else None

    def _build_condition(self, document_filter: DocumentFilter) -> str | None:
        if document_filter.types and "kind" not in self._table.schema.names:
            raise DataError(
                "the index does not know kinds of evidence, it was made by an earlier version: run "
                "`medr index run` again"
            )
        return join_conditions([document_filter.to_sql(), self._cutoff])

    def _build_document(self, row: Row) -> Document:
        document = from_row(Document, row)
        if document.document_id in self._retracted:
            return replace(document, retracted=True)
        return document

    def _build_candidate(self, row: Row, vector: "np.ndarray | None") -> Candidate:
        """The row with its full-text score and its cosine, as far as it has them."""
        cosine = None
        if vector is not None and row["vector"] is not None:
            # Both are unit vectors.
            cosine = float(vector @ row["vector"])
        # LanceDB adds ``_score`` to the rows of a full-text search only.
        bm25 = float(row.get("_score") or 0.0)
        return Candidate(self._build_document(row), bm25, cosine, title_words=0)

    def _select_informative(self, tokens: list[str]) -> list[str]:
        """The words to search by.

        Common words are left out, so that they cannot outvote a rare one; they still count in
        ranking.
        """
        rarest = max(map(self._rarity.weight, tokens))
        floor = _INFORMATIVE_SHARE * rarest
        return [token for token in tokens if self._rarity.weight(token) >= floor]

    # --- searches of the table --------------------------------------------------------

    def _find_named(
        self, tokens: list[str], where: str | None, columns: Sequence[str]
    ) -> list[Row]:
        """Documents that the query names by their number, and curated records whose whole title is
        a run of the query's words: full text may miss both."""
        ids = sorted(
            key for run in _list_runs(tokens) for key in self._curated_ids_by_title.get(run, ())
        )
        ids += _list_numbered_ids(tokens)
        return self._find_by_id(ids, where, columns) if ids else []

    @functools.cached_property
    def _curated_ids_by_title(self) -> dict[str, list[str]]:
        """Ids of the curated records by title key: some ten thousand, unlike the articles."""
        rows = self._select_rows(
            sql_in("source", sorted(CURATED_SOURCES)),
            ["document_id", "title"],
            self._table.count_rows(),
        )
        titles: dict[str, list[str]] = {}
        for row in rows:
            titles.setdefault(title_key(row["title"]), []).append(row["document_id"])
        return titles

    def _search_text(
        self, tokens: list[str], where: str | None, columns: Sequence[str]
    ) -> list[Row]:
        from lancedb.query import MatchQuery

        # A MatchQuery takes words: none of them can be read as an operator. The index has the words
        # as they are written.
        words = MatchQuery(" ".join(list_word_forms(tokens)), "text")  # type: ignore[call-arg]
        return self._select_best(
            lambda: self._table.search(words, query_type="fts"), "_score", where, columns
        )

    def _search_vector(
        self, vector: "np.ndarray", where: str | None, columns: Sequence[str]
    ) -> list[Row]:
        """By exact search; rows without a vector are never among them."""
        return self._select_best(
            lambda: self._table.search(vector, vector_column_name="vector").distance_type("cosine"),
            "_distance",
            where,
            columns,
        )

    def _select_best(
        self, search: Callable[[], Any], score: str, where: str | None, columns: Sequence[str]
    ) -> list[Row]:
        """The best rows.

        Of the rows that are as good as the last one, those with the first ids: the order of the
        table's rows, in which it has grown, must decide nothing.
        """

        def select_first(limit: int, selected: Sequence[str]) -> list[Row]:
            query = search().select([*selected, score]).limit(limit)
            if where:
                # Before the search: filtering its results afterwards could leave fewer than
                # ``limit``.
                query = query.where(where, prefilter=True)
            rows: list[Row] = query.to_list()
            return rows

        rows = select_first(self._limit + 1, columns)
        # One row more than needed shows whether the last place is tied.
        if len(rows) <= self._limit or rows[-1][score] != rows[-2][score]:
            return rows[: self._limit]
        # Scores of equal documents are equal numbers, so they can be compared exactly.
        tied_score = rows[-1][score]
        better = [row for row in rows if row[score] != tied_score]
        tied = _list_tied(
            lambda limit: select_first(limit, ["document_id"]), score, tied_score, self._limit
        )
        # Rows with a better score have their places. The tied rows with the first ids get the rest.
        places = self._limit - len(better)
        chosen = self._find_by_id(sorted(tied)[:places], None, columns)
        return [*better, *({**row, score: tied_score} for row in chosen)]

    def _find_by_id(
        self, ids: Sequence[str], where: str | None, columns: Sequence[str]
    ) -> list[Row]:
        condition = join_conditions([sql_in("document_id", ids), where])
        return self._select_rows(condition, columns, len(ids))

    def _select_rows(self, where: str | None, columns: Sequence[str], limit: int) -> list[Row]:
        query = self._table.search().where(where).select(list(columns)).limit(limit)
        rows: list[Row] = query.to_list()
        return rows


def _list_tied(
    select_first: Callable[[int], list[Row]], score: str, tied_score: float, limit: int
) -> list[str]:
    """The ids of all rows with ``tied_score``, the score of the last of the best ``limit`` rows."""
    limit *= _TIED_GROWTH
    rows = select_first(limit)
    # Ends when a worse score shows up, which means that all tied rows are there.
    while len(rows) == limit < _MOST_TIED and rows[-1][score] == tied_score:
        limit *= _TIED_GROWTH
        rows = select_first(limit)
    return [row["document_id"] for row in rows if row[score] == tied_score]


def _list_numbered_ids(tokens: Sequence[str]) -> list[str]:
    """The ids of the documents that words of a query may be the numbers of, sorted."""
    return sorted(
        f"{prefix}:{token.upper()}"
        for token in set(tokens)
        for pattern, prefixes in _NUMBERS
        if pattern.fullmatch(token)
        for prefix in prefixes
    )


def _list_runs(tokens: list[str]) -> set[str]:
    """Every run of neighbouring words, joined by spaces, up to the length of a title."""
    runs = set()
    for start in range(len(tokens)):
        for end in range(start + 1, min(start + _LONGEST_TITLE, len(tokens)) + 1):
            runs.add(" ".join(tokens[start:end]))
    return runs


def _mark_named(candidate: Candidate, runs: set[str], numbered: Collection[str]) -> Candidate:
    """The candidate with the length of its title, where the whole title is in the query; one that
    the query names by its number, which no other has, as if by the longest title."""
    if candidate.document.document_id in numbered:
        return replace(candidate, title_words=_LONGEST_TITLE)
    key = title_key(candidate.document.title)
    return replace(candidate, title_words=len(key.split(" "))) if key in runs else candidate
