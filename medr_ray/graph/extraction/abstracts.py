"""What an abstract says of the entities it names: statements by cues, and ties between entities no
cue connects.

Both come from the given mentions and types alone, so a benchmark can ask with the annotators'
entities. A sentence that begins with "this disorder" speaks of the disease that the title names,
where that is one; "the drug" and "this gene" likewise.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.graph.extraction.assertion import section_factors
from medr_ray.graph.extraction.cues import read_sentence, stated
from medr_ray.graph.extraction.sentences import Named, Place, Sentence, items, sentences_of
from medr_ray.graph.extraction.statements import Statement
from medr_ray.graph.extraction.strength import FOUND_LEAST, INDUCED_LEAST, Tie, ties
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PREDICATES
from medr_ray.retrieval.snippets import Span

_NOUNS = {
    DISEASE: "disease|disorder|syndrome|condition|illness",
    DRUG: "drug|agent|compound",
    GENE: "gene|protein",
}
_REFERENCES = {
    kind: re.compile(
        rf"(?:[A-Z][A-Z ]+: )?(?P<noun>(?:This|The) (?:(?:rare|genetic|inherited) )?(?:{nouns}))\b(?! of\b)"
    )
    for kind, nouns in _NOUNS.items()
}
_REFERRED = 0.8  # factor on what is said of "this disorder" in place of a name
WEAK = (
    0.49  # of the strength of a tie: a pair without a cue stays below what a graph keeps by default
)
_SURE = 0.5  # confidence from which a sentence states a relation
_WEAK_PREDICATES = (
    "associated_gene",
    "sign_associated_gene",
    "treated_with",
    "sign_treated_with",
    "presents_with",
    "acts_on",
    "gene_interaction",
    "combined_with",
)
_BY_TYPES: dict[tuple[str, str], str] = {
    (PREDICATES[name].subject_type, PREDICATES[name].object_type): name for name in _WEAK_PREDICATES
}
_INDUCED = {"treated_with": "induced_by", "sign_treated_with": "sign_induced_by"}


@dataclass(frozen=True)
class Abstract:
    """A text by its sentences, with the type of each entity and what the cues read."""

    sentences: tuple[Sentence, ...]
    types: Mapping[str, str]
    statements: tuple[Statement, ...]

    @classmethod
    def of(
        cls, text: str, spans: Sequence[Span], mentions: Iterable[Named], types: Mapping[str, str]
    ) -> "Abstract":
        """Read a text by its sentences [start, end) and its mentions of entities, both counted in
        characters of the text. ``types`` holds the type of each concept, in the terms of
        ``knowledge.predicates``; mentions of others are left out."""
        sentences = sentences_of(text, spans, mentions, types)
        read = read_statements(sentences, section_factors(text, spans), types)
        return cls(tuple(sentences), types, tuple(_without_doubtful(read)))

    def ties(self) -> list[Tie]:
        """The ties between any two of its concepts, related or not."""
        return ties(self.sentences, self.statements)


def read_statements(
    sentences: Sequence[Sentence], sections: Sequence[float], types: Mapping[str, str]
) -> Iterator[Statement]:
    """What the cues read in each sentence; ``sections`` are the factors of the sections they stand
    in."""
    subjects = _subjects(sentences)
    for sentence, section in zip(sentences, sections, strict=True):
        yield from read_sentence(sentence, section)
        for kind, subject in subjects.items():
            yield from _said_of_subject(sentence, section * _REFERRED, kind, subject, types)


def _without_doubtful(statements: Iterable[Statement]) -> list[Statement]:
    """A sentence that doubts a relation is no evidence for it beside one that states it."""
    read = list(statements)
    stated_by = {_triple(one) for one in read if one.confidence >= _SURE}
    return [one for one in read if one.confidence >= _SURE or _triple(one) not in stated_by]


def _triple(one: Statement) -> tuple[str, str, str]:
    return one.subject, one.predicate, one.object


def _subjects(sentences: Sequence[Sentence]) -> dict[str, str]:
    """The concept of each type that the first sentence names, where it is one."""
    title = sentences[0].items if sentences else ()
    named = {kind: {one.concept_id for one in title if one.kind == kind} for kind in _NOUNS}
    return {kind: next(iter(ids)) for kind, ids in named.items() if len(ids) == 1}


def _said_of_subject(
    sentence: Sentence, factor: float, kind: str, subject: str, types: Mapping[str, str]
) -> list[Statement]:
    """Statements of a sentence that begins by referring to the subject without its name."""
    reference = _REFERENCES[kind].match(sentence.text)
    if reference is None or any(one.concept_id == subject for one in sentence.items):
        return []
    start, end = reference.span("noun")
    places = [one.mention for one in sentence.items if one.mention.start >= end]
    named = Sentence(
        sentence.text,
        sentence.offset,
        items(sentence.text, [Place(start, end, subject), *places], types),
    )
    return [one for one in read_sentence(named, factor) if subject in (one.subject, one.object)]


def weak_statements(abstract: Abstract) -> Iterator[Statement]:
    """The likeliest relation of each pair that is strongly tied without a cue, in the first
    sentence that names both; its confidence is ``WEAK`` times the strength of the tie."""
    said = {frozenset((one.subject, one.object)) for one in abstract.statements}
    for tie in abstract.ties():
        likeliest = _likeliest(tie, abstract.types)
        if (
            likeliest is not None
            and tie.sentences
            and frozenset((tie.first, tie.second)) not in said
        ):
            subject, predicate, obj, strength = likeliest
            yield stated(
                abstract.sentences[tie.sentences[0]], subject, predicate, obj, strength * WEAK
            )


def _likeliest(tie: Tie, types: Mapping[str, str]) -> tuple[str, str, str, float] | None:
    """Subject, predicate, object and strength of what the tie most likely means; None for a loose
    one."""
    for subject, obj in ((tie.first, tie.second), (tie.second, tie.first)):
        predicate = _BY_TYPES.get((types[subject], types[obj]))
        if predicate in _INDUCED and tie.induced is not None and tie.induced >= INDUCED_LEAST:
            return subject, _INDUCED[predicate], obj, tie.induced
        if predicate is not None and tie.related >= FOUND_LEAST:
            return subject, predicate, obj, tie.related
    return None
