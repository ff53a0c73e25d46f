"""Telling entities apart: the further facts a question gives where a hop alone fits several
entities.

A gene may belong to three diseases; "the disease associated with it whose age of onset is
congenital" is one. Facts are taken from relations of the graph, so each has evidence. Of those that
leave only the entity meant, the one that fits most entities elsewhere is told: it decides between
these few and gives no way around the hop.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from medr_ray.core.records import Relation
from medr_ray.graph.facts.fact_index import Clause, FactIndex
from medr_ray.graph.facts.hops import Hop, make_hop
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.shares import comparison, is_exact

MOST_CLAUSES = 2  # more is a list, not a clue
_MOST_ENDS = 60  # a hop that fits more is no hop to ask by


class Teller:
    """What can be told of each entity of a graph, at most ``most`` facts at once; with ``compare``
    shares are told as comparisons."""

    def __init__(
        self,
        relations: Iterable[Relation],
        facts: FactIndex,
        compare: bool = False,
        most: int = MOST_CLAUSES,
    ) -> None:
        self._facts, self._most = facts, most
        self._clauses: dict[str, list[Clause]] = defaultdict(list)
        for relation in relations:
            for forward in (True, False):
                clause = make_clause(relation, forward, compare)
                if clause is not None:
                    self._clauses[relation.subject if forward else relation.object].append(clause)

    def about(self, entity: str) -> Sequence[Clause]:
        """Everything that can be told of the entity."""
        return self._clauses.get(entity, ())

    def determine(
        self, hops: Sequence[Hop], taken: Collection[str], spare_last: bool = False
    ) -> tuple[Hop, ...]:
        """The hops with what must be told for each to fit one entity alone, as far as that can be
        done; nothing told names an entity of ``taken``. With ``spare_last`` the last hop is left as
        it is."""
        told: list[Hop] = []
        before = ""
        for number, hop in enumerate(hops):
            last = spare_last and number == len(hops) - 1
            named = {one.other for earlier in told for one in earlier.also}
            told.append(hop if last else self.tell_apart(hop, before, {*taken, *named}))
            before = hop.known
        return tuple(told)

    def tell_apart(self, hop: Hop, before: str, taken: Collection[str]) -> Hop:
        """The hop, asked after the entity ``before``, with what must be told of its target; as it
        is where nothing must or can be."""
        ends = hop.ends(hop.known, before, self._facts) - {hop.target}
        if not 0 < len(ends) <= _MOST_ENDS:
            return hop
        usable = [
            one
            for one in self.about(hop.target)
            if one.other not in taken
            and one.other != hop.known
            and one.relation_id != hop.relation_id
        ]
        chosen: list[Clause] = []
        while ends and len(chosen) < self._most:
            left = {
                one: {end for end in ends if one.holds(end, self._facts)}
                for one in usable
                if one not in chosen
            }
            best = min(
                left,
                key=lambda one: (len(left[one]), -self._commonness(one), one.relation_id),
                default=None,
            )
            if best is None or len(left[best]) == len(ends):
                return hop
            chosen.append(best)
            ends = frozenset(left[best])
        return hop if ends else replace(hop, also=tuple(chosen))

    def _commonness(self, clause: Clause) -> int:
        """How many entities the clause may hold of."""
        return len(
            self._facts.ends(clause.other, clause.predicate, not clause.forward, clause.clinical)
        )


def askable_steps(relations: Sequence[Relation], facts: FactIndex) -> frozenset[tuple[str, str]]:
    """(entity, relation id) of every step whose words, with what can be told of its target, fit
    that target alone among all facts known. Where a step comes from is not looked at; "the other
    ..." may single out more."""
    teller = Teller(relations, facts)
    found = set()
    for relation in relations:
        for known in (relation.subject, relation.object):
            hop = make_hop(relation, known)
            if hop is not None:
                (told,) = teller.determine([hop], (known,))
                if told.ends(known, "", facts) == {told.target}:
                    found.add((known, relation.relation_id))
    return frozenset(found)


def make_clause(relation: Relation, forward: bool, compare: bool = False) -> Clause | None:
    """What a relation tells of its subject (``forward``) or object; None where it has no such
    wording or is vague."""
    wording = (
        PREDICATES[relation.predicate].clause
        if forward
        else PREDICATES[relation.predicate].inverse_clause
    )
    qualifier = ""
    if "{clinical}" in wording:
        words = comparison(relation.clinical) if compare else relation.clinical
        if words is None or not is_exact(relation.clinical):
            return None
        qualifier = words
    other = relation.object if forward else relation.subject
    if not wording:
        return None
    return Clause(relation.relation_id, relation.predicate, forward, qualifier, other)
