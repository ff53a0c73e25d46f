"""Walks grown hop by hop from a seed, so that every hop is needed from the first to the last.

A seed's chain is the longest there is, but the longest is not always the best to ask: a late hop
may give its target away and make all hops before it needless. Here a walk takes a hop only when
with it each one is still needed, nothing on the way is connected directly, its words fit its target
alone, and the grammar of chains lets it stand there. It may be taken at either end: what is put
before a walk cannot make needless what comes after. Which hops are tried is drawn by the seed's
dice, and no walk is tried twice. Two walks may meet: where the last hop of one fits several
entities and a second walk leaves one of them, every hop of both has to be needed beside the other
walk.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set

from medr_ray.core.records import Relation
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.graph.facts.hops import Hop, make_hop, mark_other_hop
from medr_ray.graph.paths.validity import is_grammatical
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE
from medr_ray.questions.drafting.obfuscation import compared_hop
from medr_ray.questions.drafting.question_patterns import is_needed, needless, walked

_MEETINGS = 2  # per walk, so that they do not crowd out all else
_TURNS = 4  # hops tried at each turn of two walks that are to meet
_MEET = (DISEASE, GENE, DRUG)  # that two diseases have the same sign or onset says little
_BRANCHES = (
    16  # hops tried from one walk, so that the first walk that can grow does not use up all tries
)
Walk = tuple[Hop, ...]


class Grower:
    """Grows walks over the relations of a graph.

    A walk ends at an entity with more than ``hub_degree`` neighbours."""

    def __init__(self, relations: Iterable[Relation], facts: FactIndex, hub_degree: int) -> None:
        self._facts, self._hub_degree = facts, hub_degree
        self._touching: dict[str, list[Relation]] = defaultdict(list)
        for relation in relations:
            self._touching[relation.subject].append(relation)
            self._touching[relation.object].append(relation)

    def grow(
        self,
        seed: str,
        teller: Disambiguator,
        compare: bool,
        most_hops: int,
        tries: int,
        dice: random.Random,
    ) -> Iterator[Walk]:
        """Every walk of at most ``most_hops`` over the seed that ``tries`` hops tried give, each
        longer one after what it grew from. With ``compare`` shares are told as comparisons."""
        first = [
            hop
            for relation in self._touching[seed]
            for known in (relation.subject, relation.object)
            if (hop := _made(relation, known, compare)) is not None
        ]
        waiting: list[tuple[Walk, Iterator[Hop]]] = [((), _drawn(first, dice))]
        tried: set[tuple[tuple[str, bool], ...]] = set()
        while waiting and tries > 0:
            walk, hops = waiting[-1]
            hop = next(hops, None)
            if hop is None:
                waiting.pop()
                continue
            before = bool(walk) and hop.target == walk[0].known
            joined = (hop, *walk) if before else (*walk, hop)
            key = tuple((one.relation_id, one.forward) for one in joined)
            if key in tried:  # it can be come to from both sides
                continue
            tried.add(key)
            tries -= 1
            longer = self._told_along(joined, hop, teller)
            changed = (
                range(1) if before else range(len(joined))
            )  # what comes before a hop does not make it needless
            if longer is not None and all(
                is_needed(longer, place, self._facts) for place in changed
            ):
                yield longer
                if len(longer) < most_hops:
                    either = _drawn(
                        [*self._onward(longer, compare), *self._before(longer, compare)], dice
                    )
                    waiting.append((longer, itertools.islice(either, _BRANCHES)))

    def meetings(
        self, walk: Walk, teller: Disambiguator, compare: bool, dice: random.Random
    ) -> Iterator[tuple[Walk, Walk]]:
        """The walk with one hop more, which fits several, and a second walk that leaves one of
        these; every hop of both is needed. At most ``_MEETINGS`` of them."""
        known = walk[-1].target
        found = 0
        for hop in self._some(self._onward(walk, compare), dice):
            last = mark_other_hop(hop, walk[-1].known, self._facts)
            ends = last.possible_targets(known, walk[-1].known, self._facts)
            if len(ends) < 2 or last.target_type not in _MEET:
                continue
            first = (*walk, last)
            for second in self._seconds(last.target, _named(first), teller, compare, dice):
                others = walked(second, (second[0].known,), self._facts)
                if ends & others == {last.target} and not (
                    any(needless(second, self._facts, ends))
                    or any(needless(first, self._facts, others))
                ):
                    yield first, second
                    found += 1
                    if found == _MEETINGS:
                        return

    def _seconds(
        self, end: str, named: Set[str], teller: Disambiguator, compare: bool, dice: random.Random
    ) -> Iterator[Walk]:
        """Walks of one or two hops to ``end`` that start and pass by nothing that another walk has
        ``named``."""
        for last in self._some(self._into(end, named, compare), dice):
            yield (mark_other_hop(last, "", self._facts),)
            for hop in self._some(self._into(last.known, named, compare), dice):
                first = self._told(hop, "", named | {hop.known, end}, teller)
                if first is not None and is_grammatical(
                    [hop.directed_predicate, last.directed_predicate]
                ):
                    yield first, mark_other_hop(last, hop.known, self._facts)

    def _onward(self, walk: Walk, compare: bool) -> list[Hop]:
        """The hops out of the walk's end to what is not named and nothing on the walk is connected
        to."""
        steps, named, far = (
            [one.directed_predicate for one in walk],
            _named(walk),
            [one.known for one in walk],
        )
        return [
            hop
            for hop in self._from(walk[-1].target, compare)
            if hop.target not in named
            and is_grammatical([*steps, hop.directed_predicate])
            and not any(self._facts.are_linked(one, hop.target) for one in far)
        ]

    def _before(self, walk: Walk, compare: bool) -> list[Hop]:
        """The hops to the walk's start, likewise."""
        steps, named, far = (
            [one.directed_predicate for one in walk],
            _named(walk),
            [one.target for one in walk],
        )
        return [
            hop
            for hop in self._into(walk[0].known, named, compare)
            if is_grammatical([hop.directed_predicate, *steps])
            and not any(self._facts.are_linked(one, hop.known) for one in far)
        ]

    def _from(self, known: str, compare: bool) -> Iterator[Hop]:
        if len(self._touching[known]) <= self._hub_degree:
            yield from (
                hop
                for relation in self._touching[known]
                if (hop := _made(relation, known, compare)) is not None
            )

    def _into(self, end: str, named: Set[str], compare: bool) -> list[Hop]:
        """The hops into an entity from what is not ``named`` yet."""
        if len(self._touching[end]) > self._hub_degree:
            return []
        return [
            hop
            for relation in self._touching[end]
            for known in (relation.subject, relation.object)
            if known not in named
            and known != end
            and (hop := _made(relation, known, compare)) is not None
        ]

    def _some(self, hops: Iterable[Hop], dice: random.Random) -> Iterator[Hop]:
        return itertools.islice(_drawn(hops, dice), _TURNS)

    def _told_along(self, walk: Walk, hop: Hop, teller: Disambiguator) -> Walk | None:
        """The walk with what must be told of where its new first or last ``hop`` leads; None when
        the words of that hop fit others as well."""
        if hop is walk[-1]:
            told = self._told(hop, walk[-2].known if len(walk) > 1 else "", _named(walk), teller)
            return None if told is None else (*walk[:-1], told)
        told = self._told(hop, "", _named(walk), teller)
        return (
            None
            if told is None
            else (told, mark_other_hop(walk[1], hop.known, self._facts), *walk[2:])
        )

    def _told(self, hop: Hop, before: str, named: Set[str], teller: Disambiguator) -> Hop | None:
        """The hop with what must be told of its target."""
        told = teller.disambiguate_hop(mark_other_hop(hop, before, self._facts), before, named)
        return (
            told
            if told.possible_targets(told.known, before, self._facts) == {told.target}
            else None
        )


def _named(walk: Walk) -> set[str]:
    """The entities that a walk leads over, and those that are named in what is told of them."""
    return {
        walk[0].known,
        *(hop.target for hop in walk),
        *(one.other for hop in walk for one in hop.also),
    }


def _made(relation: Relation, known: str, compare: bool) -> Hop | None:
    hop = make_hop(relation, known)
    return compared_hop(hop) if hop is not None and compare else hop


def _drawn(hops: Iterable[Hop], dice: random.Random) -> Iterator[Hop]:
    """The hops in random order: each time a kind is drawn, then one of it, so that the few genes of
    a disease come up as early as its many findings."""
    kinds: dict[str, list[Hop]] = defaultdict(list)
    for hop in hops:
        kinds[hop.directed_predicate].append(hop)
    for kind in kinds.values():
        dice.shuffle(kind)
    while kinds:
        drawn = dice.choice(sorted(kinds))
        yield kinds[drawn].pop()
        if not kinds[drawn]:
            del kinds[drawn]
