"""Ranks the documents of live services as the index's own hits are ranked: the same relevance,
authority and score.

A service has an order and no scores, so the place in that order stands where BM25 stands for the
index. All words weigh alike, as their rarity is not known. The scores of a query compare with those
of the index for the same query.
"""

import dataclasses
import datetime
from collections.abc import Sequence

from medr_ray.core.config import RetrievalConfig
from medr_ray.retrieval import ranking
from medr_ray.retrieval.authority import Appraiser, Authority, evidence_kind
from medr_ray.retrieval.documents import Document, title_key
from medr_ray.retrieval.explanation import Explanation, Factor, scale_factors
from medr_ray.retrieval.journals import JournalRanks
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.retriever import RetrievalHit
from medr_ray.retrieval.snippets import extract_terms, make_snippet

_PAIR_WEIGHT = 0.5  # of a pair of words against its words, which count already


class LiveRanker:
    """Makes hits of documents.

    Age is counted from ``before``, else from the newest document of the search.
    """

    def __init__(self, config: RetrievalConfig, before: datetime.date | None) -> None:
        self._config = config
        self._now = before.year if before else None
        journals = JournalRanks.load(config.journal_ranks) if config.journal_ranks else None
        self._appraiser = Appraiser(
            journals, config.journal_weight, config.recency_weight, config.recency_half_life
        )

    def rank_documents(
        self, query: str, documents_by_source: Sequence[Sequence[Document]], weight: float
    ) -> list[RetrievalHit]:
        """The documents of each source, which are in its order, as hits, best first.

        ``weight`` is that of relevance against authority.
        """
        candidates = []
        for documents in documents_by_source:
            for place, document in enumerate(documents):
                candidates.append(_build_candidate(query, document, place))
        terms = extract_terms(query, pair_weight=_PAIR_WEIGHT)
        relevance = ranking.lexical_relevance(terms, candidates)
        on_topic = ranking.find_on_topic(relevance)
        authority = self._appraise_candidates(candidates)
        levels = [value.level for value in authority]
        scores = ranking.clinical_scores(relevance, levels, weight)
        hits = []
        for i in ranking.rank_positions(candidates, scores, levels):
            authority_weight = (1 - weight) if on_topic[i] else 0.0
            words = Factor("words", f"{relevance[i]:.2f} of 1", relevance[i])
            explanation = Explanation(
                (
                    *scale_factors([words], weight),
                    *scale_factors(authority[i].factors, authority_weight),
                )
            )
            hits.append(
                self._build_hit(
                    query,
                    candidates[i].document,
                    relevance[i],
                    levels[i],
                    scores[i],
                    explanation,
                )
            )
        return hits

    def _appraise_candidates(self, candidates: Sequence[Candidate]) -> list[Authority]:
        # No clock: the same answers give the same scores tomorrow.
        newest = max((candidate.document.year or 0 for candidate in candidates), default=0)
        appraiser = dataclasses.replace(self._appraiser, now=self._now or newest)
        return [appraiser.appraise(candidate.document) for candidate in candidates]

    def _build_hit(
        self,
        query: str,
        document: Document,
        relevance: float,
        authority: float,
        score: float,
        explanation: Explanation,
    ) -> RetrievalHit:
        snippet = make_snippet(
            query,
            document.sentences,
            self._config.snippet_sentences,
            self._config.snippet_chars,
            document.title,
            document.number,
            document.words_of_sentences,
        )
        return RetrievalHit(
            document_id=document.document_id,
            source=document.source,
            title=document.title,
            snippet=snippet,
            relevance=relevance,
            authority=authority,
            score=score,
            year=document.year,
            kind=evidence_kind(document),
            url=document.url,
            explanation=explanation,
        )


def _build_candidate(query: str, document: Document, place: int) -> Candidate:
    """The document at a place (from 0) of its service's order."""
    title = title_key(document.title)
    is_named = bool(title) and f" {title} " in f" {title_key(query)} "
    title_words = len(title.split()) if is_named else 0
    # 1, 1/2, 1/3, ...: the reciprocal rank. The first document counts as the best match, as BM25
    # divided by the query's best does.
    return Candidate(document, bm25=1 / (1 + place), cosine=None, title_words=title_words)
