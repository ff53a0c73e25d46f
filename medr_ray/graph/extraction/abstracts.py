"""Reads an abstract: statements that cues give, and ties between entities that no cue connects.

Both are computed from the given mentions and types alone, so a benchmark can use the annotators'
entities. A sentence that begins with "this disorder" is read as one about the disease of the title,
where the title names exactly one. The same applies to "the drug" and "this gene".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.graph.extraction.contexts import DocumentContext, find_place, find_time
from medr_ray.graph.extraction.cues import build_statement, read_sentence
from medr_ray.graph.extraction.sentences import (
    ConceptMention,
    Sentence,
    SentenceMention,
    build_sentences,
    group_mentions,
)
from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.graph.extraction.strength import (
    MIN_INDUCED,
    MIN_RELATED_IF_MATCHED,
    Tie,
    compute_ties,
)
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PREDICATES
from medr_ray.retrieval.snippets import Span

# Factor on the strength of a tie: a pair without a cue stays below what a graph keeps by default.
WEAK_CONFIDENCE = 0.49
_REFERENCE_FACTOR = 0.8  # for a sentence about "this disorder", which may mean another one

_NOUNS = {
    DISEASE: "disease|disorder|syndrome|condition|illness",
    DRUG: "drug|agent|compound",
    GENE: "gene|protein",
}
_REFERENCES = {
    kind: re.compile(
        r"(?:[A-Z][A-Z ]+: )?(?P<noun>(?:This|The) (?:(?:rare|genetic|inherited) )?"
        rf"(?:{nouns}))\b(?! of\b)"
    )
    for kind, nouns in _NOUNS.items()
}
_WEAK_PREDICATE_BY_TYPES: dict[tuple[str, str], str] = {
    (predicate.subject_type, predicate.object_type): predicate.name
    for predicate in PREDICATES.values()
    if predicate.assumed_when_tied
}
_INDUCED_PREDICATE = {"treated_with": "induced_by", "sign_treated_with": "sign_induced_by"}


@dataclass(frozen=True)
class Abstract:
    """A text as sentences, with the type of each entity and the statements that the cues give."""

    sentences: tuple[Sentence, ...]
    types: Mapping[str, str]
    statements: tuple[RelationStatement, ...]

    @classmethod
    def from_mentions(
        cls,
        text: str,
        spans: Sequence[Span],
        mentions: Iterable[ConceptMention],
        types: Mapping[str, str],
    ) -> "Abstract":
        """Read a text with its sentences [start, end) and its mentions of entities, both in
        characters of the text.

        ``types`` has the type of each concept, in the terms of ``knowledge.predicates``. Mentions
        of concepts without a type are left out.
        """
        sentences = build_sentences(text, spans, mentions, types)
        statements = add_contexts(sentences, list(read_statements(sentences, types)))
        return cls(tuple(sentences), types, tuple(statements))

    def compute_ties(self) -> list[Tie]:
        """The ties between any two of its concepts, related or not."""
        return compute_ties(self.sentences, self.statements)


def read_statements(
    sentences: Sequence[Sentence], types: Mapping[str, str]
) -> Iterator[RelationStatement]:
    """The statements that the cues give for each sentence."""
    title_subjects = _find_title_subjects(sentences)
    for sentence in sentences:
        yield from read_sentence(sentence)
        for entity_type, subject in title_subjects.items():
            yield from _read_reference(sentence, entity_type, subject, types)


def add_contexts(
    sentences: Sequence[Sentence], statements: Sequence[RelationStatement]
) -> list[RelationStatement]:
    """The statements with when, where, in whom and how the document says that they hold."""
    if not statements:
        return []
    context = DocumentContext(sentences)
    by_offset = {sentence.offset: sentence for sentence in sentences}
    described = []
    for statement in statements:
        sentence = by_offset[statement.start]
        described.append(
            replace(
                statement,
                temporal=find_time(sentence.text),
                spatial=find_place(sentence.text),
                clinical=context.describe(
                    sentence, statement.subject, statement.predicate, statement.object
                ),
            )
        )
    return described


def _find_title_subjects(sentences: Sequence[Sentence]) -> dict[str, str]:
    """The concept of each type that the first sentence names, where it names exactly one."""
    title_items = sentences[0].items if sentences else ()
    subjects = {}
    for entity_type in _NOUNS:
        concept_ids = {item.concept_id for item in title_items if item.entity_type == entity_type}
        if len(concept_ids) == 1:
            subjects[entity_type] = next(iter(concept_ids))
    return subjects


def _read_reference(
    sentence: Sentence, entity_type: str, subject: str, types: Mapping[str, str]
) -> list[RelationStatement]:
    """The statements of a sentence that begins by referring to the subject without its name."""
    reference = _REFERENCES[entity_type].match(sentence.text)
    # A sentence that names the subject as well is read by its name.
    if reference is None or any(item.concept_id == subject for item in sentence.items):
        return []
    start, end = reference.span("noun")
    mentions = [item.mention for item in sentence.items if item.mention.start >= end]
    # The sentence is read as if the noun ("disorder") were the subject's name.
    items = group_mentions(sentence.text, [SentenceMention(start, end, subject), *mentions], types)
    named_sentence = Sentence(sentence.text, sentence.offset, items)
    return [
        statement
        for statement in read_sentence(named_sentence, _REFERENCE_FACTOR)
        if subject in (statement.subject, statement.object)
    ]


def infer_weak_statements(abstract: Abstract) -> list[RelationStatement]:
    """The likeliest relation of each pair that is strongly tied without a cue.

    It quotes the first sentence that names both. Its confidence is ``WEAK_CONFIDENCE`` times the
    strength of the tie.
    """
    weak_statements = []
    stated_pairs = {
        frozenset((statement.subject, statement.object)) for statement in abstract.statements
    }
    for tie in abstract.compute_ties():
        likeliest = _find_likeliest_relation(tie, abstract.types)
        is_stated = frozenset((tie.first, tie.second)) in stated_pairs
        # Without a common sentence there is nothing to quote.
        if likeliest is None or is_stated or not tie.sentences:
            continue
        subject, predicate, obj, strength = likeliest
        sentence = abstract.sentences[tie.sentences[0]]
        weak_statements.append(
            build_statement(sentence, subject, predicate, obj, strength * WEAK_CONFIDENCE)
        )
    return add_contexts(abstract.sentences, weak_statements)


def _find_likeliest_relation(
    tie: Tie, types: Mapping[str, str]
) -> tuple[str, str, str, float] | None:
    """Subject, predicate, object and strength of the relation that the tie most likely means; None
    where the tie is too weak."""
    # The types decide which of the two is the subject.
    for subject, obj in ((tie.first, tie.second), (tie.second, tie.first)):
        predicate = _WEAK_PREDICATE_BY_TYPES.get((types[subject], types[obj]))
        if predicate is None:
            continue
        induced_predicate = _INDUCED_PREDICATE.get(predicate)
        if induced_predicate and tie.induced is not None and tie.induced >= MIN_INDUCED:
            return subject, induced_predicate, obj, tie.induced
        if tie.related >= MIN_RELATED_IF_MATCHED:
            return subject, predicate, obj, tie.related
    return None
