"""The named entities of one sentence as its grammar groups them: lists, other names in brackets,
members of a class.

What is said of one item of a list ("treated with A, B or C") is said of all of its kind, so an item
reaches from the first of its list to the last. A name followed by its class ("Apraxia is a
neurological disorder characterised by ...") reaches to the end of the class, and the class itself,
where it is an entity too, is not what the sentence is about.
"""

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from medr_ray.knowledge.predicates import DISEASE
from medr_ray.retrieval.snippets import Span

_LIST = re.compile(
    r"(?:'s)?\s*(?:\([^()]*\))?\s*(?:,? ?(?:and/or|and|or|as well as)\s+(?:(?:an?|the) )?|"
    r"[,;&]\s*(?:(?:and/or|and|or)\s+)?|/)(?:[\w-]+ )?"
)
_ALIAS = re.compile(r"\s?\((?:or |also (?:known as|called) )?|,? or |,? also (?:known as|called) ")
_CLASS = re.compile(
    r"\s*(?:\([^()]*\)|\))?(?:,? (?:is|are) (?:an?|one of the|the)|, (?:an?|the)) (?:[\w,-]+ ){0,6}",
    re.IGNORECASE,
)
_PREDICATE = re.compile(  # a class whose member is no entity here: "IIM are rare autoimmune diseases that ..."
    r"\b(?:is|are) (?:an?|one of the|some|rare) (?:(?!(?:of|for|in|to|with|by|from|and|or)\b)[\w,-]+ ){0,6}$"
)
_ENUMERATION = 3  # items; two joined by "and" may be what an association is between


class Named(Protocol):
    """The part of ``entities.matching.Mention`` that is read here."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def concept_id(self) -> str: ...


class Place(NamedTuple):
    """A mention, counted within its sentence."""

    start: int
    end: int
    concept_id: str

    @property
    def span(self) -> Span:
        return self.start, self.end


@dataclass(frozen=True)
class Item:
    """A mention in its sentence. [start, end) are the characters from the first item of its list to
    the last, and to the end of their class; ``enumeration`` is the number of the enumeration it
    stands in, among items of any kind, -1 for none; ``is_class`` marks a class whose member the
    sentence names."""

    mention: Place
    kind: str
    start: int
    end: int
    enumeration: int = -1
    is_class: bool = False

    @property
    def concept_id(self) -> str:
        return self.mention.concept_id


@dataclass(frozen=True)
class Sentence:
    """A sentence that begins at ``offset`` of its document, with the entities it names."""

    text: str
    offset: int
    items: Sequence[Item]


def sentences_of(
    text: str, spans: Sequence[Span], mentions: Iterable[Named], types: Mapping[str, str]
) -> list[Sentence]:
    """The sentences [start, end) of a text. ``mentions`` count within the text, in any order; one
    is of the sentence it begins in, and concepts without a type in ``types`` are left out."""
    starts = [start for start, _ in spans]
    placed: list[list[Place]] = [[] for _ in spans]
    for one in sorted(mentions, key=lambda one: (one.start, one.end, one.concept_id)):
        number = bisect.bisect_right(starts, one.start) - 1
        if number >= 0 and one.concept_id in types:
            placed[number].append(
                Place(one.start - starts[number], one.end - starts[number], one.concept_id)
            )
    return [
        Sentence(text[start:end], start, items(text[start:end], places, types))
        for (start, end), places in zip(spans, placed, strict=True)
    ]


def items(sentence: str, mentions: Sequence[Place], types: Mapping[str, str]) -> list[Item]:
    """The mentions of a sentence, which count within it and stand in order."""

    def listed(last: Place, one: Place) -> bool:
        again = last.concept_id == one.concept_id  # "A, and A ...": another clause
        return not again and _LIST.fullmatch(sentence, last.end, one.start) is not None

    def of_a_kind(last: Place, one: Place) -> bool:
        alias = (
            last.concept_id == one.concept_id
            and _ALIAS.fullmatch(sentence, last.end, one.start) is not None
        )
        return types[last.concept_id] == types[one.concept_id] and (
            alias or (last.start, last.end) == (one.start, one.end) or listed(last, one)
        )

    found = [
        Item(one, types[one.concept_id], group[0].start, group[-1].end)
        for group in _runs(mentions, of_a_kind)
        for one in group
    ]
    enumerations = [
        number if len(group) >= _ENUMERATION else -1
        for number, group in enumerate(_runs(mentions, listed))
        for _ in group
    ]
    numbered = [
        replace(one, enumeration=number) for one, number in zip(found, enumerations, strict=True)
    ]
    return _with_classes(sentence, numbered)


def _runs(mentions: Sequence[Place], joined: Callable[[Place, Place], bool]) -> list[list[Place]]:
    runs: list[list[Place]] = []
    for one in mentions:
        if runs and joined(runs[-1][-1], one):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _with_classes(sentence: str, found: Sequence[Item]) -> list[Item]:
    """Members reach to the end of their class, and the class is marked."""
    reach: dict[tuple[int, int], int] = {}
    classes = {
        i
        for i, one in enumerate(found)
        if one.kind == DISEASE and _PREDICATE.search(sentence, 0, one.mention.start)
    }
    for i, (last, one) in enumerate(itertools.pairwise(found)):
        if (
            last.kind == one.kind
            and last.end <= one.start
            and _CLASS.fullmatch(sentence, last.end, one.start)
        ):
            reach[last.start, last.end] = one.mention.end
            classes.add(i + 1)
    return [
        replace(one, end=reach.get((one.start, one.end), one.end), is_class=i in classes)
        for i, one in enumerate(found)
    ]
