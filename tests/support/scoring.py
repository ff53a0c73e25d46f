"""Precision, recall and F1 of found mentions and concepts against an annotated corpus.

Two levels. Of mentions, strict: the same first and last character and the same kind,
micro-averaged. Of concepts: for each document the set of concepts found against the set of concept
ids annotated, as BioCreative V scored BC5CDR, so a concept counts once however often it is named.
Of a composite annotation ("liver and renal failure") the mention is the whole span, without the
parts that BC5CDR lists beside it, and every one of its ids counts; an annotation without an id
("-1") is a mention but no concept.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from support.gold import GoldDocument, GoldMention


@dataclass(frozen=True)
class FoundMention:
    """A mention found: characters [start, end), its kind, and the annotators' ids of its concept. A
    concept may have several (a broader vocabulary split what ours holds as one); it is right if any
    of them is annotated."""

    start: int
    end: int
    kind: str
    ids: frozenset[str]


@dataclass(frozen=True)
class Score:
    """``right`` of ``predicted`` were right, ``reached`` of ``gold`` were found. Zero over zero is
    zero."""

    right: int = 0
    predicted: int = 0
    reached: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.reached / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.right + other.right,
            self.predicted + other.predicted,
            self.reached + other.reached,
            self.gold + other.gold,
        )


Scored = Iterable[tuple[GoldDocument, Sequence[FoundMention]]]


def concept_score(documents: Scored, kind: str, gold_kinds: Collection[str]) -> Score:
    """Of concepts in documents: what was found as ``kind`` against what is annotated as one of
    ``gold_kinds``."""
    total = Score()
    for document, mentions in documents:
        gold = _gold_ids(document, gold_kinds)
        concepts = {mention.ids for mention in mentions if mention.kind == kind}
        reached = gold & frozenset().union(*concepts)
        total += Score(
            sum(not gold.isdisjoint(ids) for ids in concepts),
            len(concepts),
            len(reached),
            len(gold),
        )
    return total


def mention_score(documents: Scored, kind: str, gold_kinds: Collection[str]) -> Score:
    """Of mentions, strict."""
    total = Score()
    for document, mentions in documents:
        gold = {
            (mention.start, mention.end)
            for mention in whole_mentions(document)
            if mention.kind in gold_kinds
        }
        spans = {(mention.start, mention.end) for mention in mentions if mention.kind == kind}
        right = len(gold & spans)
        total += Score(right, len(spans), right, len(gold))
    return total


def whole_mentions(document: GoldDocument) -> list[GoldMention]:
    return [mention for mention in document.mentions if not mention.inside_composite]


def attainable_recall(
    documents: Iterable[GoldDocument], gold_kinds: Collection[str], known: Collection[str]
) -> float:
    """The recall of concepts that is possible: the share of annotated ids that are among ``known``.
    Identifiers are retired, and some belong to vocabularies that were not loaded."""
    ids = [gold_id for document in documents for gold_id in _gold_ids(document, gold_kinds)]
    return sum(gold_id in known for gold_id in ids) / len(ids) if ids else 0.0


def _gold_ids(document: GoldDocument, gold_kinds: Collection[str]) -> set[str]:
    return {
        concept_id
        for mention in document.mentions
        if mention.kind in gold_kinds
        for concept_id in mention.concept_ids
    }
