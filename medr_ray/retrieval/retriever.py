"""The medical retriever: full text, vectors, or both over the LanceDB index, and clinical authority
on top.

Guarantees: the same query over the same index gives the same hits, whoever asks. A query is words,
never syntax, so "p<0.05" or "HIV/AIDS" cannot be malformed. A document whose whole title the query
names comes first, the longest title before shorter ones. Retracted documents have no authority.
After a publication-date cut-off, later documents do not exist. Every hit explains its score. Text
mode loads no model.
"""

import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medr_ray.core.config import ModelsConfig, RetrievalConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.run import Directory
from medr_ray.retrieval import ranking
from medr_ray.retrieval.authority import Appraiser, Authority, evidence_kind
from medr_ray.retrieval.documents import Document, describe_year
from medr_ray.retrieval.explanation import UNEXPLAINED, Explanation, Factor, scale_factors
from medr_ray.retrieval.filters import DocumentFilter
from medr_ray.retrieval.hit_candidates import CandidateFinder, RetrievalMode
from medr_ray.retrieval.index import (
    IndexSettings,
    find_newest_year,
    open_table,
    open_word_rarity,
    read_index_settings,
)
from medr_ray.retrieval.journals import JournalRanks
from medr_ray.retrieval.ranking import Candidate, Relevance
from medr_ray.retrieval.retractions import load_retracted_ids
from medr_ray.retrieval.snippets import QueryTerms, extract_terms, make_snippet
from medr_ray.retrieval.word_rarity import WordRarity

if TYPE_CHECKING:
    import numpy as np

    from medr_ray.engines.query_encoder import QueryEncoder

_PAIR_WEIGHT = 0.5  # of a pair of words against its words, which count already


@dataclass(frozen=True)
class RetrievalHit:
    """One result.

    ``relevance`` and ``authority`` lie in [0, 1]. The hits are ordered by ``score``, and the
    contributions in ``explanation`` add up to it. ``kind`` is that of the evidence, ``url`` a page
    or "".
    """

    document_id: str
    source: str
    title: str
    snippet: str
    relevance: float
    authority: float
    score: float
    year: int | None = None
    kind: str = ""
    url: str = ""
    explanation: Explanation = UNEXPLAINED

    @property
    def date_text(self) -> str:
        """The date as it is shown beside the id (see ``documents.describe_year``)."""
        return describe_year(self.document_id, self.year)


@dataclass(frozen=True)
class _RankedCandidates:
    """Candidates with their scores. ``weight`` is that of relevance against authority."""

    candidates: Sequence[Candidate]
    relevance: Sequence[Relevance]
    authority: Sequence[Authority]
    scores: Sequence[float]
    on_topic: Sequence[bool]
    weight: float

    @functools.cached_property
    def positions(self) -> list[int]:
        """Positions of the candidates, best first."""
        levels = [authority.level for authority in self.authority]
        return ranking.rank_positions(self.candidates, self.scores, levels)

    def explain(self, i: int) -> Explanation:
        """Relevance as it was weighed, and authority where it counted."""
        relevance = self.relevance[i]
        cosine = self.candidates[i].cosine
        parts = [Factor("words", f"{relevance.words:.2f} of 1", relevance.words)]
        if cosine is not None:
            parts.append(Factor("meaning", f"cosine {cosine:.2f}", relevance.meaning))
        # As in ``ranking.clinical_scores``, or the factors would not add up to the score.
        authority_weight = (1 - self.weight) if self.on_topic[i] else 0.0
        authority_factors = scale_factors(self.authority[i].factors, authority_weight)
        return Explanation((*scale_factors(parts, self.weight), *authority_factors))


class Retriever:
    """Search over one index.

    It holds a database handle and cannot be sent to another process: open it where it is used.
    Threads may share it: their queries are then encoded together.
    """

    def __init__(
        self,
        table: Any,
        rarity: WordRarity,
        retrieval: RetrievalConfig,
        models: ModelsConfig,
        settings: IndexSettings | None = None,
        before: datetime.date | None = None,
    ) -> None:
        settings = settings or IndexSettings()
        self._rarity = rarity
        self._retrieval = retrieval
        self._models = models
        self._encoding = settings.encoding
        self._calibration = settings.calibration
        self._dimensions = table.schema.field("vector").type.list_size
        # The column exists in every index; whether anything was embedded shows in the rows.
        self._has_vectors = table.count_rows("vector IS NOT NULL") > 0
        if retrieval.mode == "vector" and not self._has_vectors:
            raise ConfigError(
                "retrieval.mode is vector, but the index holds no vectors: set index.embed"
            )
        retracted: frozenset[str] = frozenset()
        if retrieval.retracted_pmids:
            retracted = load_retracted_ids(retrieval.retracted_pmids)
        self._finder = CandidateFinder(
            table, rarity, retrieval.candidates, self._encode_queries, before, retracted
        )
        self._appraiser = _build_appraiser(table, retrieval, before)

    @classmethod
    def open(
        cls,
        index_directory: Directory,
        retrieval: RetrievalConfig,
        models: ModelsConfig,
        before: datetime.date | None = None,
    ) -> "Retriever":
        """The retriever over the index of a directory.

        ``before`` leaves out what was published in later years, and articles whose year is not
        known. DataError where there is no index, ConfigError for a mode the index cannot serve.
        """
        table = open_table(index_directory)
        rarity = open_word_rarity(index_directory)
        settings = read_index_settings(index_directory)
        return cls(table, rarity, retrieval, models, settings, before)

    def search(
        self,
        query: str,
        results: int | None = None,
        sources: Sequence[str] | None = None,
        mode: RetrievalMode | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
        page: int = 1,
    ) -> list[RetrievalHit]:
        """The most relevant documents, best first.

        ``sources`` (see ``documents.SOURCES``) and ``types`` (kinds of evidence,
        ``authority.KINDS``) name what is kept; ``since`` and ``until`` are years, inclusive. Page 2
        has the documents behind those of page 1; behind the ``candidates`` of the configuration
        there is none.
        """
        document_filter = DocumentFilter.normalized(sources, since, until, types)
        # A weight of 1 leaves authority out of the score. It is still reported with each hit.
        ranked = self._rank_candidates(query, document_filter, mode, 1.0)
        return self._build_hits(query, ranked, results, page)

    def medical_search(
        self,
        query: str,
        results: int | None = None,
        sources: Sequence[str] | None = None,
        mode: RetrievalMode | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
        page: int = 1,
    ) -> list[RetrievalHit]:
        """Documents by relevance and clinical authority together, best first.

        See ``retrieval.ranking`` for the score, ``search`` for the parameters.
        """
        document_filter = DocumentFilter.normalized(sources, since, until, types)
        ranked = self._rank_candidates(
            query, document_filter, mode, self._retrieval.relevance_weight
        )
        return self._build_hits(query, ranked, results, page)

    def medical_documents(
        self,
        query: str,
        count: int,
        sources: Sequence[str] | None = None,
        mode: RetrievalMode | None = None,
    ) -> list[Document]:
        """The whole documents of the ``count`` best hits of ``medical_search``."""
        document_filter = DocumentFilter.normalized(sources)
        ranked = self._rank_candidates(
            query, document_filter, mode, self._retrieval.relevance_weight
        )
        return [ranked.candidates[i].document for i in ranked.positions[:count]]

    def prepare(self) -> None:
        """Load what the first search would wait for, with vectors where the index has them."""
        self.search("warm-up", mode="hybrid")

    def document(self, document_id: str) -> Document | None:
        """The document with that id; None if there is none or it is later than the cut-off."""
        return self._finder.find_document(document_id)

    def rarity(self, word: str) -> float:
        """How informative a word is in this index (see ``retrieval.word_rarity``)."""
        return self._rarity.weight(word)

    def _rank_candidates(
        self, query: str, document_filter: DocumentFilter, mode: RetrievalMode | None, weight: float
    ) -> _RankedCandidates:
        mode = self._choose_mode(mode)
        candidates = self._finder.find_candidates(query, document_filter, mode)
        if mode == "vector":
            relevance = ranking.vector_relevance(candidates, self._calibration)
        else:
            terms = self._extract_terms(query)
            relevance = ranking.semantic_relevance(terms, candidates, self._calibration)
        totals = [value.total for value in relevance]
        authority = [self._appraiser.appraise(candidate.document) for candidate in candidates]
        # Authority is judged for all candidates, also those off the topic: it is reported with each
        # hit.
        levels = [value.level for value in authority]
        scores = ranking.clinical_scores(totals, levels, weight)
        on_topic = ranking.find_on_topic(totals)
        return _RankedCandidates(candidates, relevance, authority, scores, on_topic, weight)

    def _extract_terms(self, query: str) -> QueryTerms:
        return extract_terms(query, self._rarity.weight, _PAIR_WEIGHT)

    def _choose_mode(self, mode: RetrievalMode | None) -> RetrievalMode:
        """Hybrid is the union of what there is: over an index without vectors it is full text."""
        chosen = mode or self._retrieval.mode
        return "text" if chosen == "hybrid" and not self._has_vectors else chosen

    def _build_hits(
        self, query: str, ranked: _RankedCandidates, results: int | None, page: int
    ) -> list[RetrievalHit]:
        count = results or self._retrieval.results
        positions = ranked.positions[(page - 1) * count : page * count]
        return [self._build_hit(query, ranked, i) for i in positions]

    def _build_hit(self, query: str, ranked: _RankedCandidates, i: int) -> RetrievalHit:
        document = ranked.candidates[i].document
        snippet = make_snippet(
            query,
            document.sentences,
            self._retrieval.snippet_sentences,
            self._retrieval.snippet_chars,
            document.title,
            document.number,
            document.words_of_sentences,
        )
        return RetrievalHit(
            document_id=document.document_id,
            source=document.source,
            title=document.title,
            snippet=snippet,
            relevance=ranked.relevance[i].total,
            authority=ranked.authority[i].level,
            score=ranked.scores[i],
            year=document.year,
            kind=evidence_kind(document),
            url=document.url,
            explanation=ranked.explain(i),
        )

    def _encode_queries(self, queries: Sequence[str]) -> "np.ndarray":
        return self._query_encoder.encode(queries)

    @functools.cached_property
    def _query_encoder(self) -> "QueryEncoder":
        """The encoder of queries, loaded at first use.

        ConfigError where it cannot be that of the index.
        """
        from medr_ray.engines.query_encoder import QueryEncoder

        model = self._encoding.query_encoder or self._models.encoder
        encoder = QueryEncoder(
            model,
            threads=1,
            pooling=self._encoding.pooling,
            max_tokens=self._encoding.max_tokens,
            prefix=self._encoding.query_prefix,
        )
        # An encoder of another size is noticed here; another one of the same size is not.
        if encoder.dimensions != self._dimensions:
            raise ConfigError(
                f"{model} makes vectors of {encoder.dimensions} numbers, the index holds such of "
                f"{self._dimensions}: set models.encoder to the one the index was made with"
            )
        return encoder


def _build_appraiser(
    table: Any, retrieval: RetrievalConfig, before: datetime.date | None
) -> Appraiser:
    """The appraiser of the configuration.

    Age is counted from the cut-off, else from the newest document, so that it depends on no clock.
    """
    journals = JournalRanks.load(retrieval.journal_ranks) if retrieval.journal_ranks else None
    now = 0
    if retrieval.recency_weight:
        now = before.year if before else find_newest_year(table)
    return Appraiser(
        journals,
        retrieval.journal_weight,
        retrieval.recency_weight,
        retrieval.recency_half_life,
        now,
    )
