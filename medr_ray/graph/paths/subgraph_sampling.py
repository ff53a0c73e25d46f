"""Samples of the merged graph around an entity, by five strategies.

``augmented_chain``: a path from the seed to an entity drawn around it, or else the other way, then
neighbours of its entities. ``community_core_path``: the seed's community around its most central
entity nearby, and the longest path inside. ``dual_core_bridge``: a path over the seed between two
central entities far apart, then neighbours of both. ``max_chain``: the longest path over the seed,
then neighbours of its entities. ``mixed``: one of these by ``chains.mixed_weights``.

What holds: a sample hangs together, holds the seed, has exactly the size asked for where that many
entities hang together with the seed, and never more; it has every relation between its entities, in
its direction; its backbone is a valid path (see ``graph.paths.validity``). It depends on the
relations, whatever their order, the configuration and the dice alone. Where a strategy finds
nothing to build on, the seed's neighbourhood is taken, and ``reason`` says so.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from typing import Final

from medr_ray.core.config import ChainsConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import Relation, SampleRequest, SampleStrategy, SampleUsed, Subgraph
from medr_ray.graph.paths.chains import longest_path_anywhere, longest_path_over
from medr_ray.graph.paths.communities import (
    Centralities,
    Communities,
    find_centralities,
    find_communities,
    link_graph,
)
from medr_ray.graph.paths.path_growth import Trail, Ways, long_trail, seen_from_targets, trails_from
from medr_ray.graph.paths.validity import Rules, Step, degrees, steps_between

MIXED: Final = "mixed"
NEIGHBOURHOOD: Final = "neighbourhood"  # of the seed, where a strategy finds no backbone
_HORIZON = 2_000  # entities looked at around a seed, of graphs too large to be looked at whole
_SEARCHED = 500  # entities that a search for the longest path is given
_CORE_HOPS = 3  # how far from the seed a core may lie
_CORES = 5  # the most central entities, of which one is drawn
Steps = Mapping[str, Sequence[Step]]


class SampleSpace:
    """The merged graph made ready; built once, sampled from as often as wanted.

    ``degree`` counts neighbours in the whole graph, ``relations`` are those at or above the
    confidence floor, by id.
    """

    def __init__(
        self,
        relations: Iterable[Relation],
        config: ChainsConfig,
        min_confidence: float,
        run_seed: int,
        askable: Container[tuple[str, str]] | None = None,
    ) -> None:
        given = list(relations)
        self.config, self._min_confidence, self._run_seed = config, min_confidence, run_seed
        self._askable = askable
        self.rules = Rules(config.unique_predicates, config.temporal_order)
        self.degree = degrees(given)
        self.relations = {one.relation_id: one for one in given if one.confidence >= min_confidence}
        self._touching: dict[str, dict[str, str]] = defaultdict(dict)
        for one in self.relations.values():
            self._touching[one.subject][one.relation_id] = one.object
            self._touching[one.object][one.relation_id] = one.subject
        self._steps = self._steps_over(self.relations, "")
        self._ways = Ways(self._steps, seen_from_targets(self._steps), self.rules)

    @cached_property
    def entities(self) -> list[str]:
        """Those with a relation, sorted."""
        return sorted(self._touching)

    def neighbours(self, entity: str) -> set[str]:
        """The other ends of the entity's relations, in either direction."""
        return set(self._touching.get(entity, {}).values()) - {entity}

    def inside(self, entities: Collection[str]) -> list[str]:
        """Ids of the relations between entities, sorted."""
        return sorted(
            {
                key
                for entity in entities
                for key, other in self._touching.get(entity, {}).items()
                if other in entities
            }
        )

    def steps(self, seed: str, within: Collection[str] | None = None) -> Steps:
        """The valid steps for paths of a seed, which is never a hub; only those between entities
        ``within``."""
        steps = (
            self._steps
            if self._is_passable(seed)
            else {**self._steps, **self._steps_over(self._touching.get(seed, {}), seed)}
        )
        if within is None:
            return steps
        known = set(within)
        inside = {
            start: [step for step in steps.get(start, ()) if step.target in known]
            for start in within
        }
        return {start: chosen for start, chosen in inside.items() if chosen}

    def ways(self, seed: str) -> Ways:
        """The valid steps and rules for paths of a seed, seen from both ends of a step."""
        return (
            self._ways
            if self._is_passable(seed)
            else Ways(self.steps(seed), self._ways.into, self.rules)
        )

    def _is_passable(self, entity: str) -> bool:
        return self.degree.get(entity, 0) <= self.config.hub_degree

    def _steps_over(self, ids: Iterable[str], seed: str) -> dict[str, list[Step]]:
        relations = (self.relations[one] for one in ids)
        return steps_between(
            relations,
            self.degree,
            seed,
            self.config.hub_degree,
            self._min_confidence,
            self._askable,
        )

    @cached_property
    def centralities(self) -> Centralities:
        """Of every entity, over the valid steps: a hub that no path goes through is central to
        nothing."""
        return find_centralities(link_graph(self.entities, self._links()))

    @cached_property
    def communities(self) -> Communities:
        """Of every entity, over the valid steps."""
        return find_communities(link_graph(self.entities, self._links()), self._run_seed)

    def _links(self) -> Iterator[tuple[str, str]]:
        return ((start, step.target) for start, steps in self._steps.items() for step in steps)


@dataclass(frozen=True)
class Found:
    """What a strategy came to: connected entities, the seed among them, and the backbone. Without a
    backbone it found nothing to build on, and ``reason`` says why."""

    entities: list[str]
    backbone: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Draw:
    """One sample under way."""

    space: SampleSpace
    size: int
    seed: str
    dice: random.Random

    @property
    def max_hops(self) -> int:
        """Of a backbone, which has to fit in."""
        return min(self.space.config.max_hops, self.size - 1)

    @cached_property
    def ways(self) -> Ways:
        return self.space.ways(self.seed)

    @property
    def here(self) -> Trail:
        """The path of no steps at the seed."""
        return Trail((self.seed,))

    def trails(self, start: Trail, max_hops: int, back: bool = False) -> Iterator[Trail]:
        """Valid paths to what lies around, see ``trails_from``."""
        return trails_from(start, self.ways, max_hops, max(_HORIZON, 2 * self.size), back)

    def both_ways(self, max_hops: int) -> list[Trail]:
        """Valid paths from the seed and to it, those that end nearest to it first."""
        found = [one for back in (False, True) for one in self.trails(self.here, max_hops, back)]
        return sorted(found, key=lambda one: one.hops)

    def nearest(self, most: int) -> list[str]:
        """The seed and the entities nearest to it along valid steps, whatever may follow what."""
        reached = {self.seed: None}
        waiting = deque(reached)
        while waiting and len(reached) < most:
            fresh = sorted(self._linked(waiting.popleft()) - reached.keys())
            reached.update(dict.fromkeys(fresh))
            waiting.extend(fresh)
        return list(reached)[:most]

    def flanked(self, kept: Sequence[str], beside: Sequence[str]) -> list[str]:
        """``kept``, one neighbour of each entity of ``beside``, then another of each, and at last
        what lies around."""
        around = [self.shuffled(self.space.neighbours(one)) for one in beside]
        in_turn = (one for turn in zip_longest(*around) for one in turn if one is not None)
        return self.grown(list(islice(dict.fromkeys([*kept, *in_turn]), self.size)))

    def grown(self, start: Sequence[str], within: Collection[str] | None = None) -> list[str]:
        """The start and what lies around it, layer by layer, until the size is reached or nothing
        is left: along valid steps where there are any, as dead ends and hubs tie together what has
        little in common."""
        entities = list(start)
        while len(entities) < self.size:
            fresh = self._around(entities, within, self._linked) or self._around(
                entities, within, self.space.neighbours
            )
            if not fresh:
                break
            entities += self.shuffled(fresh)[: self.size - len(entities)]
        return entities

    def _around(
        self,
        entities: Sequence[str],
        within: Collection[str] | None,
        ways: Callable[[str], set[str]],
    ) -> set[str]:
        fresh = {other for one in entities for other in ways(one)}.difference(entities)
        return fresh if within is None else fresh.intersection(within)

    def _linked(self, entity: str) -> set[str]:
        """What a valid step joins the entity with."""
        return {
            step.target
            for steps in (self.ways.out, self.ways.into)
            for step in steps.get(entity, ())
        }

    def shuffled(self, entities: Iterable[str]) -> list[str]:
        """In an order that the dice decide, not the order given."""
        ordered = sorted(entities)
        self.dice.shuffle(ordered)
        return ordered


def sample(
    space: SampleSpace, strategy: SampleRequest, size: int, seed: str | None, dice: random.Random
) -> Subgraph:
    """A sample of at most ``size`` entities; without a ``seed`` one is drawn. See the module's
    docstring.

    ConfigError for an unknown strategy or a size below 1, DataError for a graph without relations
    and no seed.
    """
    if size < 1 or strategy not in (*STRATEGIES, MIXED):
        raise ConfigError(
            f"no sample of {size} entities by {strategy!r}: chains.subgraph_size must be at least 1, "
            f"chains.subgraph one of {', '.join((*STRATEGIES, MIXED))}"
        )
    if seed is None:
        if not space.entities:
            raise DataError("no relation reaches graph.min_confidence: there is nothing to sample")
        seed = dice.choice(space.entities)
    drawn = _drawn(space.config, dice) if strategy == MIXED else strategy
    used: SampleUsed = drawn
    draw = Draw(space, size, seed, dice)
    found = STRATEGIES[drawn](draw)
    if not found.backbone:
        nearest = next(iter(draw.both_ways(min(draw.max_hops, 1))), draw.here)
        found = Found(draw.grown(nearest.entities), nearest.entities, found.reason)
        used = NEIGHBOURHOOD
    size_reason = (
        f"component of {len(found.entities)} entities is smaller than {size}: taken whole"
        if len(found.entities) < size
        else ""
    )
    entities = set(found.entities)
    return Subgraph(
        seed,
        strategy,
        used,
        tuple(sorted(entities)),
        tuple(space.inside(entities)),
        found.backbone,
        "; ".join(one for one in (size_reason, found.reason) if one),
    )


def _drawn(config: ChainsConfig, dice: random.Random) -> SampleStrategy:
    names = sorted(config.mixed_weights)
    return dice.choices(names, [config.mixed_weights[one] for one in names])[0]


def _augmented_chain(draw: Draw) -> Found:
    ends = (draw.trails(draw.here, draw.max_hops, back) for back in (False, True))
    far = next(
        filter(None, (sorted(one.entities for one in trails if one.hops > 1) for trails in ends)),
        [],
    )
    if not far:
        return Found([], (), "no valid path of two steps leads from the seed or to it")
    backbone = draw.dice.choice(far)
    return Found(draw.flanked(backbone, backbone), backbone)


def _max_chain(draw: Draw) -> Found:
    backbone, proven = _longest_chain(draw)
    if len(backbone) == 1:
        return Found([], (), "no valid step leads from the seed or to it")
    reason = "" if proven else "the search was cut short: there may be a longer chain"
    return Found(draw.flanked(backbone, backbone), backbone, reason)


def _longest_chain(draw: Draw) -> tuple[tuple[str, ...], bool]:
    """The longest path over the seed in the whole graph, and whether that is proven: by chance
    where there are many, else by a search of what is near."""
    space = draw.space
    trail, proven = long_trail(draw.here, draw.ways, draw.max_hops, draw.dice)
    if proven:
        return trail.entities, True
    around = draw.nearest(_SEARCHED + 1)
    path = longest_path_over(
        draw.seed,
        space.steps(draw.seed, around[:_SEARCHED]),
        draw.max_hops,
        space.config.solver_seconds,
        space.rules,
    )
    proven = path.proven_optimal and len(around) <= _SEARCHED
    return max(path.entities, trail.entities, key=len), proven


def _community_core_path(draw: Draw) -> Found:
    community = set(draw.space.communities.around(draw.seed))
    trails = [draw.here, *draw.both_ways(min(_CORE_HOPS, draw.max_hops))]
    inside = (one.entities for one in trails if community.issuperset(one.entities))
    to_core = min(inside, key=lambda way: min(map(draw.space.centralities.rank, way)))
    members = draw.grown(to_core, community)
    entities = draw.grown(members)
    config = draw.space.config
    path = longest_path_anywhere(
        draw.space.steps(draw.seed, entities),
        draw.max_hops,
        config.solver_seconds,
        draw.space.rules,
    )
    if not path.steps:
        return Found([], (), "no valid step lies inside the community")
    small = f"community of {len(members)} entities is smaller than {draw.size}: what lies around it joins"
    return Found(entities, path.entities, small if len(members) < len(entities) else "")


def _dual_core_bridge(draw: Draw) -> Found:
    near = {
        one.tip(back=True): one
        for one in draw.trails(draw.here, min(_CORE_HOPS, draw.max_hops // 2), back=True)
    }
    begun = [(near[core], False) for core in _cores(draw, near)]
    for trail, back in [*begun, (draw.here, False), (draw.here, True)]:
        bridge = _bridge(draw, trail, back)
        if bridge:
            reason = (
                "" if trail.hops else "no path over the seed joins two cores: it is one of them"
            )
            return Found(draw.flanked(bridge, (bridge[0], bridge[-1])), bridge, reason)
    return Found([], (), "no valid path joins the seed and an entity that is no neighbour of it")


def _bridge(draw: Draw, begun: Trail, back: bool) -> tuple[str, ...]:
    """A trail led on (``back``: begun earlier) to a central entity that is no neighbour of the core
    it starts from, one of another community where there is any; empty where there is no way."""
    core, number_of = begun.tip(not back), draw.space.communities.number_of
    beside = draw.space.neighbours(core)
    far = {
        one.tip(back): one.entities
        for one in draw.trails(begun, draw.max_hops - begun.hops, back)
        if one.tip(back) not in beside
    }
    elsewhere = [one for one in far if number_of[one] != number_of[core]]
    cores = _cores(draw, elsewhere or far)
    return far[cores[0]] if cores else ()


def _cores(draw: Draw, entities: Iterable[str]) -> list[str]:
    """The most central of the entities; each is the first as often as its share of their
    betweenness says."""
    central = draw.space.centralities
    best = sorted(entities, key=central.rank)[:_CORES]
    return sorted(best, key=lambda one: draw.dice.expovariate(1 + central.betweenness[one]))


STRATEGIES: dict[SampleStrategy, Callable[[Draw], Found]] = {
    "augmented_chain": _augmented_chain,
    "community_core_path": _community_core_path,
    "dual_core_bridge": _dual_core_bridge,
    "max_chain": _max_chain,
}
