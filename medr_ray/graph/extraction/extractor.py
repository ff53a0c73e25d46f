"""Relations out of documents: the protocol, and the backend made of rules.

What holds for every extractor: both ends are concepts of the vocabulary and have the types the
predicate asks for; every relation quotes a sentence of the document with its offsets; a retracted
document yields nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from medr_ray.core.records import Evidence, Relation, content_id
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.abstracts import WEAK, Abstract, weak_statements
from medr_ray.graph.extraction.disease_records import read_record
from medr_ray.graph.extraction.statements import Statement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.authority import authority
from medr_ray.retrieval.documents import HPO, Document


@dataclass(frozen=True)
class Extraction:
    """What a document says: relations, and the ids of the entities it names."""

    entities: tuple[str, ...]
    relations: tuple[Relation, ...]


class RelationExtractor(Protocol):
    """Reads relations out of a document."""

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        """The document's relations, only those that touch an entity of ``focus`` where it is
        given."""
        ...


class RulesExtractor:
    """Disease records by their wording, abstracts by cue patterns between dictionary entities of
    one sentence.

    Entities that a sentence names without a cue, but that the document ties strongly, are weak
    relations: their confidence stays below 0.5, and where ``min_confidence`` is no less they are
    not made at all.
    """

    name = "rules"

    def __init__(
        self, vocabulary: Vocabulary, matcher: Matcher, hpo: Hpo, min_confidence: float = 0.0
    ) -> None:
        self._vocabulary, self._matcher, self._hpo = vocabulary, matcher, hpo
        self._min_confidence = min_confidence

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        if is_withdrawn(document):
            return Extraction((), ())
        if document.source == HPO:
            statements = read_record(document, self._vocabulary, self._hpo)
            entities = {end for one in statements for end in (one.subject, one.object)}
        else:
            entities, statements = self._read_abstract(document)
        relations = [
            one
            for one in relations_of(document, statements, self._vocabulary, self.name)
            if one.confidence >= self._min_confidence
        ]
        return Extraction(tuple(sorted(entities)), focused(relations, focus))

    def _read_abstract(self, document: Document) -> tuple[set[str], list[Statement]]:
        """The known entities that an abstract names, and what it says of them."""
        found = self._matcher.find(
            document.text
        )  # at once: an abbreviation is defined in one sentence for all
        types = {
            one.concept_id: self._vocabulary.type_of(one.concept_id)
            for one in found
            if one.concept_id in self._vocabulary
        }
        abstract = Abstract.of(document.text, document.spans, found, types)
        weak = weak_statements(abstract) if self._min_confidence < WEAK else ()
        return set(types), [*abstract.statements, *weak]


def is_withdrawn(document: Document) -> bool:
    """Retracted, or a notice about a retraction: no evidence either way."""
    return authority(document.source, document.publication_types, document.retracted) == 0.0


def focused(relations: Iterable[Relation], focus: Collection[str] | None) -> tuple[Relation, ...]:
    return tuple(
        one for one in relations if focus is None or one.subject in focus or one.object in focus
    )


def relation_id(subject: str, predicate: str, obj: str, clinical: str) -> str:
    """Findings with different qualifiers are different relations."""
    return content_id("rel", subject, predicate, obj, clinical)


def relations_of(
    document: Document, statements: Iterable[Statement], vocabulary: Vocabulary, extractor: str
) -> list[Relation]:
    """Well-typed relations with the document as evidence, one per id, sorted by id."""
    found: dict[str, Relation] = {}
    for one in statements:
        if one.subject == one.object or not is_well_typed(one, vocabulary):
            continue
        evidence = Evidence(
            document.source,
            document.document_id,
            document.text[one.start : one.end],
            one.start,
            one.end,
            one.reference,
            document.year,
            "" if document.source == HPO else document.journal,
        )
        key = relation_id(one.subject, one.predicate, one.object, one.clinical)
        relation = Relation(
            key,
            one.subject,
            one.predicate,
            one.object,
            one.temporal,
            one.spatial,
            one.clinical,
            one.confidence,
            extractor,
            (evidence,),
        )
        found[key] = merge_relations(found[key], relation) if key in found else relation
    return [found[key] for key in sorted(found)]


def is_well_typed(one: Statement | Relation, vocabulary: Vocabulary) -> bool:
    """Whether both ends are known and have the predicate's types."""
    predicate = PREDICATES[one.predicate]
    return (
        one.subject in vocabulary
        and one.object in vocabulary
        and vocabulary.type_of(one.subject) == predicate.subject_type
        and vocabulary.type_of(one.object) == predicate.object_type
    )


def merge_relations(one: Relation, other: Relation) -> Relation:
    """The same relation from two places: the more confident one, with the evidence of both."""
    best = min(one, other, key=lambda r: (-r.confidence, r.extractor, r.temporal, r.spatial))
    evidence = sorted(
        {*one.evidence, *other.evidence}, key=lambda e: (e.document_id, e.start, e.end, e.reference)
    )
    return replace(best, evidence=tuple(evidence))
