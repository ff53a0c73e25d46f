"""Hops: relations of the graph as steps that a question can ask, with further facts about the
target.

A hop is asked in words: from a start entity along a relation whose predicate has wording in that
direction, with the qualifier that this wording prints. Where only abstracts state the relation, the
words name the report instead. Every entity that these words fit is one of its
``possible_targets``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medr_ray.core.records import Relation
from medr_ray.graph.facts.fact_index import Clause, FactIndex, qualifiers_of
from medr_ray.knowledge.predicates import PREDICATES, directed_name
from medr_ray.knowledge.published_reports import is_report
from medr_ray.knowledge.qualifiers import find_restriction
from medr_ray.knowledge.shares import is_exact


@dataclass(frozen=True)
class Hop:
    """One step from a ``start`` entity to its ``target``; ``forward`` when it goes from subject to
    object.

    ``clinical`` is the qualifier or report that the question prints, or "". With ``other`` the
    entity before ``start`` fits as well and is excluded in words ("the other disease associated
    with ..."). ``also`` are the clauses that are stated of the target.
    """

    relation_id: str
    predicate: str
    forward: bool
    clinical: str
    start: str
    target: str
    other: bool = False
    also: tuple[Clause, ...] = ()

    @property
    def directed_predicate(self) -> str:
        return directed_name(self.predicate, self.forward)

    @property
    def target_type(self) -> str:
        """The entity type of where it leads."""
        predicate = PREDICATES[self.predicate]
        return predicate.object_type if self.forward else predicate.subject_type

    def possible_targets(self, start: str, before: str, facts: FactIndex) -> frozenset[str]:
        """Every entity that the hop's words fit when it starts at ``start``, after ``before``."""
        targets = facts.find_targets(start, self.predicate, self.forward, self.clinical, self.also)
        return targets - {before} if self.other else targets


def make_hop(relation: Relation, start: str) -> Hop | None:
    """The hop along ``relation`` away from ``start``; None when it cannot be asked in that
    direction."""
    predicate = PREDICATES[relation.predicate]
    forward = relation.subject == start
    if not (predicate.phrase if forward else predicate.inverse_phrase):
        return None
    prints_clinical = predicate.prints_clinical(forward)
    # A vague qualifier ("some patients") fits too many entities to be asked.
    if prints_clinical and not is_exact(relation.clinical):
        return None
    # Words that print no qualifier would state of all what is true only in rats or in children.
    if not prints_clinical and find_restriction(relation.clinical):
        return None
    target = relation.object if forward else relation.subject
    return Hop(
        relation.relation_id,
        relation.predicate,
        # A symmetric relation reads the same from either end, so it always counts as forward.
        forward or predicate.symmetric,
        relation.clinical if prints_clinical else _find_first_report(relation),
        start,
        target,
    )


def _find_first_report(relation: Relation) -> str:
    """The first report of a relation that only reports state, else ""."""
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
    entities_before = ("", *(hop.start for hop in hops))
    # One entity more than hops: the start of the last hop is before no other.
    pairs = zip(entities_before, hops, strict=False)
    return tuple(mark_other_hop(hop, before, facts) for before, hop in pairs)


def mark_other_hop(hop: Hop, before: str, facts: FactIndex) -> Hop:
    """The hop after the entity ``before`` ("" for none), as "other" where it would lead back
    there."""
    targets = facts.find_targets(hop.start, hop.predicate, hop.forward, hop.clinical)
    return replace(hop, other=before in targets)
