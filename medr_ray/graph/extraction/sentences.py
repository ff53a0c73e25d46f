"""The named entities of one sentence, grouped by its grammar: lists, other names in brackets, and
members of a class.

A statement about one item of a list ("treated with A, B or C") applies to all items of that kind,
so an item extends from the first item of its list to the last. A name followed by its class
("Apraxia is a neurological disorder characterised by ...") extends to the end of the class. The
class may be an entity itself, but the sentence is not about it.
"""

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from medr_ray.knowledge.predicates import DISEASE
from medr_ray.retrieval.snippets import Span

# The text between two items of a list: "A, B", "A and the B", "A (x), or B".
_LIST_JOINT = re.compile(
    r"(?:'s)?\s*(?:\([^()]*\))?\s*(?:,? ?(?:and/or|and|or|as well as)\s+(?:(?:an?|the) )?|"
    r"[,;&]\s*(?:(?:and/or|and|or)\s+)?|/)(?:[\w-]+ )?"
)
# The text between two names of one concept: "A (also known as B".
_ALIAS_JOINT = re.compile(
    r"\s?\((?:or |also (?:known as|called) )?|,? or |,? also (?:known as|called) "
)
# The text between a member and its class: "A is a rare B", "A, one of the B".
_CLASS_JOINT = re.compile(
    r"\s*(?:\([^()]*\)|\))?(?:,? (?:is|are) (?:an?|one of the|the)|, (?:an?|the)) "
    r"(?:[\w,-]+ ){0,6}",
    re.IGNORECASE,
)
# The text before a class whose member is no entity: "IIM are rare autoimmune diseases ...".
_BEFORE_CLASS = re.compile(
    r"\b(?:is|are) (?:an?|one of the|some|rare) "
    r"(?:(?!(?:of|for|in|to|with|by|from|and|or)\b)[\w,-]+ ){0,6}$"
)
# Two names joined by "and" may be the two ends of an association; three are an enumeration.
_MIN_ENUMERATION = 3


class ConceptMention(Protocol):
    """The part of ``entities.matching.Mention`` that is read here."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def concept_id(self) -> str: ...


class SentenceMention(NamedTuple):
    """A mention, counted in characters of its sentence."""

    start: int
    end: int
    concept_id: str

    @property
    def span(self) -> Span:
        return self.start, self.end


@dataclass(frozen=True)
class SentenceItem:
    """A mention in its sentence.

    [start, end) are the characters from the first item of its list to the last, and to the end of
    their class. ``enumeration`` is the number of the enumeration it stands in, among items of any
    kind, -1 for none. ``is_class`` marks a class whose member the sentence names.
    """

    mention: SentenceMention
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
    items: Sequence[SentenceItem]


def build_sentences(
    text: str,
    spans: Sequence[Span],
    mentions: Iterable[ConceptMention],
    types: Mapping[str, str],
) -> list[Sentence]:
    """The sentences [start, end) of a text with their mentions.

    ``mentions`` are in characters of the text, in any order. A mention belongs to the sentence that
    it begins in. Concepts without a type in ``types`` are left out.
    """
    starts = [start for start, _ in spans]
    mentions_by_sentence: list[list[SentenceMention]] = [[] for _ in spans]
    in_order = sorted(
        mentions, key=lambda mention: (mention.start, mention.end, mention.concept_id)
    )
    for mention in in_order:
        # The last sentence that begins at or before the mention.
        number = bisect.bisect_right(starts, mention.start) - 1
        if number < 0 or mention.concept_id not in types:
            continue
        offset = starts[number]
        mentions_by_sentence[number].append(
            SentenceMention(mention.start - offset, mention.end - offset, mention.concept_id)
        )
    sentences = []
    for (start, end), sentence_mentions in zip(spans, mentions_by_sentence, strict=True):
        sentence = text[start:end]
        items = group_mentions(sentence, sentence_mentions, types)
        sentences.append(Sentence(sentence, start, items))
    return sentences


def group_mentions(
    sentence: str, mentions: Sequence[SentenceMention], types: Mapping[str, str]
) -> list[SentenceItem]:
    """The items of a sentence, whose mentions are given in order."""

    def is_enumerated(last: SentenceMention, mention: SentenceMention) -> bool:
        if last.concept_id == mention.concept_id:
            return False  # "A, and A ...": the second A begins another clause
        return _LIST_JOINT.fullmatch(sentence, last.end, mention.start) is not None

    def is_of_one_list(last: SentenceMention, mention: SentenceMention) -> bool:
        if types[last.concept_id] != types[mention.concept_id]:
            return False
        is_alias = (
            last.concept_id == mention.concept_id
            and _ALIAS_JOINT.fullmatch(sentence, last.end, mention.start) is not None
        )
        is_same_place = last.span == mention.span
        return is_alias or is_same_place or is_enumerated(last, mention)

    # Lists join items of one kind only, enumerations items of any kind.
    items = [
        SentenceItem(mention, types[mention.concept_id], run[0].start, run[-1].end)
        for run in _split_runs(mentions, is_of_one_list)
        for mention in run
    ]
    enumerations: list[int] = []
    for number, run in enumerate(_split_runs(mentions, is_enumerated)):
        enumeration = number if len(run) >= _MIN_ENUMERATION else -1
        enumerations += [enumeration] * len(run)
    numbered_items = [
        replace(item, enumeration=number) for item, number in zip(items, enumerations, strict=True)
    ]
    return _mark_classes(sentence, numbered_items)


def _split_runs(
    mentions: Sequence[SentenceMention],
    is_joined: Callable[[SentenceMention, SentenceMention], bool],
) -> list[list[SentenceMention]]:
    """Split the mentions into runs in which each mention is joined to the one before."""
    runs: list[list[SentenceMention]] = []
    for mention in mentions:
        if runs and is_joined(runs[-1][-1], mention):
            runs[-1].append(mention)
        else:
            runs.append([mention])
    return runs


def _mark_classes(sentence: str, items: Sequence[SentenceItem]) -> list[SentenceItem]:
    """Extend members to the end of their class, and mark the classes."""
    class_ends: dict[Span, int] = {}  # by the extent of the member's list
    class_numbers = {
        number
        for number, item in enumerate(items)
        if item.kind == DISEASE and _BEFORE_CLASS.search(sentence, 0, item.mention.start)
    }
    for number, (last, item) in enumerate(itertools.pairwise(items)):
        is_member_of_class = (
            last.kind == item.kind
            and last.end <= item.start
            and _CLASS_JOINT.fullmatch(sentence, last.end, item.start)
        )
        if is_member_of_class:
            class_ends[last.start, last.end] = item.mention.end
            class_numbers.add(number + 1)
    return [
        replace(
            item,
            end=class_ends.get((item.start, item.end), item.end),
            is_class=number in class_numbers,
        )
        for number, item in enumerate(items)
    ]
