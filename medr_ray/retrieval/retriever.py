"""The medical retriever: full text, vectors, or both over the LanceDB index, and clinical authority
on top.

What holds: the same query over the same index gives the same hits, whoever asks; a query is words,
never syntax, so "p<0.05" or "HIV/AIDS" cannot be malformed; a document whose whole title the query
names comes first, the longest title before shorter ones; retracted documents have no authority;
after a publication-date cut-off, later documents are not there at all. Every hit says what its
score is made of. Text mode loads no model.
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
from medr_ray.retrieval.authority import Appraiser, Authority, kind_of
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.explanation import UNEXPLAINED, Explanation, Factor, scaled
from medr_ray.retrieval.filters import Filter
from medr_ray.retrieval.hit_candidates import CandidateFinder, Mode
from medr_ray.retrieval.index import COMMON_WORDS, MadeWith, made_with, newest_year, open_table
from medr_ray.retrieval.journals import JournalRanks
from medr_ray.retrieval.ranking import Candidate, Relevance
from medr_ray.retrieval.retractions import retracted_ids
from medr_ray.retrieval.snippets import Wanted, snippet, wanted
from medr_ray.retrieval.word_rarity import Rarity

if TYPE_CHECKING:
    import numpy as np

    from medr_ray.engines.encoder import Encoder

_PAIR_WEIGHT = 0.5  # a pair repeats two words that count already
_CACHED_QUERIES = 1024  # rollouts of a group ask the same things


@dataclass(frozen=True)
class Hit:
    """One result. ``relevance`` and ``authority`` lie in [0, 1]; ``score`` is what the hits are
    ordered by, and what the contributions in ``explanation`` add up to. ``kind`` is that of the
    evidence, ``url`` a page or ""."""

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


@dataclass(frozen=True)
class _Ranked:
    """Candidates with what they are judged by, and their positions best first. ``weight`` is that
    of relevance."""

    candidates: Sequence[Candidate]
    relevance: Sequence[Relevance]
    authority: Sequence[Authority]
    scores: Sequence[float]
    on_topic: Sequence[bool]
    weight: float

    @functools.cached_property
    def order(self) -> list[int]:
        return ranking.order(self.candidates, self.scores, [one.level for one in self.authority])

    def explanation(self, i: int) -> Explanation:
        """Relevance as it was weighed, and authority where it counted."""
        parts = [Factor("words", f"{self.relevance[i].words:.2f} of 1", self.relevance[i].words)]
        if (cosine := self.candidates[i].cosine) is not None:
            parts.append(Factor("meaning", f"cosine {cosine:.2f}", self.relevance[i].meaning))
        counted = (1 - self.weight) if self.on_topic[i] else 0.0
        return Explanation(
            (*scaled(parts, self.weight), *scaled(self.authority[i].factors, counted))
        )


class Retriever:
    """Search over one index. Open it where it is used: it holds a database handle and does not
    travel."""

    def __init__(
        self,
        table: Any,
        rarity: Rarity,
        retrieval: RetrievalConfig,
        models: ModelsConfig,
        made_with: MadeWith | None = None,
        before: datetime.date | None = None,
    ) -> None:
        made_with = made_with or MadeWith()
        self._rarity, self._retrieval, self._models = rarity, retrieval, models
        self._encoding, self._calibration = made_with.encoding, made_with.calibration
        self._dimensions = table.schema.field("vector").type.list_size
        self._has_vectors = table.count_rows("vector IS NOT NULL") > 0
        if retrieval.mode == "vector" and not self._has_vectors:
            raise ConfigError(
                "retrieval.mode is vector, but the index holds no vectors: set index.embed"
            )
        retracted = (
            retracted_ids(retrieval.retracted_pmids) if retrieval.retracted_pmids else frozenset()
        )
        self._finder = CandidateFinder(
            table, rarity, retrieval.candidates, self._encode, before, retracted
        )
        self._appraiser = _appraiser(table, retrieval, before)
        self._candidates = functools.lru_cache(_CACHED_QUERIES)(self._finder.find)

    @classmethod
    def open(
        cls,
        index_directory: Directory,
        retrieval: RetrievalConfig,
        models: ModelsConfig,
        before: datetime.date | None = None,
    ) -> "Retriever":
        """``before`` leaves out what was published in later years, and articles whose year is not
        known.

        Raises DataError where there is no index, ConfigError for a mode the index cannot serve."""
        table = open_table(index_directory)
        common = index_directory.read_table(COMMON_WORDS).to_pydict()
        rarity = Rarity(
            table.count_rows(), dict(zip(common["word"], common["documents"], strict=True))
        )
        return cls(table, rarity, retrieval, models, made_with(index_directory), before)

    def search(
        self,
        query: str,
        results: int | None = None,
        sources: Sequence[str] | None = None,
        mode: Mode | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Hit]:
        """The most relevant documents, best first. ``sources`` (see ``documents.SOURCES``) and
        ``types`` (kinds of evidence, ``authority.KINDS``) name what is kept, ``since`` and
        ``until`` are years, inclusive."""
        return self._hits(
            query, self._ranked(query, Filter.of(sources, since, until, types), mode, 1.0), results
        )

    def medical_search(
        self,
        query: str,
        results: int | None = None,
        sources: Sequence[str] | None = None,
        mode: Mode | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Hit]:
        """Documents by relevance and clinical authority together (see ``retrieval.ranking``), best
        first."""
        kept = Filter.of(sources, since, until, types)
        return self._hits(
            query, self._ranked(query, kept, mode, self._retrieval.relevance_weight), results
        )

    def medical_documents(
        self,
        query: str,
        count: int,
        sources: Sequence[str] | None = None,
        mode: Mode | None = None,
    ) -> list[Document]:
        """The whole documents of the ``count`` best hits of ``medical_search``."""
        ranked = self._ranked(query, Filter.of(sources), mode, self._retrieval.relevance_weight)
        return [ranked.candidates[i].document for i in ranked.order[:count]]

    def document(self, document_id: str) -> Document | None:
        return self._finder.document(document_id)

    def rarity(self, word: str) -> float:
        """How much a word says, from its share of the index's documents (see
        ``retrieval.word_rarity``)."""
        return self._rarity.weight(word)

    def _ranked(self, query: str, kept: Filter, mode: Mode | None, weight: float) -> _Ranked:
        mode = self._mode(mode)
        candidates = self._candidates(query, kept, mode)
        if mode == "vector":
            relevance = ranking.vector_relevance(candidates, self._calibration)
        else:
            relevance = ranking.semantic_relevance(
                self._wanted(query), candidates, self._calibration
            )
        totals = [one.total for one in relevance]
        authority = [self._appraiser.appraise(one.document) for one in candidates]
        scores = ranking.clinical_scores(totals, [one.level for one in authority], weight)
        return _Ranked(candidates, relevance, authority, scores, ranking.on_topic(totals), weight)

    def _wanted(self, query: str) -> Wanted:
        return wanted(query, self._rarity.weight, _PAIR_WEIGHT)

    def _mode(self, mode: Mode | None) -> Mode:
        """Hybrid is the union of what there is: over an index without vectors it is full text."""
        wanted = mode or self._retrieval.mode
        return "text" if wanted == "hybrid" and not self._has_vectors else wanted

    def _hits(self, query: str, ranked: _Ranked, results: int | None) -> list[Hit]:
        return [
            self._hit(query, ranked, i) for i in ranked.order[: results or self._retrieval.results]
        ]

    def _hit(self, query: str, ranked: _Ranked, i: int) -> Hit:
        document = ranked.candidates[i].document
        text = snippet(
            query,
            document.sentences,
            self._retrieval.snippet_sentences,
            self._retrieval.snippet_chars,
        )
        return Hit(
            document.document_id,
            document.source,
            document.title,
            text,
            ranked.relevance[i].total,
            ranked.authority[i].level,
            ranked.scores[i],
            document.year,
            kind_of(document),
            document.url,
            ranked.explanation(i),
        )

    def _encode(self, query: str) -> "np.ndarray":
        vector: np.ndarray = self._encoder.encode([query])[0]
        return vector

    @functools.cached_property
    def _encoder(self) -> "Encoder":
        """The encoder of queries. ConfigError where it cannot be that of the index."""
        from medr_ray.engines.encoder import Encoder

        model = self._encoding.query_encoder or self._models.encoder
        encoder = Encoder(
            model,
            batch=1,
            threads=1,
            pooling=self._encoding.pooling,
            max_tokens=self._encoding.max_tokens,
            prefix=self._encoding.query_prefix,
        )
        if encoder.dimensions != self._dimensions:
            raise ConfigError(
                f"{model} makes vectors of {encoder.dimensions} numbers, the index holds such of "
                f"{self._dimensions}: set models.encoder to the one the index was made with"
            )
        return encoder


def _appraiser(table: Any, retrieval: RetrievalConfig, before: datetime.date | None) -> Appraiser:
    """Age is counted from the cut-off, else from the newest document, so that it depends on no
    clock."""
    journals = JournalRanks.load(retrieval.journal_ranks) if retrieval.journal_ranks else None
    now = (before.year if before else newest_year(table)) if retrieval.recency_weight else 0
    return Appraiser(
        journals,
        retrieval.journal_weight,
        retrieval.recency_weight,
        retrieval.recency_half_life,
        now,
    )
