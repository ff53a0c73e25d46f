"""How candidates are ranked: pure arithmetic over scores, apart from where the scores come from.

Relevance lies in [0, 1] within one query. Lexical relevance blends BM25, divided by the query's
best, with the share of the query (words and pairs of words, weighed by rarity) that the title and
the best single sentence repeat: one sentence that answers beats a long document that mentions every
word somewhere. The calibrated cosine joins it: 0 is what unrelated texts have under this encoder, 1
an equal text, whatever else was found for the query. Measured on BioASQ, that beats stretching the
cosines over the candidates. How much it weighs depends on what was embedded: a title's vector knows
nothing of what the text says. Clinical ranking is the paper's Score(d, q) = lambda Rel(d, q) + (1 -
lambda) Auth(d) (section 2.2), where Auth counts only for documents whose relevance reaches a floor,
so that authority cannot lift what is off the topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import Wanted, words

PASSAGE_WEIGHT = (
    0.7  # of the best sentence against BM25, which long records with a repeated word win too easily
)
TEXT_VECTOR_WEIGHT = 0.6  # of cosine against words
TITLE_VECTOR_WEIGHT = 0.3  # where titles alone are embedded, while the words of the text were read
UNRELATED_COSINE = 0.12  # of two texts that have nothing to do with each other, under MiniLM
RELEVANCE_FLOOR = 0.6  # of the best relevance among the candidates


@dataclass(frozen=True)
class Candidate:
    """A document with what is known of its match: BM25 score or 0, cosine or None where it has no
    vector, and how many words of the query its whole title covers (0 unless the whole title occurs
    in the query)."""

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
    return [
        (1 - PASSAGE_WEIGHT) * one.bm25 / top + PASSAGE_WEIGHT * passage_share(wanted, one.document)
        for one in candidates
    ]


@dataclass(frozen=True)
class Calibration:
    """What cosines mean under an encoder: ``unrelated`` is that of texts that have nothing to do
    with each other, ``weight`` what the calibrated cosine weighs against words."""

    unrelated: float = UNRELATED_COSINE
    weight: float = TITLE_VECTOR_WEIGHT

    def relevance(self, cosine: float) -> float:
        """In [0, 1]; 0 is no relation, 1 the same text."""
        return min(1.0, max(0.0, (cosine - self.unrelated) / (1 - self.unrelated)))


MINILM_TITLES = Calibration()


class Relevance(NamedTuple):
    """What words and what meaning add to a document's relevance, which is their sum."""

    words: float
    meaning: float

    @property
    def total(self) -> float:
        return self.words + self.meaning


def semantic_relevance(
    wanted: Wanted, candidates: Sequence[Candidate], calibration: Calibration = MINILM_TITLES
) -> list[Relevance]:
    """The calibrated cosine blended with the lexical relevance; the latter alone where there is no
    vector."""
    weight = calibration.weight
    return [
        Relevance(text, 0.0)
        if one.cosine is None
        else Relevance((1 - weight) * text, weight * calibration.relevance(one.cosine))
        for text, one in zip(lexical_relevance(wanted, candidates), candidates, strict=True)
    ]


def vector_relevance(candidates: Sequence[Candidate], calibration: Calibration) -> list[Relevance]:
    """The calibrated cosine alone."""
    return [
        Relevance(0.0, 0.0 if one.cosine is None else calibration.relevance(one.cosine))
        for one in candidates
    ]


def on_topic(relevance: Sequence[float]) -> list[bool]:
    """Whether each document's relevance reaches the floor, below which authority does not count."""
    floor = RELEVANCE_FLOOR * max(relevance, default=0.0)
    return [one >= floor for one in relevance]


def clinical_scores(
    relevance: Sequence[float], authority: Sequence[float], weight: float
) -> list[float]:
    """Score = weight * Rel + (1 - weight) * Auth, with Auth 0 below the relevance floor."""
    return [
        weight * rel + (1 - weight) * (auth if counts else 0.0)
        for rel, auth, counts in zip(relevance, authority, on_topic(relevance), strict=True)
    ]


def order(
    candidates: Sequence[Candidate], scores: Sequence[float], authority: Sequence[float]
) -> list[int]:
    """Positions, best first: documents whose whole title the query names, the longest title first
    and of equal titles the more authoritative; then by score; ties by document id."""

    def key(i: int) -> tuple[float, float, float, str]:
        named = candidates[i].title_words
        return (
            -named,
            -authority[i] if named else 0.0,
            -scores[i],
            candidates[i].document.document_id,
        )

    return sorted(range(len(candidates)), key=key)
