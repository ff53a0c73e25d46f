"""Cue patterns: what the words between two named entities of one sentence say about them.

Precision before recall: the words between must hold a cue, the pair must have the predicate's types, and a negation
near the pair silences it. A cue with other words around it ("characterised by A, B and C" says it of all three)
counts for less, and a hedge lowers the confidence below what a graph usually keeps.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.graph.contexts import clinical, is_denied, is_doubted, spatial, temporal
from medr_ray.graph.statements import Statement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import PREDICATES

_WIDEST_GAP = 90  # characters between the two mentions; further apart the cue rarely belongs to both
_COMPOUND = re.compile(r"[- ](?:resistan|sensitiv|positiv|negativ|tolera|naive|free\b)")  # no longer about the drug
_AROUND = 40  # characters before and after the pair that may deny or hedge it
_HEDGE = 0.5  # factor on the confidence of a hedged statement
_LOOSE = 0.75  # factor on the confidence where other words surround the cue
_LEAST_LOOSE = 0.8  # confidence below which a cue must stand alone between the two
_STRICT = frozenset({"induced_by"})  # what induces stands right beside it, or it is something else
_FILLER = re.compile(r"[^.;:()\[\]]*")  # no clause ends between the two


class Named(Protocol):
    """The part of ``entities.matching.Mention`` that is read here."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def concept_id(self) -> str: ...


@dataclass(frozen=True)
class Cue:
    """``between`` matches all the words between left and right mention, ``before`` the end of what precedes the
    left one. ``subject_first`` when the subject is the left mention."""

    predicate: str
    subject_first: bool
    between: re.Pattern[str]
    confidence: float
    before: re.Pattern[str] | None = None


def _cue(predicate: str, subject_first: bool, between: str, confidence: float, before: str = "") -> Cue:
    return Cue(predicate, subject_first, re.compile(between, re.IGNORECASE), confidence,
               re.compile(f"(?:{before})\\s*$", re.IGNORECASE) if before else None)


_BE = r"(?:is|was|are|were|be|been|being|can be|has been|have been)"
_ADVERB = r"(?:\w+ly )?"
_PEOPLE = r"(?:\d+ )?(?:\w+ ){0,2}(?:patients?|children|adults|infants|women|men|subjects|cases)(?: \w+)?"
_DOSE = r"(?:oral |intravenous |high[- ]dose |low[- ]dose |systemic |topical |long[- ]term )?"

CUES: tuple[Cue, ...] = (
    _cue("treated_with", False, r"(?: \w+)? (?:for|in) (?:the )?(?:\w+ )?(?:treatment|management|therapy) of (?:\w+ )?",
         0.9),
    _cue("treated_with", False, r" (?:treatment|therapy) (?:of|for|in) (?:\w+ )?", 0.85),
    _cue("treated_with", True, rf",? (?:{_BE} )?{_ADVERB}treated (?:\w+ )?with {_DOSE}", 0.9),
    _cue("treated_with", True, rf" (?:with|by) {_DOSE}", 0.85, r"(?:treatment|therapy|management) of (?:\w+ )?"),
    _cue("treated_with", False, rf" {_BE} (?:\w+ )?(?:effective|useful|successful|beneficial) (?:in|for|against) "
                                r"(?:the )?(?:treatment of |patients with )?", 0.8),
    _cue("treated_with", False, rf" {_BE} {_ADVERB}(?:used|indicated|approved|given|administered) (?:for|in|to treat) "
                                rf"(?:the treatment of |{_PEOPLE} with )?", 0.8),
    _cue("treated_with", False, r" for (?:the )?(?:\w+ )?", 0.65),
    _cue("induced_by", False, r"[- ]induced (?:\w+ )?", 0.9),
    _cue("induced_by", False, r"[- ](?:related|associated) ", 0.7),
    _cue("induced_by", True, rf",? (?:{_BE} )?{_ADVERB}(?:induced|caused|provoked|precipitated) by (?:\w+ )?{_DOSE}",
         0.9),
    _cue("induced_by", True, rf",? (?:secondary|due) to (?:\w+ )?{_DOSE}", 0.8),
    _cue("presents_with", True, r",? (?:\w+ )?(?:presents?|presented|presenting|manifests?|manifested|manifesting) "
                                r"(?:\w+ )?(?:with|as|by) (?:an? )?(?:\w+ )?", 0.85),
    _cue("presents_with", True, rf",? (?:{_BE} )?(?:\w+ )?characteri[sz]ed (?:\w+ )?by (?:an? )?(?:\w+ )?", 0.85),
    _cue("presents_with", False, rf" (?:{_BE} )?(?:\w+ )?(?:seen|observed|found|reported|common|frequent|present)? ?"
                                 rf"in {_PEOPLE} (?:with|suffering from|affected by) (?:an? |the )?", 0.75),
    _cue("presents_with", False, r",? (?:due|secondary|attributed|owing) to (?:an? |the )?(?:\w+ )?", 0.75),
    _cue("presents_with", True, r",? (?:often |commonly |frequently )?associated with (?:an? )?(?:\w+ )?", 0.6),
    _cue("complicated_by", True, rf",? (?:{_BE} )?complicated (?:by|with) (?:an? )?(?:\w+ )?", 0.9),
    _cue("complicated_by", False, r",? (?:\w+ )?(?:is|was|are|were|as) (?:an? |the )?(?:\w+ ){0,2}complications? "
                                  r"(?:of|in) (?:\w+ )?", 0.9),
    _cue("complicated_by", False, r" complicating (?:an? |the )?(?:\w+ )?", 0.9),
)


def read_sentence(sentence: str, offset: int, mentions: Sequence[Named], vocabulary: Vocabulary) -> list[Statement]:
    """Statements of a sentence that begins at ``offset`` of its document; ``mentions`` count within the sentence."""
    return [
        _statement(sentence, offset, *matched, left, right)
        for left, right in _pairs(sentence, mentions, vocabulary)
        if (matched := _matching(sentence, left, right, vocabulary)) is not None
        and not is_denied(_neighbourhood(sentence, left, right))
    ]


def _pairs(sentence: str, mentions: Sequence[Named], vocabulary: Vocabulary) -> Iterator[tuple[Named, Named]]:
    """Mentions of two concepts that are not too far apart, with nothing but items of the same list between them."""
    known = [one for one in mentions if one.concept_id in vocabulary]
    for i, left in enumerate(known):
        for j in range(i + 1, len(known)):
            right = known[j]
            kinds = {vocabulary.type_of(one.concept_id) for one in known[i + 1 : j + 1]}
            if right.start - left.end > _WIDEST_GAP or len(kinds) > 1:
                break
            if left.concept_id != right.concept_id and not _COMPOUND.match(sentence, right.end):
                yield left, right


def _matching(sentence: str, left: Named, right: Named, vocabulary: Vocabulary) -> tuple[Cue, float] | None:
    """The best cue for the pair with the confidence it gives."""
    types = vocabulary.type_of(left.concept_id), vocabulary.type_of(right.concept_id)
    between, before = sentence[left.end : right.start], sentence[: left.start]
    found = []
    for rank, cue in enumerate(CUES):
        predicate = PREDICATES[cue.predicate]
        wanted = (predicate.subject_type, predicate.object_type)
        if (types if cue.subject_first else types[::-1]) == wanted and (
                cue.before is None or cue.before.search(before)):
            found.append((_confidence(cue, between), -rank))
    confidence, rank = max(found, default=(0.0, 0))
    return (CUES[-rank], confidence) if confidence > 0 else None


def _confidence(cue: Cue, between: str) -> float:
    """What the words between say by this cue; 0 when they do not hold it."""
    if cue.between.fullmatch(between):
        return cue.confidence
    loose = cue.before is None and cue.confidence >= _LEAST_LOOSE and cue.predicate not in _STRICT
    return cue.confidence * _LOOSE if loose and _FILLER.fullmatch(between) and cue.between.search(between) else 0.0


def _neighbourhood(sentence: str, left: Named, right: Named) -> str:
    return sentence[max(0, left.start - _AROUND) : right.end + _AROUND]


def _statement(sentence: str, offset: int, cue: Cue, confidence: float, left: Named, right: Named) -> Statement:
    subject, obj = (left, right) if cue.subject_first else (right, left)
    doubt = _HEDGE if is_doubted(_neighbourhood(sentence, left, right)) else 1.0
    return Statement(
        subject.concept_id, cue.predicate, obj.concept_id, temporal(sentence), spatial(sentence), clinical(sentence),
        round(confidence * doubt, 3), offset, offset + len(sentence), "")
