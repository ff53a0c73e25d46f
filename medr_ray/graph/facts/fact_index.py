"""Everything known about the entities of a run, indexed by what a hop asks.

A hop is asked by (known entity, predicate, direction, qualifier); ``ends`` gives every entity that
answers it. Facts come from the merged graph and, for entities it holds, from the whole disease
records: a graph keeps only some relations of a disease, and a question that is unique in that part
alone would have other right answers in the index.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from medr_ray.core.records import Entity, Relation
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.published_reports import is_report, reported
from medr_ray.knowledge.qualifiers import may_mean

_REMEMBERED = (
    200_000  # hops with their ends: the same few are asked again and again, some hundred bytes each
)


@dataclass(frozen=True)
class Statement:
    """A fact without its evidence: <subject, predicate, object> and a qualifier, clinical or of a
    report."""

    subject: str
    predicate: str
    object: str
    clinical: str


@dataclass(frozen=True)
class Clause:
    """A further fact told of an entity, by a relation of the graph: with ``forward`` the entity is
    its subject and ``other`` its object. ``clinical`` is the qualifier that is printed, or ""."""

    relation_id: str
    predicate: str
    forward: bool
    clinical: str
    other: str

    def holds(self, entity: str, facts: "FactIndex") -> bool:
        """Whether the fact may hold of ``entity`` as well."""
        subject, obj = (entity, self.other) if self.forward else (self.other, entity)
        return facts.states(subject, self.predicate, obj, self.clinical)


Asked = tuple[str, bool, str]  # predicate, direction, known entity


@dataclass
class FactIndex:
    """The facts that touch an entity of ``entities``."""

    entities: Mapping[str, Entity]
    _ends: dict[Asked, dict[str, list[str]]] = field(default_factory=dict)  # by qualifier
    _stated: dict[tuple[str, str, str], tuple[str, ...]] = field(
        default_factory=dict
    )  # subject, predicate, object
    _linked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _about: dict[str, set[Statement]] = field(default_factory=lambda: defaultdict(set))
    _answers: dict[Any, frozenset[str]] = field(
        default_factory=dict
    )  # those of the last hops asked
    _known: dict[tuple[str, bool], dict[str, dict[str, None]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def add(self, one: Statement) -> None:
        """Add a fact; facts that touch no entity of the run are of no use and are passed over."""
        if one.subject not in self.entities and one.object not in self.entities:
            return
        if one in self._about[one.subject]:
            return
        for forward, known, other in (
            (True, one.subject, one.object),
            (False, one.object, one.subject),
        ):
            key = (known, one.predicate, other)
            if forward or PREDICATES[one.predicate].symmetric:
                self._stated[key] = (*self._stated.get(key, ()), one.clinical)
            for direction in (True, False) if PREDICATES[one.predicate].symmetric else (forward,):
                self._add_end((one.predicate, direction, known), one.clinical, other)
            self._linked[known].add(other)
        self._about[one.subject].add(one)
        self._answers.clear()

    def _add_end(self, asked: Asked, clinical: str, other: str) -> None:
        self._ends.setdefault(asked, {}).setdefault(clinical, []).append(other)
        predicate, forward, known = asked
        self._known[predicate, forward].setdefault(clinical, {})[known] = None

    def ends(
        self,
        known: str,
        predicate: str,
        forward: bool,
        qualifier: str,
        told: tuple[Clause, ...] = (),
    ) -> frozenset[str]:
        """Every entity at the other end of such a hop; with a qualifier, only where it may be
        meant, and of these only such as all that is ``told`` may hold of."""
        asked = (known, predicate, forward, qualifier, told)
        found = self._answers.get(asked)
        if found is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            found = self._answers[asked] = frozenset(
                self._find(known, predicate, forward, qualifier, told)
            )
        return found

    def _find(
        self, known: str, predicate: str, forward: bool, qualifier: str, told: tuple[Clause, ...]
    ) -> Iterable[str]:
        if told:
            return (
                end
                for end in self.ends(known, predicate, forward, qualifier)
                if all(clause.holds(end, self) for clause in told)
            )
        found = self._ends.get((predicate, forward, known), {})
        if qualifier in found and not is_report(
            qualifier
        ):  # the same words; else a comparison or no qualifier
            return found[qualifier]
        return (
            end for clinical, ends in found.items() if may_mean(qualifier, clinical) for end in ends
        )

    def states(self, subject: str, predicate: str, obj: str, qualifier: str) -> bool:
        """Whether a fact says so, or may, by the qualifier."""
        stated = self._stated.get((subject, predicate, obj), ())
        return qualifier in stated or any(may_mean(qualifier, clinical) for clinical in stated)

    def qualifiers(self, known: str, predicate: str, forward: bool, end: str) -> list[str]:
        """The qualifiers of the facts that say so of ``known`` and ``end``, sorted."""
        return sorted(
            self._stated.get((known, predicate, end) if forward else (end, predicate, known), ())
        )

    def askable(self, predicate: str, forward: bool, qualifier: str) -> Iterator[str]:
        """Every entity such a hop can be asked of, some more than once, in the order they were
        added."""
        by_qualifier = self._known.get((predicate, forward), {})
        exact = by_qualifier.get(qualifier)
        if exact is not None and not is_report(qualifier):
            yield from exact
            return
        for clinical, known in by_qualifier.items():
            if may_mean(qualifier, clinical):
                yield from known

    def linked(self, one: str, other: str) -> bool:
        """Whether any fact connects the two, in whichever direction."""
        return other in self._linked.get(one, ())

    def about(self, subject: str) -> list[Statement]:
        """The facts that have ``subject`` as their subject, in a fixed order."""
        return sorted(
            self._about.get(subject, ()), key=lambda s: (s.predicate, s.object, s.clinical)
        )


def qualifiers_of(relation: Relation) -> list[str]:
    """What the relation is stated with, sorted: the reports that abstracts are, its clinical
    qualifier elsewhere."""
    return sorted(
        {reported(one.year, one.journal) or relation.clinical for one in relation.evidence}
        or {relation.clinical}
    )


def is_stated_in(relation: Relation, sources: Collection[str]) -> bool:
    """Whether one of ``sources`` has a sentence that states the relation."""
    return any(
        one.sentence and one.document_id and one.source in sources for one in relation.evidence
    )


def build_fact_index(
    entities: Mapping[str, Entity],
    relations: Iterable[Relation],
    statements: Iterable[Statement] = (),
) -> FactIndex:
    """An index over the merged graph and further statements."""
    index = FactIndex(entities)
    for relation in relations:
        for qualifier in qualifiers_of(relation):
            index.add(Statement(relation.subject, relation.predicate, relation.object, qualifier))
    for statement in statements:
        index.add(statement)
    return index


def ontology_statements() -> Iterable[Statement]:
    """Every fact of the HPO annotations, so that uniqueness holds in the disease records and not
    only in the graph."""
    for disease in load_hpo().diseases.values():
        for fact in disease.facts:
            yield Statement(disease.entity_id, fact.predicate, fact.object_id, fact.clinical)
