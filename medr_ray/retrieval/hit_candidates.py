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
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow.compute as pc

from medr_ray.core.call_batches import CallBatcher
from medr_ray.core.errors import DataError
from medr_ray.knowledge.name_normalization import list_word_forms, spell_greek_letters
from medr_ray.retrieval.authority import CURATED_SOURCES
from medr_ray.retrieval.document_cache import DocumentCache
from medr_ray.retrieval.documents import Document, title_key, title_words
from medr_ray.retrieval.filters import DocumentFilter, join_conditions, published_before, sql_in
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.vector_matrix import VectorMatrix
from medr_ray.retrieval.word_rarity import WordRarity

if TYPE_CHECKING:
    import numpy as np

RetrievalMode = Literal["text", "vector", "hybrid"]

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
_MAX_CACHED_QUERIES = 1024  # rollouts of a group ask the same things
_MOST_CONDITIONS = 16  # whose rows are remembered, a byte for each row with a vector
_MOST_TOGETHER = 16  # queries that are encoded together; more gain nothing, and wait for each other


class _Row(NamedTuple):
    """A row of the table and how it matches a query, as a ``Candidate`` has it."""

    row_id: int
    bm25: float
    cosine: float | None


class _EncodedQuery(NamedTuple):
    """A query's vector, and its products with all vectors where they are in memory."""

    vector: "np.ndarray"
    products: "np.ndarray | None"


class CandidateFinder:
    """Finds at most ``limit`` candidates of each kind; threads may share it.

    ``encode`` makes the vectors of queries, one row each. ``retracted`` are ids known to be
    retracted, whatever the table has.
    """

    def __init__(
        self,
        table: Any,
        rarity: WordRarity,
        limit: int,
        encode: Callable[[Sequence[str]], "np.ndarray"],
        before: datetime.date | None = None,
        retracted: Collection[str] = frozenset(),
    ) -> None:
        self._table = table
        self._rarity = rarity
        self._limit = limit
        self._encode = encode
        self._cutoff = published_before(before)
        self._documents = DocumentCache(table, retracted)
        self._encode_query = CallBatcher(self._encode_queries, _MOST_TOGETHER).answer
        # Ranking is cheap beside finding, so the cache serves all weights of one query. It has
        # numbers of rows only: the documents have a cache with a bound of its own.
        self._find_rows = functools.lru_cache(_MAX_CACHED_QUERIES)(self._search_rows)
        self._list_kept_vectors = functools.lru_cache(_MOST_CONDITIONS)(self._mark_vectors)

    def find_candidates(
        self, query: str, document_filter: DocumentFilter, mode: RetrievalMode
    ) -> list[Candidate]:
        """The candidates by document id. DataError where the index cannot serve the filter."""
        tokens = title_words(query)[:_MOST_QUERY_WORDS]
        if not tokens:
            return []
        rows = self._find_rows(query, document_filter, mode)
        documents = self._documents.fetch_documents([row.row_id for row in rows])
        runs = _list_runs(tokens)
        numbered = frozenset(_list_numbered_ids(tokens))
        candidates = []
        for row, document in zip(rows, documents, strict=True):
            title_length = _count_named_words(document, runs, numbered)
            candidates.append(Candidate(document, row.bm25, row.cosine, title_length))
        # In the order of ids, whichever search found them first.
        return sorted(candidates, key=lambda candidate: candidate.document.document_id)

    def list_search_words(self, query: str) -> list[str]:
        """The words that full text is searched by, in all their forms."""
        tokens = title_words(query)[:_MOST_QUERY_WORDS]
        return list_word_forms(self._select_informative(tokens)) if tokens else []

    def find_document(self, document_id: str) -> Document | None:
        """A document by its id; None if there is none or it is later than the cut-off."""
        row_ids = self._find_by_id([document_id], self._cutoff)
        return self._documents.fetch_documents(row_ids)[0] if row_ids else None

    def _search_rows(
        self, query: str, document_filter: DocumentFilter, mode: RetrievalMode
    ) -> tuple[_Row, ...]:
        tokens = title_words(query)[:_MOST_QUERY_WORDS]
        where = self._build_condition(document_filter)
        bm25 = dict.fromkeys(self._find_named(tokens, where), 0.0)
        if mode != "vector":
            # Where no document that is kept has one of the rare words (they may be misspelt):
            # search by all words.
            informative = self._select_informative(tokens)
            scores = self._search_text(informative, where) or self._search_text(tokens, where)
            # In place of a named record's score: it was not found by full text.
            bm25.update(scores)
        if mode == "text":
            return tuple(_Row(row_id, score, None) for row_id, score in bm25.items())
        encoded = self._encode_query(spell_greek_letters(query))
        for row_id in self._search_vector(encoded, where):
            bm25.setdefault(row_id, 0.0)
        cosines = self._compute_cosines(encoded.vector, list(bm25))
        return tuple(
            _Row(row_id, score, cosine)
            for (row_id, score), cosine in zip(bm25.items(), cosines, strict=True)
        )

    def _build_condition(self, document_filter: DocumentFilter) -> str | None:
        if document_filter.types and "kind" not in self._table.schema.names:
            raise DataError(
                "the index does not know kinds of evidence, it was made by an earlier version: run "
                "`medr index run` again"
            )
        return join_conditions([document_filter.to_sql(), self._cutoff])

    def _select_informative(self, tokens: list[str]) -> list[str]:
        """The words to search by.

        Common words are left out, so that they cannot outvote a rare one; they still count in
        ranking.
        """
        rarest = max(map(self._rarity.weight, tokens))
        floor = _INFORMATIVE_SHARE * rarest
        return [token for token in tokens if self._rarity.weight(token) >= floor]

    # --- vectors ------------------------------------------------------------------------

    def _encode_queries(self, queries: Sequence[str]) -> list[_EncodedQuery]:
        vectors = self._encode(queries)
        matrix = self._matrix
        if matrix is None:
            return [_EncodedQuery(vector, None) for vector in vectors]
        products = matrix.multiply(vectors)
        return [_EncodedQuery(*pair) for pair in zip(vectors, products, strict=True)]

    @functools.cached_property
    def _matrix(self) -> VectorMatrix | None:
        """The vectors, where they fit into memory; only one thread encodes at a time."""
        return VectorMatrix.load(self._table, self._table.count_rows("vector IS NOT NULL"))

    def _mark_vectors(self, matrix: VectorMatrix, where: str) -> "np.ndarray":
        """Which rows with a vector the condition keeps."""
        condition = join_conditions(["vector IS NOT NULL", where])
        return matrix.mark_rows(self._select_row_ids(condition, self._table.count_rows()))

    def _search_vector(self, encoded: _EncodedQuery, where: str | None) -> list[int]:
        """By exact search; rows without a vector are never among them."""
        if self._matrix is None or encoded.products is None:
            return list(self._search_table_by_vector(encoded.vector, where))
        kept = self._list_kept_vectors(self._matrix, where) if where else None
        better, tied = self._matrix.list_nearest(
            encoded.vector, encoded.products, self._limit, kept
        )
        places = self._limit - len(better)
        if len(tied) > places:
            tied = self._sort_by_id(tied)[:places]
        return [*better, *tied]

    def _search_table_by_vector(self, vector: "np.ndarray", where: str | None) -> dict[int, float]:
        return self._select_best(
            lambda: self._table.search(vector, vector_column_name="vector").distance_type("cosine"),
            "_distance",
            where,
        )

    def _compute_cosines(self, vector: "np.ndarray", row_ids: list[int]) -> list[float | None]:
        """The cosine of each row, None where it has no vector."""
        if not row_ids:
            return []
        matrix = self._matrix
        if matrix is None:
            query = self._table.take_row_ids(row_ids).select(["vector"]).with_row_id()
            rows = query.to_arrow().filter(pc.is_valid(pc.field("vector")))
            matrix = VectorMatrix.from_table(rows)
        return matrix.compute_cosines(vector, row_ids)

    def _sort_by_id(self, row_ids: list[int]) -> list[int]:
        """Rows in the order of their documents' ids."""
        query = self._table.take_row_ids(row_ids).select(["document_id"]).with_row_id()
        rows = query.to_arrow().sort_by("document_id")
        ordered: list[int] = rows["_rowid"].to_pylist()
        return ordered

    # --- searches of the table --------------------------------------------------------

    def _find_named(self, tokens: list[str], where: str | None) -> list[int]:
        """Documents that the query names by their number, and curated records whose whole title is
        a run of the query's words: full text may miss both."""
        curated: dict[str, int] = {}
        for run in _list_runs(tokens) & self._curated_rows_by_title.keys():
            curated.update(self._curated_rows_by_title[run])
        ids = _list_numbered_ids(tokens)
        if where:
            return self._find_by_id([*sorted(curated), *ids], where)
        return [*curated.values(), *self._find_by_id(ids, None)]

    @functools.cached_property
    def _curated_rows_by_title(self) -> dict[str, dict[str, int]]:
        """Ids and rows of the curated records by title key: some ten thousand, unlike the
        articles."""
        query = self._table.search().where(sql_in("source", sorted(CURATED_SOURCES)))
        query = query.select(["document_id", "title"]).with_row_id(True)
        titles: dict[str, dict[str, int]] = {}
        for row in query.limit(self._table.count_rows()).to_list():
            records = titles.setdefault(title_key(row["title"]), {})
            records[row["document_id"]] = row["_rowid"]
        return titles

    def _search_text(self, tokens: list[str], where: str | None) -> dict[int, float]:
        """The BM25 of the best rows."""
        from lancedb.query import MatchQuery

        # A MatchQuery takes words: none of them can be read as an operator. The index has the words
        # as they are written.
        words = MatchQuery(" ".join(list_word_forms(tokens)), "text")  # type: ignore[call-arg]
        return self._select_best(
            lambda: self._table.search(words, query_type="fts"), "_score", where
        )

    def _select_best(
        self, search: Callable[[], Any], score: str, where: str | None
    ) -> dict[int, float]:
        """The scores of the best rows.

        Of the rows that are as good as the last one, those with the first ids: the order of the
        table's rows, in which it has grown, must decide nothing.
        """

        def select_first(limit: int) -> list[tuple[int, float]]:
            query = search().select([score]).with_row_id(True).limit(limit)
            if where:
                # Before the search: filtering its results afterwards could leave fewer than
                # ``limit``.
                query = query.where(where, prefilter=True)
            rows = query.to_arrow()
            return list(zip(rows["_rowid"].to_pylist(), rows[score].to_pylist(), strict=True))

        rows = select_first(self._limit + 1)
        # One row more than needed shows whether the last place is tied.
        if len(rows) <= self._limit or rows[-1][1] != rows[-2][1]:
            return dict(rows[: self._limit])
        # Scores of equal documents are equal numbers, so they can be compared exactly.
        tied_score = rows[-1][1]
        best = {row_id: value for row_id, value in rows if value != tied_score}
        tied = _list_tied(select_first, tied_score, self._limit)
        # Rows with a better score have their places. The tied rows with the first ids get the rest.
        places = self._limit - len(best)
        best.update((row_id, tied_score) for row_id in self._sort_by_id(tied)[:places])
        return best

    def _find_by_id(self, ids: Sequence[str], where: str | None) -> list[int]:
        if not ids:
            return []
        condition = join_conditions([sql_in("document_id", ids), where])
        row_ids: list[int] = self._select_row_ids(condition, len(ids)).tolist()
        return row_ids

    def _select_row_ids(self, where: str | None, limit: int) -> "np.ndarray":
        query = self._table.search().where(where).select([]).with_row_id(True).limit(limit)
        row_ids: np.ndarray = query.to_arrow()["_rowid"].to_numpy()
        return row_ids


def _list_tied(
    select_first: Callable[[int], list[tuple[int, float]]], tied_score: float, limit: int
) -> list[int]:
    """All rows with ``tied_score``, the score of the last of the best ``limit`` rows."""
    limit *= _TIED_GROWTH
    rows = select_first(limit)
    # Ends when a worse score shows up, which means that all tied rows are there.
    while len(rows) == limit < _MOST_TIED and rows[-1][1] == tied_score:
        limit *= _TIED_GROWTH
        rows = select_first(limit)
    return [row_id for row_id, score in rows if score == tied_score]


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


def _count_named_words(document: Document, runs: set[str], numbered: Collection[str]) -> int:
    """The length of the document's title, where the whole title is in the query, else 0; one that
    the query names by its number, which no other has, counts as if by the longest title."""
    if document.document_id in numbered:
        return _LONGEST_TITLE
    key = document.title_key
    return len(key.split(" ")) if key in runs else 0
