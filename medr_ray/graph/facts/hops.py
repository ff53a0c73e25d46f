"""Hops: relations of the graph as steps that can be asked, and further facts that can be told of
where they lead.

A hop is asked in words: from a known entity along a relation that has wording in that direction,
with the qualifier it prints, or the report it is known from where only abstracts state it. Whatever
else those words fit is one of its ``ends``.
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
    with ..."); ``also`` is told of the target.
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

    def ends(self, known: str, before: str, facts: FactIndex) -> frozenset[str]:
        """Every entity that the hop's words fit, asked of ``known`` after ``before``."""
        found = facts.ends(known, self.predicate, self.forward, self.clinical, self.also)
        return found - {before} if self.other else found


def make_hop(relation: Relation, known: str) -> Hop | None:
    """The hop along ``relation`` away from ``known``; None when it cannot be asked in that
    direction."""
    predicate = PREDICATES[relation.predicate]
    forward = relation.subject == known
    if not (predicate.phrase if forward else predicate.inverse_phrase):
        return None
    printed = predicate.prints_clinical(forward)
    if printed and not is_exact(relation.clinical):
        return None
    target = relation.object if forward else relation.subject
    return Hop(
        relation.relation_id,
        relation.predicate,
        forward or predicate.symmetric,
        relation.clinical if printed else _report(relation),
        known,
        target,
    )


def _report(relation: Relation) -> str:
    """The first report of a relation that is known from reports alone, else ""."""
    qualifiers = qualifiers_of(relation)
    return qualifiers[0] if all(map(is_report, qualifiers)) else ""


def walk(start: str, relations: Sequence[Relation]) -> tuple[Hop, ...] | None:
    """The hops of a walk over ``relations`` in order; None when one cannot be asked or an entity
    comes twice."""
    hops: list[Hop] = []
    known, seen = start, {start}
    for relation in relations:
        hop = make_hop(relation, known)
        if hop is None or hop.target in seen:
            return None
        hops.append(hop)
        seen.add(hop.target)
        known = hop.target
    return tuple(hops)


def mark_other(hops: tuple[Hop, ...], facts: FactIndex) -> tuple[Hop, ...]:
    """Mark the hops that would lead back to the entity before them as "other"."""
    before = ("", *(hop.known for hop in hops))
    return tuple(marked(hop, one, facts) for one, hop in zip(before, hops, strict=False))


def marked(hop: Hop, before: str, facts: FactIndex) -> Hop:
    """The hop after the entity ``before`` ("" for none), as "other" where it would lead back
    there."""
    ends = facts.ends(hop.known, hop.predicate, hop.forward, hop.clinical)
    return replace(hop, other=before in ends)
