"""Cue patterns: what the words between two named entities of one sentence say about them.

Precision before recall: the words between must hold a cue, the pair must have the predicate's
types, and a negation in their clause silences it. What is said of one item of a list
("characterised by A, B and C") is said of all. A cue with other words around it counts for less,
and a hedge lowers the confidence below what a graph usually keeps.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medr_ray.graph.extraction.assertion import certainty
from medr_ray.graph.extraction.contexts import clinical, spatial, temporal
from medr_ray.graph.extraction.cue_tables import PATTERNS, Pattern
from medr_ray.graph.extraction.sentences import Item, Sentence
from medr_ray.graph.extraction.statements import Statement
from medr_ray.knowledge.predicates import DRUG, PREDICATES

_WIDEST_GAP = (
    90  # characters between the two mentions; further apart the cue rarely belongs to both
)
_COMPOUND = re.compile(  # no longer about the entity
    r"\+ |[- ](?:resistan|sensitiv|tolera|naive|free\b|(?:corona)?virus|vaccin|cells?\b|target)",
    re.IGNORECASE,
)
_LACKED = re.compile(
    r"(?:[- ][\w-]+){0,3}?[- ](?:deficien|restrict|deplet|withdraw|depriv|lesion)", re.IGNORECASE
)
_LOOSE = 0.75  # factor on the confidence where other words surround the cue
_STOPS = r"but|however|although|whereas|while|and (?:was|were|is|are|had|has)"
_LEADING = re.compile(  # what may stand before a cue: a verb phrase or two words, no other clause, finding or target
    rf"(?=\W*(?:(?:is|was|are|were|has|have|had|can|may)\b|(?:\W*[\w-]+){{0,2}}\W*$))"
    rf"(?:(?!\b(?:{_STOPS}|in|among|by|observed|seen|reported|targets?|targeting)\b)[^.;:()\[\]])*"
)
_TRAILING = re.compile(  # and behind it
    rf"(?:(?!\b(?:{_STOPS}|among|from|treatment|therapy|management)\b)[^.;:()\[\]])*"
)
_ASIDE = re.compile(r"\s*\([^()]*\)|\s*\[[^\[\]]*\]|^[^()]*\)")  # in brackets, or the end of such
_MOST = 0.98  # what a curator wrote is surer than any wording


def read_sentence(sentence: Sentence, section: float = 1.0) -> list[Statement]:
    """Statements of a sentence between its items; ``section`` is a factor on their confidence."""
    found = []
    for left, right, others in _pairs(sentence):
        matched = _matching(sentence.text, left, right, others)
        if matched is None:
            continue
        wording = matched.start, left.mention.end
        sure = certainty(sentence.text, wording, right.mention.span, matched.pattern.cue.named)
        if sure > 0:
            confidence = min(matched.confidence * sure * section, _MOST)
            found.append(_statement(sentence, matched.pattern, confidence, left, right))
    return found


@dataclass(frozen=True)
class _Match:
    """A cue found around a pair: how sure it is, and the character where its wording begins."""

    pattern: Pattern
    confidence: float
    start: int


def _pairs(sentence: Sentence) -> Iterator[tuple[Item, Item, set[str]]]:
    """Items of two concepts that are not too far apart, with the kinds of what stands between their
    lists."""
    items = sentence.items
    for i, left in enumerate(items):
        for j in range(i + 1, len(items)):
            right = items[j]
            if right.start - left.end > _WIDEST_GAP:
                break
            if (
                _may_be_related(left, right)
                and _is_meant(sentence.text, left)
                and _is_meant(sentence.text, right)
            ):
                between = (
                    one
                    for one in items[i + 1 : j]
                    if left.end <= one.start and one.end <= right.start
                )
                yield left, right, {one.kind for one in between}


def _may_be_related(left: Item, right: Item) -> bool:
    """A class is related to its members alone."""
    apart = left.concept_id != right.concept_id and left.mention.end <= right.mention.start
    return apart and not left.is_class and (not right.is_class or right.mention.end == left.end)


def _is_meant(sentence: str, item: Item) -> bool:
    """Whether a mention is not the beginning of a name for something else, such as the lack of a
    drug."""
    end = item.mention.end
    return not _COMPOUND.match(sentence, end) and not (
        item.kind == DRUG and _LACKED.match(sentence, end)
    )


def _matching(sentence: str, left: Item, right: Item, others: set[str]) -> _Match | None:
    """The best cue for the pair; of equals the first of the table."""
    within = right.start < left.end  # of one list, or member and class
    first, last = (left.mention, right.mention) if within else (left, right)
    between = _ASIDE.sub("", sentence[first.end : last.start])
    best: _Match | None = None
    for one in PATTERNS.get((left.kind, right.kind), ()):
        confidence = _confidence(one, between, others, right.kind)
        if confidence <= (best.confidence if best else 0.0) or not _fits(
            one, sentence, left, right
        ):
            continue
        before = one.before.search(sentence[: first.start]) if one.before else None
        if before or not one.before:
            best = _Match(one, confidence, before.start() if before else left.mention.start)
    return best


def _fits(pattern: Pattern, sentence: str, left: Item, right: Item) -> bool:
    """Whether the left mention itself, its list and that of the right one, and what follows are as
    the cue wants."""
    cue = pattern.cue
    if right.start < left.end:  # of one list, or member and class
        end = right.mention.end
    elif (not cue.left_list and left.mention.end != left.end) or (
        not cue.right_list and right.mention.start != right.start
    ):
        return False
    else:
        end = right.end
    return (
        pattern.left is None or pattern.left.search(sentence, *left.mention.span) is not None
    ) and (pattern.after is None or pattern.after.match(sentence, end) is not None)


def _confidence(pattern: Pattern, between: str, others: set[str], right_kind: str) -> float:
    """What the words between say by this cue; 0 when they do not hold it."""
    cue = pattern.cue
    if not others and pattern.whole.fullmatch(between):
        return cue.confidence
    core = pattern.core.search(between) if pattern.core and others <= {right_kind} else None
    around = (
        core
        and _LEADING.fullmatch(between, 0, core.start())
        and _TRAILING.fullmatch(between, core.end())
    )
    return cue.confidence * _LOOSE if around else 0.0


def _statement(
    sentence: Sentence, pattern: Pattern, confidence: float, left: Item, right: Item
) -> Statement:
    subject, obj = (left, right) if pattern.cue.subject_first else (right, left)
    return stated(sentence, subject.concept_id, pattern.predicate, obj.concept_id, confidence)


def stated(
    sentence: Sentence, subject: str, predicate: str, obj: str, confidence: float
) -> Statement:
    """What a sentence says of two entities, with its context; of a symmetric relation the smaller
    id is the subject."""
    if PREDICATES[predicate].symmetric:
        subject, obj = sorted((subject, obj))
    text = sentence.text
    return Statement(
        subject,
        predicate,
        obj,
        temporal(text),
        spatial(text),
        clinical(text),
        round(confidence, 3),
        sentence.offset,
        sentence.offset + len(text),
        "",
    )
