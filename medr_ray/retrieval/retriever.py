"""The medical retriever: full text, vectors, or both over the LanceDB index, and clinical authority on top.

What holds: the same query over the same index gives the same hits, whoever asks; a query is words, never syntax, so
"p<0.05" or "HIV/AIDS" cannot be malformed; a document whose whole title the query names comes first, the longest
title before shorter ones; retracted documents have no authority. Text mode loads no model.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from medr_ray.core.config import ModelsConfig, RetrievalConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.run import Directory
from medr_ray.retrieval import ranking
from medr_ray.retrieval.authority import CURATED_SOURCES, authority
from medr_ray.retrieval.documents import Document, title_key, title_words
from medr_ray.retrieval.index import COLUMNS, COMMON_WORDS, from_row, open_table
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.rarity import Rarity
from medr_ray.retrieval.snippets import Wanted, snippet, wanted

if TYPE_CHECKING:
    import numpy as np

    from medr_ray.engines.encoder import Encoder

Mode = Literal["text", "vector", "hybrid"]

_QUERY_WORDS = 48  # the rest of a longer query adds nothing to rank by
_TELLING = 0.5  # of the rarest word's weight, that a word needs to be searched by
_PAIR_WEIGHT = 0.5  # a pair repeats two words that count already
_TITLE_WORDS = 16  # longest title looked for inside a query
_CACHED_QUERIES = 1024  # rollouts of a group ask the same things


@dataclass(frozen=True)
class Hit:
    """One result. ``relevance`` and ``authority`` lie in [0, 1]; ``score`` is what the hits are ordered by."""

    document_id: str
    source: str
    title: str
    snippet: str
    relevance: float
    authority: float
    score: float


class Retriever:
    """Search over one index. Open it where it is used: it holds a database handle and does not travel."""

    def __init__(self, table: Any, rarity: Rarity, retrieval: RetrievalConfig, models: ModelsConfig) -> None:
        self._table, self._rarity, self._retrieval, self._models = table, rarity, retrieval, models
        self._has_vectors = table.count_rows("vector IS NOT NULL") > 0
        if retrieval.mode == "vector" and not self._has_vectors:
            raise ConfigError("retrieval.mode is vector, but the index holds no vectors: set index.embed")
        self._candidates = functools.lru_cache(_CACHED_QUERIES)(self._find)

    @classmethod
    def open(cls, index_directory: Directory, retrieval: RetrievalConfig, models: ModelsConfig) -> "Retriever":
        """Raises DataError where there is no index, ConfigError for a mode the index cannot serve."""
        table = open_table(index_directory)
        common = index_directory.read_table(COMMON_WORDS).to_pydict()
        rarity = Rarity(table.count_rows(), dict(zip(common["word"], common["documents"], strict=True)))
        return cls(table, rarity, retrieval, models)

    def search(
        self, query: str, results: int | None = None, sources: Sequence[str] | None = None, mode: Mode | None = None
    ) -> list[Hit]:
        """The most relevant documents, best first; ``sources`` keeps only documents of these (pubmed, hpo)."""
        candidates = self._candidates(query, _sources(sources), self._mode(mode))
        relevance = self._relevance(query, candidates, mode)
        return self._hits(query, candidates, relevance, relevance, results)

    def medical_search(
        self, query: str, results: int | None = None, sources: Sequence[str] | None = None, mode: Mode | None = None
    ) -> list[Hit]:
        """Documents by relevance and clinical authority together (see ``retrieval.ranking``), best first."""
        candidates, relevance, scores = self._clinical(query, sources, mode)
        return self._hits(query, candidates, relevance, scores, results)

    def medical_documents(self, query: str, count: int, mode: Mode | None = None) -> list[Document]:
        """The whole documents of the ``count`` best hits of ``medical_search``."""
        candidates, _, scores = self._clinical(query, None, mode)
        best = ranking.order(candidates, scores, _authorities(candidates))[:count]
        return [candidates[i].document for i in best]

    def _clinical(
        self, query: str, sources: Sequence[str] | None, mode: Mode | None
    ) -> tuple[list[Candidate], list[float], list[float]]:
        """Candidates with their relevance and clinical score."""
        candidates = self._candidates(query, _sources(sources), self._mode(mode))
        relevance = self._relevance(query, candidates, mode)
        scores = ranking.clinical_scores(relevance, _authorities(candidates), self._retrieval.relevance_weight)
        return candidates, relevance, scores

    def _relevance(self, query: str, candidates: Sequence[Candidate], mode: Mode | None) -> list[float]:
        if self._mode(mode) == "vector":
            return ranking.vector_relevance(candidates)
        return ranking.semantic_relevance(self._wanted(query), candidates)

    def document(self, document_id: str) -> Document | None:
        rows = self._by_id([document_id], None)
        return from_row(rows[0]) if rows else None

    def _wanted(self, query: str) -> Wanted:
        return wanted(query, self._rarity.weight, _PAIR_WEIGHT)

    def _mode(self, mode: Mode | None) -> Mode:
        """Hybrid is the union of what there is: over an index without vectors it is full text."""
        wanted = mode or self._retrieval.mode
        return "text" if wanted == "hybrid" and not self._has_vectors else wanted

    def _hits(self, query: str, candidates: Sequence[Candidate], relevance: Sequence[float],
              scores: Sequence[float], results: int | None) -> list[Hit]:
        levels = _authorities(candidates)
        chosen = ranking.order(candidates, scores, levels)[: results or self._retrieval.results]
        return [self._hit(query, candidates[i].document, relevance[i], levels[i], scores[i]) for i in chosen]

    def _hit(self, query: str, document: Document, relevance: float, level: float, score: float) -> Hit:
        text = snippet(query, document.sentences, self._retrieval.snippet_sentences, self._retrieval.snippet_chars)
        return Hit(document.document_id, document.source, document.title, text, relevance, level, score)

    # --- candidates -------------------------------------------------------------------------------------------

    def _find(self, query: str, sources: tuple[str, ...], mode: Mode) -> list[Candidate]:
        tokens = title_words(query)[:_QUERY_WORDS]
        if not tokens:
            return []
        where = f"source IN ({', '.join(map(_quoted, sources))})" if sources else None
        found = {row["document_id"]: Candidate(from_row(row), 0.0, None, 0) for row in self._named(tokens, where)}
        if mode != "vector":
            for row in self._full_text(self._telling(tokens), where) or self._full_text(tokens, where):
                found[row["document_id"]] = Candidate(from_row(row), float(row["_score"]), None, 0)
        if mode != "text":
            self._add_vectors(query, where, found)
        runs = _runs(tokens)
        return [_with_title(found[key], runs) for key in sorted(found)]

    def _telling(self, tokens: list[str]) -> list[str]:
        """The words worth searching by: a rare word is not outvoted by common ones, which still count in ranking."""
        rarest = max(map(self._rarity.weight, tokens))
        return [one for one in tokens if self._rarity.weight(one) >= _TELLING * rarest]

    def _named(self, tokens: list[str], where: str | None) -> list[dict[str, Any]]:
        """Curated records whose whole title is a run of the query's words and that full text may have missed."""
        ids = sorted(key for run in _runs(tokens) for key in self._curated.get(run, ()))
        return self._by_id(ids, where) if ids else []

    @functools.cached_property
    def _curated(self) -> dict[str, list[str]]:
        """Ids of the curated records by title key: some ten thousand, unlike the articles."""
        rows = self._rows(f"source IN ({', '.join(map(_quoted, sorted(CURATED_SOURCES)))})",
                          ["document_id", "title"], self._table.count_rows())
        titles: dict[str, list[str]] = {}
        for row in rows:
            titles.setdefault(title_key(row["title"]), []).append(row["document_id"])
        return titles

    def _full_text(self, tokens: list[str], where: str | None) -> list[dict[str, Any]]:
        from lancedb.query import MatchQuery

        search = self._table.search(MatchQuery(" ".join(tokens), "text"), query_type="fts")  # type: ignore[call-arg]
        search = search.select([*COLUMNS, "_score"]).limit(self._retrieval.candidates)
        return (search.where(where, prefilter=True) if where else search).to_list()

    def _add_vectors(self, query: str, where: str | None, found: dict[str, Candidate]) -> None:
        """The nearest documents join the candidates, and the cosine of every candidate becomes known."""
        vector = self._encoder.encode([query])[0]
        for row in self._nearest(vector, where):
            found.setdefault(row["document_id"], Candidate(from_row(row), 0.0, None, 0))
        for row in self._by_id(sorted(found), "vector IS NOT NULL", ["document_id", "vector"]):
            cosine = float(vector @ row["vector"])
            found[row["document_id"]] = replace(found[row["document_id"]], cosine=cosine)

    def _nearest(self, vector: "np.ndarray", where: str | None) -> list[dict[str, Any]]:
        """By exact search; rows without a vector are never among them."""
        search = self._table.search(vector, vector_column_name="vector").distance_type("cosine")
        search = search.select([*COLUMNS, "_distance"]).limit(self._retrieval.candidates)
        return (search.where(where, prefilter=True) if where else search).to_list()

    def _by_id(self, ids: Sequence[str], where: str | None, columns: Sequence[str] = COLUMNS) -> list[dict[str, Any]]:
        named = f"document_id IN ({', '.join(map(_quoted, ids))})"
        return self._rows(f"{named} AND {where}" if where else named, columns, len(ids))

    def _rows(self, where: str, columns: Sequence[str], limit: int) -> list[dict[str, Any]]:
        return self._table.search().where(where).select(list(columns)).limit(limit).to_list()

    @functools.cached_property
    def _encoder(self) -> "Encoder":
        from medr_ray.engines.encoder import Encoder

        return Encoder(self._models.encoder, batch=1, threads=1)


def _runs(tokens: list[str]) -> set[str]:
    """Every run of neighbouring words, joined by spaces."""
    return {" ".join(tokens[i:j]) for i in range(len(tokens))
            for j in range(i + 1, min(i + _TITLE_WORDS, len(tokens)) + 1)}


def _with_title(candidate: Candidate, runs: set[str]) -> Candidate:
    key = title_key(candidate.document.title)
    return replace(candidate, title_words=len(key.split(" "))) if key in runs else candidate


def _authorities(candidates: Sequence[Candidate]) -> list[float]:
    documents = [one.document for one in candidates]
    return [authority(one.source, one.publication_types, one.retracted) for one in documents]


def _sources(sources: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(sorted(sources)) if sources else ()


def _quoted(text: str) -> str:
    """A string literal of the table's filter language (SQL)."""
    return "'" + text.replace("'", "''") + "'"
