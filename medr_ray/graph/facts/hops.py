"""Hops: relations of the graph as steps that can be asked, with further facts on where they lead.

A hop is asked in words: from a known entity along a relation that has wording in that direction,
with the qualifier it prints, or the report it is known from where only abstracts state it. Whatever
else those words fit is one of its ``possible_targets``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medr_ray.core.records import Relation
from medr_ray.graph.facts.fact_index import Clause, FactIndex, qualifiers_of
from medr_ray.knowledge.predicates import PREDICATES, directed
from medr_ray.knowledge.published_reports import is_report
from medr_ray.knowledge.shares import is_exact


@dataclass(frozen=True)
class Hop:
    """One step from a ``known`` entity to its ``target``; ``forward`` when it walks from subject to
    object.

    ``clinical`` is the qualifier or report that the question prints, or ""; ``other`` says that the
    entity before ``known`` fits as well and is excluded in words ("the other disease associated
    with ..."); ``also`` is stated of the target.
    """

    relation_id: str
    predicate: str
    forward: bool
    clinical: str
    known: str
    target: str
    other: bool = False
    also: tuple[Clause, ...] = ()

    @property
    def directed_predicate(self) -> str:
        return directed(self.predicate, self.forward)

    @property
    def target_type(self) -> str:
        """The entity type of where it leads."""
        predicate = PREDICATES[self.predicate]
        return predicate.object_type if self.forward else predicate.subject_type

    def possible_targets(self, known: str, before: str, facts: FactIndex) -> frozenset[str]:
        """Every entity that the hop's words fit, asked of ``known`` after ``before``."""
        targets = facts.targets(known, self.predicate, self.forward, self.clinical, self.also)
        return targets - {before} if self.other else targets


def make_hop(relation: Relation, known: str) -> Hop | None:
    """The hop along ``relation`` away from ``known``; None when it cannot be asked in that
    direction."""
    predicate = PREDICATES[relation.predicate]
    forward = relation.subject == known
    if not (predicate.phrase if forward else predicate.inverse_phrase):
        return None
    prints_clinical = predicate.prints_clinical(forward)
    if prints_clinical and not is_exact(relation.clinical):
        return None
    target = relation.object if forward else relation.subject
    return Hop(
        relation.relation_id,
        relation.predicate,
        forward or predicate.symmetric,
        relation.clinical if prints_clinical else _first_report(relation),
        known,
        target,
    )


def _first_report(relation: Relation) -> str:
    """The first report of a relation that is known from reports alone, else ""."""
    qualifiers = qualifiers_of(relation)
    return qualifiers[0] if all(map(is_report, qualifiers)) else ""


def make_walk(start: str, relations: Sequence[Relation]) -> tuple[Hop, ...] | None:
    """The hops of a walk over ``relations`` in order; None when one cannot be asked or an entity
    comes twice."""
    hops: list[Hop] = []
    entity = start
    seen = {start}
    for relation in relations:
        hop = make_hop(relation, entity)
        if hop is None or hop.target in seen:
            return None
        hops.append(hop)
        seen.add(hop.target)
        entity = hop.target
    return tuple(hops)


def mark_other_hops(hops: tuple[Hop, ...], facts: FactIndex) -> tuple[Hop, ...]:
    """Mark the hops that would lead back to the entity before them as "other"."""
    entities_before = ("", *(hop.known for hop in hops))
    pairs = zip(entities_before, hops, strict=False)
    return tuple(mark_other_hop(hop, before, facts) for before, hop in pairs)


def mark_other_hop(hop: Hop, before: str, facts: FactIndex) -> Hop:
    """The hop after the entity ``before`` ("" for none), as "other" where it would lead back
    there."""
    targets = facts.targets(hop.known, hop.predicate, hop.forward, hop.clinical)
    return replace(hop, other=before in targets)
