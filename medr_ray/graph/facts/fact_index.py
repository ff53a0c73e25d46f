"""All facts about the entities of a run, indexed by what a hop asks.

A hop is asked by (start, predicate, direction, qualifier); ``find_targets`` gives every entity that
answers it. The facts come from the merged graph and, for the entities in it, from the complete
disease records. A graph keeps only some relations of a disease, so a question that is unique within
the graph alone could have other correct answers in the index.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from medr_ray.core.records import Entity, Relation
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.published_reports import format_report, is_report
from medr_ray.knowledge.qualifiers import may_mean

# Hops whose targets are cached; the same few recur. An entry takes some hundred bytes.
_CACHED_HOPS = 200_000


@dataclass(frozen=True)
class IndexedFact:
    """A fact without its evidence: <subject, predicate, object> and a qualifier, clinical or of a
    report."""

    subject: str
    predicate: str
    object: str
    clinical: str


class CuratedStatement(NamedTuple):
    """That an authority, such as OMIM or Orphanet, has a value in its entry. ``is_risk`` where it
    calls a gene no more than a risk."""

    subject: str
    predicate: str
    object: str
    authority: str
    is_risk: bool = False


@dataclass(frozen=True)
class Clause:
    """A further fact stated of an entity, by a relation of the graph.

    With ``forward`` the entity is its subject and ``other`` its object. ``clinical`` is the
    qualifier that is printed, or "".
    """

    relation_id: str
    predicate: str
    forward: bool
    clinical: str
    other: str

    def may_hold_of(self, entity: str, facts: "FactIndex") -> bool:
        """Whether the fact may be true of ``entity`` as well."""
        subject, obj = (entity, self.other) if self.forward else (self.other, entity)
        return facts.may_state(subject, self.predicate, obj, self.clinical)


HopKey = tuple[str, bool, str]  # predicate, direction, start


class FactIndex:
    """The facts that touch an entity of ``entities``."""

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self.entities = entities
        self._targets: dict[HopKey, dict[str, list[str]]] = {}  # by qualifier
        # Qualifiers by (subject, predicate, object).
        self._qualifiers: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._facts: set[IndexedFact] = set()
        self._cached_targets: dict[Any, frozenset[str]] = {}
        # What each authority states, by hop.
        self._curated: dict[HopKey, dict[str, set[str]]] = {}

    def add_statement(self, statement: CuratedStatement) -> None:
        """Add what an authority states; ignored where it involves no entity of the run."""
        subject, predicate, obj, authority, is_risk = statement
        if subject not in self.entities and obj not in self.entities:
            return
        for forward, start, target in ((True, subject, obj), (False, obj, subject)):
            by_authority = self._curated.setdefault((predicate, forward, start), {})
            # A risk is a value like no other, so that no authority agrees with it.
            by_authority.setdefault(authority, set()).add(f"risk:{target}" if is_risk else target)

    def values_by_authority(
        self, start: str, predicate: str, forward: bool
    ) -> Mapping[str, Collection[str]]:
        """The entities at the other end of a hop that each authority states."""
        return self._curated.get((predicate, forward, start), {})

    def add(self, fact: IndexedFact) -> None:
        """Add a fact; one that involves no entity of the run is ignored."""
        if fact.subject not in self.entities and fact.object not in self.entities:
            return
        if fact in self._facts:
            return
        symmetric = PREDICATES[fact.predicate].symmetric
        for forward, entity, target in (
            (True, fact.subject, fact.object),
            (False, fact.object, fact.subject),
        ):
            if forward or symmetric:
                key = (entity, fact.predicate, target)
                self._qualifiers[key] = (*self._qualifiers.get(key, ()), fact.clinical)
            # A symmetric fact can be asked from either end in either direction.
            for direction in (True, False) if symmetric else (forward,):
                self._add_target((fact.predicate, direction, entity), fact.clinical, target)
        self._facts.add(fact)
        self._cached_targets.clear()

    def _add_target(self, key: HopKey, qualifier: str, target: str) -> None:
        self._targets.setdefault(key, {}).setdefault(qualifier, []).append(target)

    def find_targets(
        self,
        start: str,
        predicate: str,
        forward: bool,
        qualifier: str,
        clauses: tuple[Clause, ...] = (),
    ) -> frozenset[str]:
        """Every entity at the other end of such a hop.

        With a qualifier, only where it may be meant; with ``clauses``, only those that all of them
        may be true of.
        """
        key = (start, predicate, forward, qualifier, clauses)
        targets = self._cached_targets.get(key)
        if targets is None:
            if len(self._cached_targets) >= _CACHED_HOPS:
                # Cleared as a whole: an order of use would cost more than computing a few again.
                self._cached_targets.clear()
            targets = frozenset(
                self._compute_targets(start, predicate, forward, qualifier, clauses)
            )
            self._cached_targets[key] = targets
        return targets

    def _compute_targets(
        self, start: str, predicate: str, forward: bool, qualifier: str, clauses: tuple[Clause, ...]
    ) -> Iterable[str]:
        if clauses:
            return (
                target
                for target in self.find_targets(start, predicate, forward, qualifier)
                if all(clause.may_hold_of(target, self) for clause in clauses)
            )
        by_qualifier = self._targets.get((predicate, forward, start), {})
        # Equal qualifiers need no comparison of meanings. Reports are an exception: what is stated
        # without one may be in it as well.
        if qualifier in by_qualifier and not is_report(qualifier):
            return by_qualifier[qualifier]
        return (
            target
            for clinical, targets in by_qualifier.items()
            if may_mean(qualifier, clinical)
            for target in targets
        )

    def may_state(self, subject: str, predicate: str, obj: str, qualifier: str) -> bool:
        """Whether a fact states the triple with this qualifier, or may mean it."""
        qualifiers = self._qualifiers.get((subject, predicate, obj), ())
        if qualifier in qualifiers:
            return True
        return any(may_mean(qualifier, clinical) for clinical in qualifiers)


def qualifiers_of(relation: Relation) -> list[str]:
    """The qualifiers that the relation is stated with, sorted: for evidence from an abstract the
    report ("reported in 1990 in Chest"), for other evidence the clinical qualifier."""
    qualifiers = {
        format_report(evidence.year, evidence.journal) or relation.clinical
        for evidence in relation.evidence
    }
    return sorted(qualifiers or {relation.clinical})


def is_stated_in(relation: Relation, sources: Collection[str]) -> bool:
    """Whether a searchable passage of ``sources`` states the relation: a sentence of an abstract,
    or a line of a record."""
    return any(
        evidence.end > evidence.start and evidence.source in sources
        for evidence in relation.evidence
    )


def build_fact_index(
    entities: Mapping[str, Entity],
    relations: Iterable[Relation],
    facts: Iterable[IndexedFact] = (),
    statements: Iterable[CuratedStatement] = (),
) -> FactIndex:
    """An index over the merged graph, further facts, and what authorities state."""
    index = FactIndex(entities)
    for relation in relations:
        for qualifier in qualifiers_of(relation):
            index.add(IndexedFact(relation.subject, relation.predicate, relation.object, qualifier))
    for fact in facts:
        index.add(fact)
    for statement in statements:
        index.add_statement(statement)
    return index


def read_ontology_facts() -> Iterator[IndexedFact]:
    """Every fact of the HPO annotations, so that a question is unique among the disease records and
    not only within the graph."""
    for disease in load_hpo().diseases.values():
        for fact in disease.facts:
            yield IndexedFact(disease.entity_id, fact.predicate, fact.object_id, fact.clinical)
