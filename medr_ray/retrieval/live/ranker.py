"""Ranking what services found as the index's own hits are ranked: the same relevance, authority and
score.

A service tells its order and no scores, so the place in that order stands where BM25 stands for the
index; words weigh alike, as nothing is known of how rare they are. Scores of one query compare with
those of the index for the same query.
"""

import dataclasses
import datetime
from collections.abc import Sequence

from medr_ray.core.config import RetrievalConfig
from medr_ray.retrieval import ranking
from medr_ray.retrieval.authority import Appraiser, Authority, kind_of
from medr_ray.retrieval.documents import Document, title_key
from medr_ray.retrieval.explanation import Explanation, Factor, scaled
from medr_ray.retrieval.journals import JournalRanks
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.retriever import Hit
from medr_ray.retrieval.snippets import snippet, wanted

_PAIR_WEIGHT = 0.5  # a pair repeats two words that count already


class Ranker:
    """Makes hits of documents. ``before`` is what age is counted from, else the newest document
    is."""

    def __init__(self, config: RetrievalConfig, before: datetime.date | None) -> None:
        self._config, self._now = config, before.year if before else None
        journals = JournalRanks.load(config.journal_ranks) if config.journal_ranks else None
        self._appraiser = Appraiser(
            journals, config.journal_weight, config.recency_weight, config.recency_half_life
        )

    def hits(self, query: str, found: Sequence[Sequence[Document]], weight: float) -> list[Hit]:
        """The documents of each source in its order as hits, best first; ``weight`` is that of
        relevance."""
        candidates = [
            _candidate(query, document, place)
            for documents in found
            for place, document in enumerate(documents)
        ]
        relevance = ranking.lexical_relevance(wanted(query, pair_weight=_PAIR_WEIGHT), candidates)
        authority = self._authority(candidates)
        levels = [one.level for one in authority]
        scores = ranking.clinical_scores(relevance, levels, weight)
        counts = [(1 - weight) if on_topic else 0.0 for on_topic in ranking.on_topic(relevance)]
        return [
            self._hit(
                query,
                candidates[i].document,
                relevance[i],
                authority[i],
                scores[i],
                (weight, counts[i]),
            )
            for i in ranking.order(candidates, scores, levels)
        ]

    def _authority(self, candidates: Sequence[Candidate]) -> list[Authority]:
        newest = max((one.document.year or 0 for one in candidates), default=0)
        appraiser = dataclasses.replace(self._appraiser, now=self._now or newest)
        return [appraiser.appraise(one.document) for one in candidates]

    def _hit(
        self,
        query: str,
        document: Document,
        relevance: float,
        authority: Authority,
        score: float,
        weights: tuple[float, float],
    ) -> Hit:
        text = snippet(
            query, document.sentences, self._config.snippet_sentences, self._config.snippet_chars
        )
        words = Factor("words", f"{relevance:.2f} of 1", relevance)
        factors = (*scaled([words], weights[0]), *scaled(authority.factors, weights[1]))
        return Hit(
            document.document_id,
            document.source,
            document.title,
            text,
            relevance,
            authority.level,
            score,
            document.year,
            kind_of(document),
            document.url,
            Explanation(factors),
        )


def _candidate(query: str, document: Document, place: int) -> Candidate:
    title = title_key(document.title)
    is_named = bool(title) and f" {title} " in f" {title_key(query)} "
    return Candidate(document, 1 / (1 + place), None, len(title.split()) if is_named else 0)
