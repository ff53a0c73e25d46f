"""How candidates are ranked: pure arithmetic over scores, apart from where the scores come from.

Relevance lies in [0, 1] within one query. Lexical relevance blends BM25, divided by the query's best, with the
share of the query (words and pairs of words, weighed by rarity) that the title and the best single sentence repeat:
one sentence that answers beats a long document that mentions every word somewhere. The cosine, stretched over the
candidates, joins with a quarter of the weight. Clinical ranking is the paper's
Score(d, q) = lambda Rel(d, q) + (1 - lambda) Auth(d) (section 2.2), where Auth counts only for documents whose
relevance reaches a floor, so that authority cannot lift what is off the topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import Wanted, words

PASSAGE_WEIGHT = 0.7  # of the best sentence against BM25, which long records with a repeated word win too easily
VECTOR_WEIGHT = 0.25  # of cosine against words: titles alone may be embedded, while the words of the text were read
RELEVANCE_FLOOR = 0.6  # of the best relevance among the candidates


@dataclass(frozen=True)
class Candidate:
    """A document with what is known of its match: BM25 score or 0, cosine or None where it has no vector, and how
    many words of the query its whole title covers (0 unless the whole title occurs in the query)."""

    document: Document
    bm25: float
    cosine: float | None
    title_words: int


def passage_share(wanted: Wanted, document: Document) -> float:
    """Share in [0, 1] of the query's weight that the title and the best single sentence repeat."""
    total = wanted.weight()
    if not total:
        return 0.0
    rest = wanted.without(words(document.title))
    best = max((rest.shared(words(sentence)) for sentence in document.sentences), default=0.0)
    return (total - rest.weight() + best) / total


def lexical_relevance(wanted: Wanted, candidates: Sequence[Candidate]) -> list[float]:
    top = max((one.bm25 for one in candidates), default=0.0) or 1.0
    return [(1 - PASSAGE_WEIGHT) * one.bm25 / top + PASSAGE_WEIGHT * passage_share(wanted, one.document)
            for one in candidates]


def calibrated(cosines: Sequence[float | None]) -> list[float | None]:
    """Cosines stretched to [0, 1] over the query's candidates (cosine has no scale of its own)."""
    known = [one for one in cosines if one is not None]
    if not known:
        return list(cosines)
    low, high = min(known), max(known)
    spread = (high - low) or 1.0
    return [None if one is None else (one - low) / spread if high > low else 1.0 for one in cosines]


def semantic_relevance(wanted: Wanted, candidates: Sequence[Candidate]) -> list[float]:
    """The calibrated cosine blended with the lexical relevance; the latter alone where there is no vector."""
    lexical = lexical_relevance(wanted, candidates)
    cosines = calibrated([one.cosine for one in candidates])
    return [text if cosine is None else VECTOR_WEIGHT * cosine + (1 - VECTOR_WEIGHT) * text
            for text, cosine in zip(lexical, cosines, strict=True)]


def vector_relevance(candidates: Sequence[Candidate]) -> list[float]:
    """The calibrated cosine alone."""
    return [cosine or 0.0 for cosine in calibrated([one.cosine for one in candidates])]


def clinical_scores(relevance: Sequence[float], authority: Sequence[float], weight: float) -> list[float]:
    """Score = weight * Rel + (1 - weight) * Auth, with Auth 0 below the relevance floor."""
    floor = RELEVANCE_FLOOR * max(relevance, default=0.0)
    return [weight * rel + (1 - weight) * (auth if rel >= floor else 0.0)
            for rel, auth in zip(relevance, authority, strict=True)]


def order(candidates: Sequence[Candidate], scores: Sequence[float], authority: Sequence[float]) -> list[int]:
    """Positions, best first: documents whose whole title the query names, the longest title first and of equal
    titles the more authoritative; then by score; ties by document id."""
    def key(i: int) -> tuple[float, float, float, str]:
        named = candidates[i].title_words
        return -named, -authority[i] if named else 0.0, -scores[i], candidates[i].document.document_id

    return sorted(range(len(candidates)), key=key)
