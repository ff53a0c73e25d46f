"""Grows walks hop by hop from a seed, so that every hop of a walk is needed.

A seed's chain is its longest walk, but the longest is not always the best question: a late hop may
give its target away and make all hops before it needless. Here a walk takes a hop only when

- every hop of the longer walk is still needed,
- no two entities on it are linked other than by its hops,
- the words of the new hop fit its target alone,
- the hop before it identifies its own target (``graph.facts.identification``), and
- the grammar of chains allows the hop at this place.

A hop may be added at either end: a hop before a walk cannot make a later hop needless. The seed's
random generator draws which hops are tried, and no walk is tried twice.

Two walks may meet: the last hop of the first fits several entities, and a second walk leaves only
one of them. Then every hop of both must be needed beside the other walk.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set

from medr_ray.core.records import Relation
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.graph.facts.hops import Hop, make_hop, mark_other_hop
from medr_ray.graph.facts.identification import is_identifying
from medr_ray.graph.paths.validity import is_grammatical
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE
from medr_ray.questions.drafting.obfuscation import word_hop_as_comparison
from medr_ray.questions.drafting.question_patterns import (
    find_needless_in_walk,
    follow_hops,
    is_hop_needed,
)

# Meetings per walk, so that they do not crowd out all else.
_MAX_MEETINGS = 2
# Hops tried at each step in the search for two walks that meet.
_MAX_MEETING_HOPS = 4
# Types of entities where walks may meet. A sign or an onset that two diseases share says little.
_MEETING_TYPES = (DISEASE, GENE, DRUG)
# Hops tried from one walk, so that the first walk that can grow does not use up all tries.
_MAX_BRANCHES = 16
Walk = tuple[Hop, ...]


class WalkGrower:
    """Grows walks over the relations of a graph.

    A walk ends at an entity with more than ``hub_degree`` neighbours."""

    def __init__(self, relations: Iterable[Relation], facts: FactIndex, hub_degree: int) -> None:
        self._facts = facts
        self._hub_degree = hub_degree
        self._relations_of_entity: dict[str, list[Relation]] = defaultdict(list)
        for relation in relations:
            self._relations_of_entity[relation.subject].append(relation)
            self._relations_of_entity[relation.object].append(relation)

    def grow(
        self,
        seed: str,
        disambiguator: Disambiguator,
        compare: bool,
        max_hops: int,
        tries: int,
        rng: random.Random,
    ) -> Iterator[Walk]:
        """The walks over the seed of at most ``max_hops`` hops, after ``tries`` tried hops.

        Each walk comes after the one it grew from. With ``compare``, shares of patients are worded
        as comparisons. The walks follow from the arguments and the state of ``rng``.
        """
        first_hops = [
            hop
            for relation in self._relations_of_entity[seed]
            for start in (relation.subject, relation.object)
            if (hop := _make_worded_hop(relation, start, compare)) is not None
        ]
        # A stack: the search is depth first, so that long walks come up before the tries run out.
        stack: list[tuple[Walk, Iterator[Hop]]] = [((), _draw_hops(first_hops, rng))]
        tried: set[tuple[tuple[str, bool], ...]] = set()
        while stack and tries > 0:
            walk, hops = stack[-1]
            hop = next(hops, None)
            if hop is None:
                stack.pop()
                continue
            is_before = bool(walk) and hop.target == walk[0].start
            joined = (hop, *walk) if is_before else (*walk, hop)
            key = tuple((step.relation_id, step.forward) for step in joined)
            # The same walk can be reached by adding its hops in another order.
            if key in tried:
                continue
            tried.add(key)
            tries -= 1
            longer = self._disambiguate_new_hop(joined, hop, disambiguator)
            if longer is None or not self._are_hops_needed(longer, is_before):
                continue
            yield longer
            if len(longer) < max_hops:
                next_hops = _draw_hops(self._list_next_hops(longer, compare), rng)
                stack.append((longer, itertools.islice(next_hops, _MAX_BRANCHES)))

    def _are_hops_needed(self, walk: Walk, is_new_hop_first: bool) -> bool:
        """Whether every hop of a walk is needed that was needed without the new hop."""
        # A hop before the walk cannot make the later hops needless: only itself is checked.
        places = range(1) if is_new_hop_first else range(len(walk))
        return all(is_hop_needed(walk, place, self._facts) for place in places)

    def _list_next_hops(self, walk: Walk, compare: bool) -> list[Hop]:
        """The hops that may be added at either end of a walk. What they lead to is hidden when the
        walk goes on from there, so the hop to it has to identify it."""
        after = self._list_hops_after(walk, compare)
        before = [
            hop for hop in self._list_hops_before(walk, compare) if is_identifying(hop, self._facts)
        ]
        return [*after, *before] if is_identifying(walk[-1], self._facts) else before

    def find_meeting_walks(
        self, walk: Walk, disambiguator: Disambiguator, compare: bool, rng: random.Random
    ) -> Iterator[tuple[Walk, Walk]]:
        """Pairs of walks that meet: ``walk`` with one more hop, and a second walk.

        The additional hop fits several entities, of which the second walk leaves one. Every hop of
        both walks is needed. Yields at most ``_MAX_MEETINGS`` pairs.
        """
        if not is_identifying(walk[-1], self._facts):
            return
        end = walk[-1].target
        meeting_count = 0
        for hop in self._draw_some_hops(self._list_hops_after(walk, compare), rng):
            last = mark_other_hop(hop, walk[-1].start, self._facts)
            ends = last.possible_targets(end, walk[-1].start, self._facts)
            # A hop that fits one entity alone needs no second walk.
            if len(ends) < 2 or last.target_type not in _MEETING_TYPES:
                continue
            first = (*walk, last)
            for second in self._list_walks_to(
                last.target, _collect_named_entities(first), disambiguator, compare, rng
            ):
                if self._is_meeting(first, ends, second):
                    yield first, second
                    meeting_count += 1
                    if meeting_count == _MAX_MEETINGS:
                        return

    def _is_meeting(self, first: Walk, first_ends: Set[str], second: Walk) -> bool:
        """Whether both walks together leave one entity, and need all their hops for it."""
        second_ends = follow_hops(second, (second[0].start,), self._facts)
        if first_ends & second_ends != {first[-1].target}:
            return False
        # The second walk is checked first: it is at most two hops long, so it costs less.
        return not (
            any(find_needless_in_walk(second, self._facts, first_ends))
            or any(find_needless_in_walk(first, self._facts, second_ends))
        )

    def _list_walks_to(
        self,
        end: str,
        named: Set[str],
        disambiguator: Disambiguator,
        compare: bool,
        rng: random.Random,
    ) -> Iterator[Walk]:
        """Walks of one or two hops to ``end`` over entities that the other walk has not
        ``named``."""
        for last in self._draw_some_hops(self._list_hops_into(end, named, compare), rng):
            yield (mark_other_hop(last, "", self._facts),)
            for hop in self._draw_some_hops(self._list_hops_into(last.start, named, compare), rng):
                if not is_identifying(hop, self._facts):
                    continue
                first = self._disambiguate_hop(hop, "", named | {hop.start, end}, disambiguator)
                if first is not None and is_grammatical(
                    [hop.directed_predicate, last.directed_predicate]
                ):
                    yield first, mark_other_hop(last, hop.start, self._facts)

    def _list_hops_after(self, walk: Walk, compare: bool) -> list[Hop]:
        """The hops from the walk's end to entities that are not named and to which no earlier
        entity of the walk is linked."""
        predicates = [hop.directed_predicate for hop in walk]
        named = _collect_named_entities(walk)
        # The walk's end is not among these: the new hop itself links it to the target.
        earlier = [hop.start for hop in walk]
        return [
            hop
            for hop in self._list_hops_from(walk[-1].target, compare)
            if hop.target not in named
            and is_grammatical([*predicates, hop.directed_predicate])
            and not any(self._facts.are_linked(entity, hop.target) for entity in earlier)
        ]

    def _list_hops_before(self, walk: Walk, compare: bool) -> list[Hop]:
        """The hops to the walk's start from entities that are not named and to which no later
        entity of the walk is linked."""
        predicates = [hop.directed_predicate for hop in walk]
        named = _collect_named_entities(walk)
        later = [hop.target for hop in walk]
        return [
            hop
            for hop in self._list_hops_into(walk[0].start, named, compare)
            if is_grammatical([hop.directed_predicate, *predicates])
            and not any(self._facts.are_linked(entity, hop.start) for entity in later)
        ]

    def _list_hops_from(self, entity: str, compare: bool) -> Iterator[Hop]:
        """The hops out of an entity; none out of a hub."""
        if len(self._relations_of_entity[entity]) <= self._hub_degree:
            yield from (
                hop
                for relation in self._relations_of_entity[entity]
                if (hop := _make_worded_hop(relation, entity, compare)) is not None
            )

    def _list_hops_into(self, end: str, named: Set[str], compare: bool) -> list[Hop]:
        """The hops into an entity from entities that are not ``named`` yet; none into a hub."""
        if len(self._relations_of_entity[end]) > self._hub_degree:
            return []
        # Both ends of a relation are tried as the start: which way it leads is up to ``make_hop``.
        return [
            hop
            for relation in self._relations_of_entity[end]
            for start in (relation.subject, relation.object)
            if start not in named
            and start != end
            and (hop := _make_worded_hop(relation, start, compare)) is not None
        ]

    def _draw_some_hops(self, hops: Iterable[Hop], rng: random.Random) -> Iterator[Hop]:
        """The hops in random order, at most ``_MAX_MEETING_HOPS``."""
        return itertools.islice(_draw_hops(hops, rng), _MAX_MEETING_HOPS)

    def _disambiguate_new_hop(
        self, walk: Walk, hop: Hop, disambiguator: Disambiguator
    ) -> Walk | None:
        """The walk with the clauses that its new first or last ``hop`` needs; None when the words
        of that hop fit other entities as well."""
        named = _collect_named_entities(walk)
        if hop is walk[-1]:
            before = walk[-2].start if len(walk) > 1 else ""
            unambiguous = self._disambiguate_hop(hop, before, named, disambiguator)
            return None if unambiguous is None else (*walk[:-1], unambiguous)
        unambiguous = self._disambiguate_hop(hop, "", named, disambiguator)
        if unambiguous is None:
            return None
        # The former first hop has an entity before it now, which decides whether it has to say
        # that it leads to another one.
        return (unambiguous, mark_other_hop(walk[1], hop.start, self._facts), *walk[2:])

    def _disambiguate_hop(
        self, hop: Hop, before: str, named: Set[str], disambiguator: Disambiguator
    ) -> Hop | None:
        """The hop with the clauses that its target needs; None when these do not suffice."""
        unambiguous = disambiguator.disambiguate_hop(
            mark_other_hop(hop, before, self._facts), before, named
        )
        targets = unambiguous.possible_targets(unambiguous.start, before, self._facts)
        return unambiguous if targets == {unambiguous.target} else None


def _collect_named_entities(walk: Walk) -> set[str]:
    """The entities that a walk leads over, and those that its clauses name."""
    return {
        walk[0].start,
        *(hop.target for hop in walk),
        *(clause.other for hop in walk for clause in hop.also),
    }


def _make_worded_hop(relation: Relation, start: str, compare: bool) -> Hop | None:
    """The hop over a relation, with ``compare`` worded as a comparison; None where there is
    none."""
    hop = make_hop(relation, start)
    # No hop where the relation has no wording in this direction, or a qualifier that is too vague.
    if hop is None or not compare:
        return hop
    return word_hop_as_comparison(hop)


def _draw_hops(hops: Iterable[Hop], rng: random.Random) -> Iterator[Hop]:
    """The hops in random order.

    Each draw takes a predicate first and then one of its hops, so that the few genes of a disease
    come up as early as its many findings.
    """
    hops_by_predicate: dict[str, list[Hop]] = defaultdict(list)
    for hop in hops:
        hops_by_predicate[hop.directed_predicate].append(hop)
    for group in hops_by_predicate.values():
        rng.shuffle(group)
    while hops_by_predicate:
        # Sorted, so that the draw does not depend on the order in which predicates came up.
        predicate = rng.choice(sorted(hops_by_predicate))
        yield hops_by_predicate[predicate].pop()
        if not hops_by_predicate[predicate]:
            del hops_by_predicate[predicate]
