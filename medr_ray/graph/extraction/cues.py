"""Finds the statements of a sentence by cues, which are words between two named entities.

Precision comes before recall: the words between must contain a cue, the pair must have the types of
the cue's predicate, and a negation in the clause drops the statement. A statement about one item of
a list ("characterised by A, B and C") applies to all items. Other words around a cue and a hedge
lower the confidence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medr_ray.graph.extraction.assertion import DOUBTED, compute_assertion_factor
from medr_ray.graph.extraction.attribution import is_about_other
from medr_ray.graph.extraction.cue_patterns import PATTERNS, Pattern
from medr_ray.graph.extraction.mention_meaning import DISEASES, describes_next, is_meant
from medr_ray.graph.extraction.sentences import Sentence, SentenceItem, SentenceMention
from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.knowledge.predicates import PREDICATES, Cue

# Characters between the two mentions; across a larger gap a cue rarely relates them.
_MAX_GAP = 110
_MAX_CONFIDENCE = 0.98  # below the 1.0 of a curated record
_CONFIDENCE_DIGITS = 3

# Between two diseases, when the second is the setting of the first and no subject of its own: "RCVS
# in the setting of a respiratory infection was treated with nimodipine".
_SETTING = re.compile(
    r"[^.;:]{0,25}?\b(?:in the (?:setting|context|course) of|after|following|during|secondary to|"
    r"due to|complicating|complicated by|induced by|caused by|triggered by|despite|"
    r"with concomitant|with concurrent|with underlying|with a history of) (?:[\w,-]+ ){0,4}",
    re.IGNORECASE,
)
_SETTING_REACH = 90  # characters between the two
# What brings on a disease, or what it is a kind of, is said of the nearest name.
_OF_THE_NEAREST = frozenset({"induced_by", "sign_induced_by", "complicated_by", "subtype_of"})
# Genes are listed with many verbs and nouns between them: "X activated A and preserved B". There a
# cue holds for what stands behind the nearest as well.
_SHARED_BY_COORDINATION = frozenset(
    {"associated_gene", "sign_associated_gene", "acts_on", "gene_interaction"}
)
# Between two drugs that are given together: what is said of the first is said of the second.
_ADDED = re.compile(
    r"\W*(?:plus|and|or|with|combined with|in combination with|followed by|\+)\W*(?:the |an? )?"
)
_CLAUSE_STARTS = r"but|however|although|whereas|while|and (?:was|were|is|are|had|has)"
# Words that may precede a loose cue: another name in the list, then a verb phrase or two words, but
# no other clause, finding or target.
_LEADING_WORDS = re.compile(
    r" (?:and|or) [\w-]+|"
    r"(?=\W*(?:(?:is|was|are|were|has|have|had|can|may)\b|(?:\W*[\w-]+){0,2}\W*$))"
    rf"(?:(?!\b(?:{_CLAUSE_STARTS}|in|among|by|observed|seen|reported|targets?|targeting|and|that|"
    r"compared|than|versus|"
    r"as|who|it|they|we|this|following|after|before|during)\b)[^.,;:()\[\]])*"
)
# And the words that may follow it.
_TRAILING_WORDS = re.compile(
    rf"(?:(?!\b(?:{_CLAUSE_STARTS}|exhibit\w*|show\w*|reveal\w*|impediment|"
    r"effects?\b[^,;]* (?:during|after|following)|responses? to|among|from|treatment|"
    r"therapy|management|compared|than|versus|"
    r"and (?:\w+ly )?(?:promot|increas|induc|decreas|reduc|improv|enhanc|activat|inhibit|suppress)"
    r"\w*)\b)[^.;:()\[\]])*"
)
_BRACKETS = frozenset("()[]")
# Text in brackets, or the end of a text in brackets that began before the gap.
_ASIDE = re.compile(r"\s*\([^()]*\)|\s*\[[^\[\]]*\]|^\W*\)")


def read_sentence(sentence: Sentence, factor: float = 1.0) -> list[RelationStatement]:
    """The statements of a sentence between its items; ``factor`` is a factor on their
    confidence."""
    return [reading.statement for reading in read_cues(sentence, factor)]


@dataclass(frozen=True)
class CueReading:
    """A statement with the cue that it rests on, and the two items that it connects; ``is_loose``
    where other words surround the cue."""

    statement: RelationStatement
    cue: Cue
    is_loose: bool
    left: SentenceItem
    right: SentenceItem


def read_cues(sentence: Sentence, factor: float = 1.0) -> list[CueReading]:
    """The statements of a sentence with their cues; see ``read_sentence``."""
    readings = []
    for left, right, types_between in _list_pairs(sentence):
        match = _find_best_cue(sentence.text, left, right, types_between)
        if match is not None and match.pattern.predicate not in _OF_THE_NEAREST:
            governed = _find_governed(sentence, left)
            if governed.concept_id == right.concept_id:
                continue
            if governed is not left:
                left = governed
                match = _find_best_cue(sentence.text, left, right, types_between)
        if match is None:
            continue
        if is_about_other(sentence.text, match.pattern, left, right, sentence.items):
            continue
        assertion = compute_assertion_factor(
            sentence.text,
            (match.start, left.mention.end),
            right.mention.span,
            match.pattern.cue.wording,
        )
        if assertion <= DOUBTED:
            continue
        confidence = min(match.confidence * assertion * factor, _MAX_CONFIDENCE)
        is_left_subject = match.pattern.cue.subject_first
        subject, obj = (left, right) if is_left_subject else (right, left)
        statement = build_statement(
            sentence, subject.concept_id, match.pattern.predicate, obj.concept_id, confidence
        )
        readings.append(CueReading(statement, match.pattern.cue, match.is_loose, left, right))
    return _drop_reached_over(sentence.text, readings)


def _drop_reached_over(text: str, readings: Sequence[CueReading]) -> list[CueReading]:
    """Leave out the loose readings that reach over an item which the cue connects already: of
    "levodopa for Parkinson's disease leads to dyskinesia" the one with dyskinesia."""
    return [
        reading
        for reading in readings
        if not (reading.is_loose and any(_is_nearer(text, other, reading) for other in readings))
        and not any(_is_sign_of_nearer(other, reading) for other in readings)
    ]


def _is_sign_of_nearer(other: CueReading, reading: CueReading) -> bool:
    """Whether the left sign of ``reading`` is what ``other`` says of a disease before it: in "a
    disorder with anhedonia is a feature of diabetes" the disorder is the feature."""
    return (
        reading.statement.predicate == other.statement.predicate == "presents_with"
        and other.right.mention == reading.left.mention
        and other.cue.subject_first != reading.cue.subject_first
    )


def _is_nearer(text: str, other: CueReading, reading: CueReading) -> bool:
    """Whether ``other`` states the same predicate of one of the two items, and its other item
    stands between them."""
    predicate = reading.statement.predicate
    if other.statement.predicate != predicate or predicate in _SHARED_BY_COORDINATION:
        return False
    if other.left.mention == reading.left.mention:
        end, start = other.right.group_end, reading.right.group_start
    elif other.right.mention == reading.right.mention:
        end, start = reading.left.group_end, other.left.group_start
    else:
        return False
    return end <= start and _ADDED.fullmatch(text, end, start) is None


@dataclass(frozen=True)
class _CueMatch:
    """A cue that matches around a pair, with its confidence, whether other words surround it, and
    the character where its wording begins."""

    pattern: Pattern
    confidence: float
    is_loose: bool
    start: int


def _find_governed(sentence: Sentence, left: SentenceItem) -> SentenceItem:
    """The item that the words behind ``left`` are about: the disease before it where ``left`` is
    only its setting, standing in the place of ``left``; else ``left`` itself."""
    if left.entity_type not in DISEASES:
        return left
    for item in reversed(sentence.items):
        gap = left.group_start - item.group_end
        if gap < 0 or item.entity_type not in DISEASES or item.is_class:
            continue
        if gap > _SETTING_REACH:
            break
        if _SETTING.fullmatch(sentence.text, item.group_end, left.group_start):
            mention = SentenceMention(*left.mention.span, item.concept_id)
            return replace(left, mention=mention, entity_type=item.entity_type)
        break
    return left


def _list_pairs(sentence: Sentence) -> Iterator[tuple[SentenceItem, SentenceItem, set[str]]]:
    """Pairs of items that are close enough to be related, with the entity types of the items
    between their lists."""
    items = sentence.items
    if len(items) < 2:
        return
    # Once for each item: most stand in several pairs.
    meant = [is_meant(sentence.text, item) for item in items]
    for i, left in enumerate(items):
        if not meant[i]:
            continue
        for j in range(i + 1, len(items)):
            right = items[j]
            # Items come in order, so all that follow are even further apart.
            if right.group_start - left.group_end > _MAX_GAP:
                break
            if not _may_be_related(left, right):
                continue
            if meant[j]:
                yield left, right, _find_types_between(sentence.text, left, right, items[i + 1 : j])


def _find_types_between(
    sentence: str, left: SentenceItem, right: SentenceItem, items: Sequence[SentenceItem]
) -> set[str]:
    """The entity types of the ``items`` that stand between the two lists and separate them: what
    stands in brackets, or only describes the next name, does not."""
    start = left.group_end
    end = right.group_start
    asides = [match.span() for match in _ASIDE.finditer(sentence[start:end])] if items else []
    return {
        item.entity_type
        for item in items
        if start <= item.group_start
        and item.group_end <= end
        and not describes_next(sentence, item)
        and not any(
            first + start <= item.mention.start and item.mention.end <= last + start
            for first, last in asides
        )
    }


def _may_be_related(left: SentenceItem, right: SentenceItem) -> bool:
    """Whether the two may be related: a class is related only to its members."""
    if left.concept_id == right.concept_id or left.mention.end > right.mention.start:
        return False
    return not left.is_class and (not right.is_class or right.mention.end == left.group_end)


def _are_of_one_list(left: SentenceItem, right: SentenceItem) -> bool:
    """Whether the two are items of one list, or a member and its class."""
    return right.group_start < left.group_end


def _find_best_cue(
    sentence: str, left: SentenceItem, right: SentenceItem, types_between: set[str]
) -> _CueMatch | None:
    """The most confident cue for the pair; of equal ones the first of the table."""
    # A loose cue may reach over items of the right item's type, but over no others; a whole one
    # over none.
    if not types_between <= {right.entity_type}:
        return None
    if _are_of_one_list(left, right):
        start = left.mention.end
        end = right.mention.start
        first_start = left.mention.start
    else:
        start = left.group_end
        end = right.group_start
        first_start = left.group_start
    # Remarks in brackets would keep a pattern from matching all of the text between.
    between = sentence[start:end]
    if not _BRACKETS.isdisjoint(between):
        between = _ASIDE.sub("", between)
    best: _CueMatch | None = None
    for pattern in PATTERNS.get((left.entity_type, right.entity_type), ()):
        least = best.confidence if best else 0.0
        if pattern.most <= least:
            break
        is_whole = not types_between and pattern.whole.fullmatch(between) is not None
        is_loose = not is_whole and _is_loose_match(pattern, between)
        if not (is_whole or is_loose):
            continue
        confidence = pattern.cue.loose if is_loose else pattern.cue.confidence
        if confidence <= least or not _fits_surroundings(pattern, sentence, left, right):
            continue
        # The wording of a cue with words before the pair begins there, not at the left mention.
        if pattern.before is None:
            best = _CueMatch(pattern, confidence, is_loose, left.mention.start)
            continue
        before = pattern.before.search(sentence, max(0, first_start - _MAX_GAP), first_start)
        if before:
            best = _CueMatch(pattern, confidence, is_loose, before.start())
    return best


def _fits_surroundings(
    pattern: Pattern, sentence: str, left: SentenceItem, right: SentenceItem
) -> bool:
    """Whether the left mention, the lists of both mentions and the text behind them meet the cue's
    conditions."""
    cue = pattern.cue
    if _are_of_one_list(left, right):
        end = right.mention.end
    else:
        is_left_listed = left.mention.end != left.group_end
        is_right_listed = right.mention.start != right.group_start
        if (is_left_listed and not cue.left_list) or (is_right_listed and not cue.right_list):
            return False
        end = right.group_end
    if pattern.left is not None and not pattern.left.search(sentence, *left.mention.span):
        return False
    return pattern.after is None or pattern.after.match(sentence, end) is not None


def _is_loose_match(pattern: Pattern, between: str) -> bool:
    """Whether the words between contain a loose cue among other words that do not separate it from
    the two."""
    if pattern.core is None:
        return False
    core = pattern.core.search(between)
    return (
        core is not None
        and _LEADING_WORDS.fullmatch(between, 0, core.start()) is not None
        and _TRAILING_WORDS.fullmatch(between, core.end()) is not None
    )


def build_statement(
    sentence: Sentence, subject: str, predicate: str, obj: str, confidence: float
) -> RelationStatement:
    """A statement of a sentence about two entities, without its context. The subject of a symmetric
    relation is the smaller id."""
    if PREDICATES[predicate].symmetric:
        subject, obj = sorted((subject, obj))
    text = sentence.text
    return RelationStatement(
        subject=subject,
        predicate=predicate,
        object=obj,
        temporal="",
        spatial="",
        clinical="",
        confidence=round(confidence, _CONFIDENCE_DIGITS),
        start=sentence.offset,
        end=sentence.offset + len(text),
        reference="",
    )
