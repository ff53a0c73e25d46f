"""Ranks candidates by pure arithmetic over their scores.

Relevance lies in [0, 1] within one query.

Lexical relevance blends two parts: BM25, divided by the query's best, and the share of the query
(words and pairs of words, weighed by rarity) that the title and the best single sentence repeat. So
one sentence that answers beats a long document that mentions every word somewhere.

The calibrated cosine joins it. It is 0 for unrelated texts under this encoder and 1 for an equal
text, whatever else was retrieved for the query; measured on BioASQ, that beats stretching the
cosines over the candidates. Its weight depends on what was embedded: a title's vector knows nothing
of the text.

Clinical ranking is the paper's Score(d, q) = lambda Rel(d, q) + (1 - lambda) Auth(d) (section 2.2).
Auth counts only for documents whose relevance reaches a floor, so authority cannot lift what is off
the topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import QueryTerms

# Of the best sentence against BM25, which long records with a repeated word win too easily.
PASSAGE_WEIGHT = 0.7
TEXT_VECTOR_WEIGHT = 0.6  # of the cosine against words, where the text is embedded
TITLE_VECTOR_WEIGHT = 0.3  # where only the title is, while the words are those of the text
UNRELATED_COSINE = 0.12  # of two texts that have nothing to do with each other, under MiniLM
RELEVANCE_FLOOR = 0.6  # of the best relevance among the candidates


@dataclass(frozen=True)
class Candidate:
    """A document and how it matches the query.

    ``bm25`` is 0 where full text did not find it, ``cosine`` None where it has no vector.
    ``title_words`` counts the words of its title where the whole title occurs in the query, else 0;
    it is that of the longest title where the query has the document's number.
    """

    document: Document
    bm25: float
    cosine: float | None
    title_words: int


def passage_share(terms: QueryTerms, document: Document) -> float:
    """Share in [0, 1] of the query's weight that the title, the number and the best single sentence
    repeat."""
    total = terms.total_weight
    if not total:
        return 0.0
    # Title and number first: a sentence is credited only for what they leave open.
    rest = terms.exclude_words(document.words_of_title)
    rest = rest.exclude_words(document.words_of_number)
    best = max(map(rest.shared_weight, document.words_of_sentences), default=0.0)
    return (total - rest.total_weight + best) / total


def lexical_relevance(terms: QueryTerms, candidates: Sequence[Candidate]) -> list[float]:
    """Relevance by words alone, in [0, 1]."""
    # where full text found nothing, so that nothing is divided by 0.
    best = max((candidate.bm25 for candidate in candidates), default=0.0) or 1.0
    relevance = []
    for candidate in candidates:
        passage = passage_share(terms, candidate.document)
        relevance.append((1 - PASSAGE_WEIGHT) * candidate.bm25 / best + PASSAGE_WEIGHT * passage)
    return relevance


@dataclass(frozen=True)
class CosineCalibration:
    """What cosines mean under an encoder.

    ``unrelated`` is the cosine of texts that have nothing to do with each other, ``weight`` that of
    the calibrated cosine against words.
    """

    unrelated: float = UNRELATED_COSINE
    weight: float = TITLE_VECTOR_WEIGHT

    def relevance(self, cosine: float) -> float:
        """In [0, 1]; 0 means no relation, 1 the same text."""
        # Linear from ``unrelated``, which becomes 0, to 1. Below it a cosine is noise.
        return min(1.0, max(0.0, (cosine - self.unrelated) / (1 - self.unrelated)))


MINILM_TITLES = CosineCalibration()


class Relevance(NamedTuple):
    """What words and what meaning add to a document's relevance, which is their sum."""

    words: float
    meaning: float

    @property
    def total(self) -> float:
        return self.words + self.meaning


def semantic_relevance(
    terms: QueryTerms,
    candidates: Sequence[Candidate],
    calibration: CosineCalibration = MINILM_TITLES,
) -> list[Relevance]:
    """The calibrated cosine blended with the lexical relevance.

    The lexical relevance alone where there is no vector.
    """
    weight = calibration.weight
    relevance = []
    for text, candidate in zip(lexical_relevance(terms, candidates), candidates, strict=True):
        if candidate.cosine is None:
            relevance.append(Relevance(text, 0.0))
        else:
            meaning = calibration.relevance(candidate.cosine)
            relevance.append(Relevance((1 - weight) * text, weight * meaning))
    return relevance


def vector_relevance(
    candidates: Sequence[Candidate], calibration: CosineCalibration
) -> list[Relevance]:
    """The calibrated cosine alone."""
    relevance = []
    for candidate in candidates:
        cosine = candidate.cosine
        relevance.append(Relevance(0.0, 0.0 if cosine is None else calibration.relevance(cosine)))
    return relevance


def find_on_topic(relevance: Sequence[float]) -> list[bool]:
    """Whether each document's relevance reaches the floor, below which authority does not count."""
    # Relative to the best candidate, because relevance has no fixed scale from query to query.
    floor = RELEVANCE_FLOOR * max(relevance, default=0.0)
    return [value >= floor for value in relevance]


def clinical_scores(
    relevance: Sequence[float], authority: Sequence[float], weight: float
) -> list[float]:
    """Score = weight * Rel + (1 - weight) * Auth, with Auth 0 below the relevance floor."""
    scores = []
    on_topic = find_on_topic(relevance)
    for rel, auth, counts in zip(relevance, authority, on_topic, strict=True):
        scores.append(weight * rel + (1 - weight) * (auth if counts else 0.0))
    return scores


def rank_positions(
    candidates: Sequence[Candidate], scores: Sequence[float], authority: Sequence[float]
) -> list[int]:
    """Positions of the candidates, best first.

    Documents whose whole title the query names come first: the longest title before shorter ones,
    and of equally long ones the more authoritative. Then by score; ties by document id.
    """

    def sort_key(i: int) -> tuple[float, float, float, str]:
        title_words = candidates[i].title_words
        # Negative, because ``sorted`` is ascending and the best comes first.
        title_authority = -authority[i] if title_words else 0.0
        return -title_words, title_authority, -scores[i], candidates[i].document.document_id

    return sorted(range(len(candidates)), key=sort_key)
