"""Group the named entities of a sentence into lists, aliases, and classes with their members.

A statement about one item of a list ("treated with A, B or C") is true of all items of the list. So
every item gets the extent of its whole list, from the first item to the last. In "Apraxia is a
neurological disorder characterised by ..." a class ("neurological disorder") follows its member
("Apraxia"). The member's extent then reaches to the end of the class. The class may be an entity
too, but the sentence makes no statement about it, so it is marked.
"""

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from medr_ray.knowledge.predicates import DISEASE
from medr_ray.retrieval.snippets import Span

# The text between two items of a list: "A, B", "A and the B", "A (x), or B". ``[ ]`` is a space.
LIST_JOINT = re.compile(
    r"""
    (?:'s)?                                 # "Wilson's, ..."
    \s* (?:\([^()]*\))? \s*                 # a remark on the first item
    (?:
        ,?[ ]? (?:and/or|and|or|as[ ]well[ ]as) \s+ (?:(?:an?|the)[ ])?
      | [,;&] \s* (?:(?:and/or|and|or)\s+)?
      | /
    )
    # one word before the second item, "severe", but none that begins another phrase
    (?:(?!(?:while|whereas|but|although|not|than|versus|with|without|for|in|of|by|to|from|after|
        before|during|on|at|as)\b)[\w-]+[ ])?
    """,
    re.VERBOSE,
)
# The text between two names of one concept: "A (also known as B".
_ALIAS_JOINT = re.compile(
    r"\s?\((?:or |also (?:known as|called) )?|,? or |,? also (?:known as|called) "
)
# The text between a member and its class: "A is a rare B", "A, one of the B".
_CLASS_JOINT = re.compile(
    r"""
    \s* (?:\([^()]*\)|\))?                 # a remark on the member, or the end of its brackets
    (?:[ ]?in[ ](?:humans?|man|patients|children|adults))?
    (?:
        ,?[ ] (?:is|are)[ ] (?:(?:defined|classified|described)[ ]as[ ])?(?:an?|one[ ]of[ ]the|the)
      | ,[ ] (?:an?|the)
    )
    [ ]
    (?:[\w,-]+[ ]){0,6}                     # adjectives: "rare autoimmune"
    (?:(?:form|type|subtype|variant|kind|subset)s?[ ]of[ ](?:an?[ ]|the[ ])?(?:\w+[ ])?)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The text before a class whose member is not an entity: "IIM are rare autoimmune diseases ...".
_BEFORE_CLASS = re.compile(
    r"""
    \b (?:is|are)[ ] (?:an?|one[ ]of[ ]the|some|rare)[ ]
    (?:(?:[\w-]+[ ]){0,3}(?:form|type|subtype|variant|kind|subset)s?[ ]of[ ])?
    (?:                                     # adjectives, but no words that begin another phrase:
        (?!(?:of|for|in|to|with|by|from|and|or)\b)     # "a cause of B" does not make B a class
        [\w,-]+[ ]
    ){0,6}
    $
    """,
    re.VERBOSE,
)
# Two names joined by "and" may be the two ends of an association: not yet an enumeration.
_MIN_ENUMERATION = 3


class ConceptMention(Protocol):
    """The part of ``entities.matching.Mention`` that this module reads."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def concept_id(self) -> str: ...


class SentenceMention(NamedTuple):
    """A mention. ``start`` and ``end`` count the characters of its sentence."""

    start: int
    end: int
    concept_id: str

    @property
    def span(self) -> Span:
        return self.start, self.end


@dataclass(frozen=True)
class SentenceItem:
    """A mention with the list, the enumeration and the class that it belongs to.

    [group_start, group_end) are the characters of its list, extended to the end of the class that
    follows. Without a list and a class they are those of the mention. A list has items of one type;
    an enumeration may have items of any type. ``enumeration`` is the number of the item's
    enumeration in the sentence, -1 for none. ``is_class`` is true for a class whose member the
    sentence names.
    """

    mention: SentenceMention
    entity_type: str
    group_start: int
    group_end: int
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
    entity_types_by_concept: Mapping[str, str],
) -> list[Sentence]:
    """Build the sentences of a text, whose characters [start, end) are ``spans``.

    ``mentions`` count the characters of the text and may come in any order. A mention belongs to
    the sentence in which it begins. Mentions of concepts without an entity type are left out.
    """
    starts = [start for start, _ in spans]
    mentions_by_sentence: list[list[SentenceMention]] = [[] for _ in spans]
    in_order = sorted(
        mentions, key=lambda mention: (mention.start, mention.end, mention.concept_id)
    )
    for mention in in_order:
        # The last sentence that begins at or before the mention.
        index = bisect.bisect_right(starts, mention.start) - 1
        if index < 0 or mention.concept_id not in entity_types_by_concept:
            continue
        offset = starts[index]
        mentions_by_sentence[index].append(
            SentenceMention(mention.start - offset, mention.end - offset, mention.concept_id)
        )
    sentences = []
    for (start, end), sentence_mentions in zip(spans, mentions_by_sentence, strict=True):
        sentence = text[start:end]
        items = group_mentions(sentence, sentence_mentions, entity_types_by_concept)
        sentences.append(Sentence(sentence, start, items))
    return sentences


def group_mentions(
    sentence: str, mentions: Sequence[SentenceMention], entity_types_by_concept: Mapping[str, str]
) -> list[SentenceItem]:
    """Make the items of a sentence from its mentions, which must be in order."""
    if not mentions:
        return []

    def are_joined_by_list_separator(previous: SentenceMention, mention: SentenceMention) -> bool:
        if previous.concept_id == mention.concept_id:
            return False  # "A, and A ...": the second A begins another clause
        return LIST_JOINT.fullmatch(sentence, previous.end, mention.start) is not None

    def have_same_type(previous: SentenceMention, mention: SentenceMention) -> bool:
        previous_type = entity_types_by_concept[previous.concept_id]
        return previous_type == entity_types_by_concept[mention.concept_id]

    def are_in_same_list(previous: SentenceMention, mention: SentenceMention) -> bool:
        if not have_same_type(previous, mention):
            return False
        is_alias = (
            previous.concept_id == mention.concept_id
            and _ALIAS_JOINT.fullmatch(sentence, previous.end, mention.start) is not None
        )
        # Two concepts may have the same name.
        is_same_place = previous.span == mention.span
        return is_alias or is_same_place or are_joined_by_list_separator(previous, mention)

    # A list has items of one type only, an enumeration items of any type.
    items = [
        SentenceItem(
            mention, entity_types_by_concept[mention.concept_id], run[0].start, run[-1].end
        )
        for run in _split_runs(mentions, are_in_same_list)
        for mention in run
    ]
    enumerations: list[int] = []
    for index, run in enumerate(_split_runs(mentions, are_joined_by_list_separator)):
        enumeration = index if len(run) >= _MIN_ENUMERATION else -1
        enumerations += [enumeration] * len(run)
    # Items are copied only where something changes: most sentences have no enumeration or class.
    numbered_items = [
        item if enumeration < 0 else replace(item, enumeration=enumeration)
        for item, enumeration in zip(items, enumerations, strict=True)
    ]
    return _mark_classes(sentence, numbered_items)


def _split_runs(
    mentions: Sequence[SentenceMention],
    is_joined: Callable[[SentenceMention, SentenceMention], bool],
) -> list[list[SentenceMention]]:
    """Split the mentions into runs in which each mention is joined to the previous one."""
    runs: list[list[SentenceMention]] = []
    for mention in mentions:
        if runs and is_joined(runs[-1][-1], mention):
            runs[-1].append(mention)
        else:
            runs.append([mention])
    return runs


def _mark_classes(sentence: str, items: Sequence[SentenceItem]) -> list[SentenceItem]:
    """Extend members to the end of their class, and mark the items that are classes."""
    # The extent of a list -> the end of its class, because all items of the list are members.
    class_ends: dict[Span, int] = {}
    # Only diseases are recognised as a class without a named member.
    class_indices = {
        index
        for index, item in enumerate(items)
        if item.entity_type == DISEASE and _BEFORE_CLASS.search(sentence, 0, item.mention.start)
    }
    for index, (previous, item) in enumerate(itertools.pairwise(items)):
        is_member_of_class = (
            previous.entity_type == item.entity_type
            and previous.group_end <= item.group_start  # not two items of one list
            and _CLASS_JOINT.fullmatch(sentence, previous.group_end, item.group_start)
        )
        if is_member_of_class:
            class_ends[previous.group_start, previous.group_end] = item.mention.end
            class_indices.add(index + 1)
    if not class_indices:
        return list(items)
    return [
        replace(
            item,
            group_end=class_ends.get((item.group_start, item.group_end), item.group_end),
            is_class=index in class_indices,
        )
        for index, item in enumerate(items)
    ]
