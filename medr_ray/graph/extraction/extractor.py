"""Relations from documents: the protocol of extractors, and the extractor that works by rules.

Guaranteed by every extractor: both ends are concepts of the vocabulary and have the types that the
predicate requires. Every relation quotes a sentence of the document with its offsets. A retracted
document yields nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from medr_ray.core.records import Evidence, Relation, content_id
from medr_ray.entities.generality import find_generality_reason
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.abstracts import (
    WEAK_CONFIDENCE,
    Abstract,
    infer_weak_statements,
)
from medr_ray.graph.extraction.disease_records import read_record
from medr_ray.graph.extraction.mention_meaning import DISEASES
from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.graph.extraction.symbols import drop_foreign_symbols
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.qualifiers import find_restriction
from medr_ray.retrieval.authority import authority_level
from medr_ray.retrieval.documents import HPO, Document

_BROADER = "subtype_of"
_OPPOSITES = {
    "treated_with": "induced_by",
    "induced_by": "treated_with",
    "sign_treated_with": "sign_induced_by",
    "sign_induced_by": "sign_treated_with",
}


@dataclass(frozen=True)
class Extraction:
    """The relations that a document states, and the ids of the entities it names."""

    entities: tuple[str, ...]
    relations: tuple[Relation, ...]


class RelationExtractor(Protocol):
    """Reads the relations of a document."""

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        """The document's relations, only those that touch an entity of ``focus`` where it is
        given."""
        ...


class RulesExtractor:
    """Takes the annotations of disease records, and reads abstracts by cue patterns between the
    entities of one sentence.

    Two entities that no cue connects but that the document ties strongly give a weak relation. Its
    confidence stays below 0.5, so weak relations are only made where ``min_confidence`` is lower.
    """

    name = "rules"

    def __init__(
        self, vocabulary: Vocabulary, matcher: Matcher, hpo: Hpo, min_confidence: float = 0.0
    ) -> None:
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._hpo = hpo
        self._min_confidence = min_confidence

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        if is_withdrawn(document):
            return Extraction((), ())
        if document.source == HPO:
            # A record is not matched: its entities are those of its annotations.
            statements = read_record(document, self._vocabulary, self._hpo)
            entities = {statement.subject for statement in statements}
            entities |= {statement.object for statement in statements}
        else:
            entities, statements = self._read_abstract(document)
        # The floor comes after merging: a relation counts by its most confident statement.
        relations = [
            relation
            for relation in drop_contradictory(
                build_relations(document, statements, self._vocabulary, self.name)
            )
            if relation.confidence >= self._min_confidence
            and (document.source == HPO or not self._is_vague(relation))
        ]
        return Extraction(tuple(sorted(entities)), filter_by_focus(relations, focus))

    def _is_vague(self, relation: Relation) -> bool:
        """Whether an end names a whole group of diseases or no condition at all ("Pathologic
        Processes"): in a text that is mostly what is left of a longer name. A broader disease may
        be a group."""
        ends = [relation.subject]
        if relation.predicate != _BROADER:
            ends.append(relation.object)
        concepts = (self._vocabulary.concepts.get(end) for end in ends)
        return any(
            concept is not None
            and concept.entity_type in DISEASES
            and find_generality_reason(concept) != ""
            for concept in concepts
        )

    def _read_abstract(self, document: Document) -> tuple[set[str], list[RelationStatement]]:
        """The entities of the vocabulary that an abstract names, and its statements about them."""
        # The whole text at once, because an abbreviation defined in one sentence is used in others.
        mentions = self._matcher.find_mentions(document.text)
        types = {
            mention.concept_id: self._vocabulary.type_of(mention.concept_id)
            for mention in mentions
            if mention.concept_id in self._vocabulary
        }
        mentions = drop_foreign_symbols(document.text, mentions, types)
        abstract = Abstract.from_mentions(document.text, document.spans, mentions, types)
        statements = list(abstract.statements)
        if self._min_confidence < WEAK_CONFIDENCE:
            statements += infer_weak_statements(abstract)
        return set(types), statements


def is_withdrawn(document: Document) -> bool:
    """Whether the document is retracted or a notice about a retraction, and so no evidence."""
    return authority_level(document.source, document.publication_types, document.retracted) == 0.0


def filter_by_focus(
    relations: Iterable[Relation], focus: Collection[str] | None
) -> tuple[Relation, ...]:
    """The relations that touch an entity of ``focus``; all of them where it is None."""
    if focus is None:
        return tuple(relations)
    return tuple(
        relation for relation in relations if relation.subject in focus or relation.object in focus
    )


def build_relation_id(subject: str, predicate: str, obj: str, clinical: str) -> str:
    """The id of a relation. With other shares of patients, or in rats and not in humans, it is
    another relation; with another dose it is not."""
    return content_id("rel", subject, predicate, obj, find_restriction(clinical))


def build_relations(
    document: Document,
    statements: Iterable[RelationStatement],
    vocabulary: Vocabulary,
    extractor: str,
) -> list[Relation]:
    """Well-typed relations with the document as evidence, one per id, sorted by id."""
    relations: dict[str, Relation] = {}
    for statement in statements:
        # Two names of one sentence may mean the same concept, which is not related to itself.
        if statement.subject == statement.object or not is_well_typed(statement, vocabulary):
            continue
        relation = _build_relation(document, statement, extractor)
        key = relation.relation_id
        if key in relations:
            relation = merge_relations(relations[key], relation)
        relations[key] = relation
    return [relations[key] for key in sorted(relations)]


def drop_contradictory(relations: Iterable[Relation]) -> list[Relation]:
    """Leave out the relations by rules of a pair that is both treated with and induced by the same
    drug: rules cannot tell which is meant. What a model read, which judges each sentence, stays."""
    all_relations = list(relations)
    predicates_by_pair: dict[tuple[str, str], set[str]] = {}
    for relation in all_relations:
        pair = relation.subject, relation.object
        predicates_by_pair.setdefault(pair, set()).add(relation.predicate)
    return [
        relation
        for relation in all_relations
        if relation.extractor != RulesExtractor.name
        or _OPPOSITES.get(relation.predicate)
        not in predicates_by_pair[relation.subject, relation.object]
    ]


def _build_relation(document: Document, statement: RelationStatement, extractor: str) -> Relation:
    evidence = Evidence(
        document.source,
        document.document_id,
        document.text[statement.start : statement.end],
        statement.start,
        statement.end,
        statement.reference,
        document.year,
        # A journal makes the evidence a report (``fact_index.qualifiers_of``); a record is none.
        "" if document.source == HPO else document.journal,
    )
    key = build_relation_id(
        statement.subject, statement.predicate, statement.object, statement.clinical
    )
    return Relation(
        key,
        statement.subject,
        statement.predicate,
        statement.object,
        statement.temporal,
        statement.spatial,
        statement.clinical,
        statement.confidence,
        extractor,
        (evidence,),
    )


def is_well_typed(relation: RelationStatement | Relation, vocabulary: Vocabulary) -> bool:
    """Whether both ends are in the vocabulary and have types that the predicate allows."""
    predicate = PREDICATES[relation.predicate]
    return (
        relation.subject in vocabulary
        and relation.object in vocabulary
        and vocabulary.type_of(relation.subject) == predicate.subject_type
        and vocabulary.type_of(relation.object) in predicate.object_types
    )


def _order_evidence(evidence: Evidence) -> tuple[Any, ...]:
    """Passages that stand in a document come before what only a record states."""
    return (
        evidence.start == evidence.end,
        evidence.document_id,
        evidence.start,
        evidence.end,
        evidence.reference,
        evidence.source,
        evidence.sentence,
    )


def merge_relations(first: Relation, second: Relation) -> Relation:
    """The more confident of two statements of one relation, with the evidence of both: first the
    passage that it was read from, which its context is of."""
    # The other fields only break ties, so that the result does not depend on the order.
    best = min(
        first,
        second,
        key=lambda relation: (
            -relation.confidence,
            relation.extractor,
            relation.temporal,
            relation.spatial,
            relation.clinical,
            _order_evidence(relation.evidence[0]),
        ),
    )
    lead = best.evidence[0]
    # A set, because both may quote the same sentence.
    evidence = sorted({*first.evidence, *second.evidence}, key=_order_evidence)
    if lead.start < lead.end:
        evidence.remove(lead)
        evidence.insert(0, lead)
    facts = tuple(sorted({*first.facts, *second.facts}))
    return replace(best, evidence=tuple(evidence), facts=facts)
