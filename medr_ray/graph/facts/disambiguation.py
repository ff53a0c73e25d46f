"""Disambiguation: the further facts a question states where a hop alone fits several entities.

A gene may be associated with three diseases, but only one of them may fit "the disease associated
with it whose age of onset is congenital". The facts come from relations of the graph, so each has
evidence. Where several facts leave only the intended entity, the one that fits the most entities
elsewhere is stated. It separates these few entities, but does not identify the answer without the
hop.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from medr_ray.core.records import Relation
from medr_ray.graph.facts.fact_index import Clause, FactIndex
from medr_ray.graph.facts.hops import Hop, make_hop
from medr_ray.graph.facts.identification import can_be_asked
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.qualifiers import find_restriction
from medr_ray.knowledge.shares import is_exact

_MAX_CLAUSES = 2  # stated of one entity; more would be a list of findings rather than a clue
_MAX_TARGETS = 60  # a hop that fits more entities is too vague to be asked


class Disambiguator:
    """The clauses that can be stated of each entity of a graph."""

    def __init__(self, relations: Iterable[Relation], facts: FactIndex) -> None:
        self._facts = facts
        self._clauses: dict[str, list[Clause]] = defaultdict(list)
        for relation in relations:
            for forward in (True, False):
                clause = make_clause(relation, forward)
                if clause is not None:
                    entity = relation.subject if forward else relation.object
                    self._clauses[entity].append(clause)

    def clauses_about(self, entity: str) -> Sequence[Clause]:
        """Everything that can be stated of the entity."""
        return self._clauses.get(entity, ())

    def disambiguate_hop(self, hop: Hop) -> Hop:
        """The hop with the clauses that its target needs; as it is where none are needed or none
        suffice.

        The clauses are chosen greedily: each is the one that excludes the most of the entities that
        still fit.
        """
        rivals = hop.possible_targets(self._facts) - {hop.target}
        if not 0 < len(rivals) <= _MAX_TARGETS:
            return hop
        usable = [
            clause
            for clause in self.clauses_about(hop.target)
            if clause.other != hop.start and clause.relation_id != hop.relation_id
        ]
        chosen: list[Clause] = []
        while rivals and len(chosen) < _MAX_CLAUSES:
            best = self._find_most_selective(
                [clause for clause in usable if clause not in chosen], rivals
            )
            if best is None:
                return hop
            remaining = self._filter_matching(best, rivals)
            # Where the best clause excludes no entity, no other does.
            if len(remaining) == len(rivals):
                return hop
            chosen.append(best)
            rivals = remaining
        # Clauses that leave other entities possible would only lengthen the question.
        return hop if rivals else replace(hop, also=tuple(chosen))

    def _find_most_selective(
        self, clauses: Sequence[Clause], rivals: Collection[str]
    ) -> Clause | None:
        """The clause that the fewest rivals match; of equal ones, the one that fits the most
        entities of the index."""

        def selectivity_order(clause: Clause) -> tuple[int, int, str]:
            matching = len(self._filter_matching(clause, rivals))
            return matching, -self._count_matching(clause), clause.relation_id

        return min(clauses, key=selectivity_order, default=None)

    def _filter_matching(self, clause: Clause, entities: Collection[str]) -> frozenset[str]:
        """The entities that the clause may be true of."""
        return frozenset(entity for entity in entities if clause.may_hold_of(entity, self._facts))

    def _count_matching(self, clause: Clause) -> int:
        """How many entities of the whole index the clause may be true of."""
        targets = self._facts.find_targets(
            clause.other, clause.predicate, not clause.forward, clause.clinical
        )
        return len(targets)


def find_askable_steps(
    relations: Sequence[Relation], facts: FactIndex
) -> frozenset[tuple[str, str]]:
    """(entity, relation id) of every step whose words, with the clauses its target needs, fit only
    that target among all facts of the index, and that can be asked bare or in a source."""
    disambiguator = Disambiguator(relations, facts)
    askable = set()
    for relation in relations:
        for start in (relation.subject, relation.object):
            hop = make_hop(relation, start)
            if hop is None:
                continue
            hop = disambiguator.disambiguate_hop(hop)
            is_unique = hop.possible_targets(facts) == {hop.target}
            if is_unique and can_be_asked(hop, relation, facts):
                askable.add((start, relation.relation_id))
    return frozenset(askable)


def make_clause(relation: Relation, forward: bool) -> Clause | None:
    """The clause that a relation states of its subject (``forward``) or object; None where its
    predicate has no such wording, or its qualifier is vague."""
    predicate = PREDICATES[relation.predicate]
    wording = predicate.clause if forward else predicate.inverse_clause
    if not wording:
        return None
    qualifier = ""
    if "{clinical}" in wording:
        if not is_exact(relation.clinical):
            return None
        qualifier = relation.clinical
    elif find_restriction(relation.clinical):
        return None
    other = relation.object if forward else relation.subject
    return Clause(relation.relation_id, relation.predicate, forward, qualifier, other)
