"""Walks grown hop by hop from a seed, so that every hop is needed from the first to the last.

A seed's chain is the longest there is, but the longest is not always the best to ask: a late hop may give its target
away and make all hops before it needless. Here a walk takes a hop only when with it each one is still needed, nothing
on the way is connected directly, and its words fit its target alone. Which hops are tried is drawn by the seed's dice.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator

from medr_ray.core.records import Relation
from medr_ray.graph.facts import FactIndex
from medr_ray.graph.hops import Hop, make_hop, marked
from medr_ray.graph.telling import Teller
from medr_ray.questions.obfuscation import compared_hop
from medr_ray.questions.patterns import needless

_HUB = 200  # neighbours of what is not walked through: it connects everything and explains nothing


class Grower:
    """Grows walks over the relations of a graph."""

    def __init__(self, relations: Iterable[Relation], facts: FactIndex) -> None:
        self._facts = facts
        self._touching: dict[str, list[Relation]] = defaultdict(list)
        for relation in relations:
            self._touching[relation.subject].append(relation)
            self._touching[relation.object].append(relation)

    def grow(
        self, seed: str, teller: Teller, compare: bool, most_hops: int, tries: int, dice: random.Random
    ) -> Iterator[tuple[Hop, ...]]:
        """Every walk of at most ``most_hops`` that ``tries`` hops tried give, each longer one after what it grew from;
        with ``compare`` shares are told as comparisons."""
        waiting: list[tuple[Hop, ...]] = [()]
        while waiting and tries > 0:
            walk = waiting[-1]
            hops = self._onward(walk, seed, compare)
            hop = dice.choice(hops) if hops and len(walk) < most_hops else None
            if hop is None:
                waiting.pop()
                continue
            tries -= 1
            longer = self._told((*walk, hop), teller)
            if longer is not None and not any(needless(longer, self._facts)):
                yield longer
                waiting.append(longer)
            elif tries % 3 == 0 and len(waiting) > 1:  # a walk that goes nowhere is not tried for ever
                waiting.pop()

    def _onward(self, walk: tuple[Hop, ...], seed: str, compare: bool) -> list[Hop]:
        """The hops out of the walk's end to where it has not been and nothing on it is connected to."""
        known = walk[-1].target if walk else seed
        been = [seed, *(hop.target for hop in walk)]
        if walk and len(self._touching[known]) > _HUB:
            return []
        found = []
        for relation in self._touching[known]:
            hop = make_hop(relation, known)
            if hop is None or hop.target in been or any(self._facts.linked(one, hop.target) for one in been[:-1]):
                continue
            told = compared_hop(hop) if compare else hop
            if told is not None:
                found.append(told)
        return found

    def _told(self, hops: tuple[Hop, ...], teller: Teller) -> tuple[Hop, ...] | None:
        """The walk with what must be told of its last target; None when its words fit others as well."""
        *earlier, last = hops
        before = earlier[-1].known if earlier else ""
        taken = {hops[0].known, *(hop.target for hop in hops), *(one.other for hop in earlier for one in hop.also)}
        told = teller.tell_apart(marked(last, before, self._facts), before, taken)
        if told.ends(told.known, before, self._facts) != {told.target}:
            return None
        return (*earlier, told)
