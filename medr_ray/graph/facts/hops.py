"""Hops: relations of the graph as steps that a question can ask, with further facts about the
target.

A hop is asked in words: from a start entity along a relation whose predicate has wording in that
direction, with the qualifier that this wording prints. Where only abstracts state the relation, the
words name the report instead. Every entity that these words fit is one of its
``possible_targets``.
"""

from dataclasses import dataclass

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

    ``clinical`` is the qualifier or report that the words print, or "". ``also`` are the clauses
    that are stated of the target.
    """

    relation_id: str
    predicate: str
    forward: bool
    clinical: str
    start: str
    target: str
    also: tuple[Clause, ...] = ()

    @property
    def directed_predicate(self) -> str:
        return directed_name(self.predicate, self.forward)

    def possible_targets(self, facts: FactIndex) -> frozenset[str]:
        """Every entity that the hop's words fit."""
        return facts.find_targets(
            self.start, self.predicate, self.forward, self.clinical, self.also
        )


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
