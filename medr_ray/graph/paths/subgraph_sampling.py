"""Samples of the merged graph around an entity, by five strategies.

- ``augmented_chain``: a path from the seed to a random entity around it, or to the seed where none
  leads from it, and neighbours of the path's entities.
- ``community_core_path``: the seed's community around the most central entity near the seed, and
  the longest path inside.
- ``dual_core_bridge``: a path through the seed between two central entities that are far apart, and
  neighbours of both.
- ``max_chain``: the longest path through the seed, and neighbours of its entities.
- ``mixed``: one of these, drawn by ``chains.mixed_weights``.

A sample is connected and contains the seed. It has exactly the requested size where that many
entities are connected with the seed, otherwise fewer. It contains every relation between its
entities, and its backbone is a valid path (see ``graph.paths.validity``). It depends only on the
relations (in any order), the configuration and the random generator. Where a strategy finds no
backbone, the sample is the seed's neighbourhood, and ``reason`` says so.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from typing import Final

from medr_ray.core.config import ChainsConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import SampleRequest, SampleStrategy, SampleUsed, Subgraph
from medr_ray.graph.paths.chains import find_longest_path_anywhere, find_longest_path_through
from medr_ray.graph.paths.path_growth import (
    PartialPath,
    StepIndex,
    find_nearest_paths,
    search_longest_path,
)
from medr_ray.graph.paths.sample_space import SampleSpace

MIXED: Final = "mixed"
NEIGHBOURHOOD: Final = "neighbourhood"  # of the seed, where a strategy finds no backbone
# Entities considered around a seed, so that large graphs are not searched as a whole.
_MAX_NEARBY = 2_000
_MAX_EXACT_ENTITIES = 500  # entities given to the exact search for the longest path
_CORE_HOPS = 3  # steps between the seed and a core, at most
_CORE_CANDIDATES = 5  # the most central entities, of which one is drawn


@dataclass(frozen=True)
class SampledEntities:
    """The choice of a strategy: connected entities, which include the seed, and the backbone.

    An empty backbone means that the strategy found none; ``reason`` says why.
    """

    entities: list[str]
    backbone: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class SampleDraw:
    """The setting of one sample (graph, size, seed, generator), and the ways to choose entities."""

    space: SampleSpace
    size: int
    seed: str
    rng: random.Random

    @property
    def max_hops(self) -> int:
        """The most steps of a backbone, which has to fit into the sample."""
        return min(self.space.config.max_hops, self.size - 1)

    @cached_property
    def step_index(self) -> StepIndex:
        return self.space.step_index_for(self.seed)

    @property
    def seed_path(self) -> PartialPath:
        """The path without steps at the seed."""
        return PartialPath((self.seed,))

    def paths_from(
        self, start: PartialPath, max_hops: int, back: bool = False
    ) -> Iterator[PartialPath]:
        """Valid paths to the entities around; see ``find_nearest_paths``."""
        max_entities = max(_MAX_NEARBY, 2 * self.size)
        return find_nearest_paths(start, self.step_index, max_hops, max_entities, back)

    def paths_both_ways(self, max_hops: int) -> list[PartialPath]:
        """Valid paths from the seed and to it, the shortest first."""
        paths = [
            path
            for back in (False, True)
            for path in self.paths_from(self.seed_path, max_hops, back)
        ]
        # A stable sort: of equally long paths those from the seed come first.
        return sorted(paths, key=lambda path: path.hops)

    def find_nearest_entities(self, count: int) -> list[str]:
        """The seed and the entities nearest to it along valid steps, whether or not these may
        follow one another."""
        reached: dict[str, None] = {self.seed: None}  # a set that keeps the order
        queue = deque(reached)
        while queue and len(reached) < count:
            fresh = sorted(self._step_neighbours(queue.popleft()) - reached.keys())
            reached.update(dict.fromkeys(fresh))
            queue.extend(fresh)
        return list(reached)[:count]

    def add_neighbours(self, kept: Sequence[str], beside: Sequence[str]) -> list[str]:
        """``kept`` and neighbours of the entities in ``beside``, up to the size of the sample.

        The neighbours are taken in turns, one of each entity at a time, so that no entity uses up
        the room of the others. If they do not suffice, the entities around follow.
        """
        neighbours = [self.shuffle_entities(self.space.neighbours(entity)) for entity in beside]
        in_turn = [
            entity
            for entities in zip_longest(*neighbours)
            for entity in entities
            if entity is not None
        ]
        chosen = islice(dict.fromkeys([*kept, *in_turn]), self.size)
        return self.fill_up(list(chosen))

    def fill_up(self, start: Sequence[str], within: Collection[str] | None = None) -> list[str]:
        """The start and the entities around it, layer by layer, until the size is reached or no
        entity is left.

        Neighbours along valid steps come first. Dead ends and hubs connect entities that have
        little in common, so they are used only where no valid step leads on.
        """
        entities = list(start)
        while len(entities) < self.size:
            fresh = self._collect_fresh_neighbours(entities, within, self._step_neighbours)
            if not fresh:
                fresh = self._collect_fresh_neighbours(entities, within, self.space.neighbours)
            if not fresh:
                break
            entities += self.shuffle_entities(fresh)[: self.size - len(entities)]
        return entities

    def _collect_fresh_neighbours(
        self,
        entities: Sequence[str],
        within: Collection[str] | None,
        neighbours_of: Callable[[str], set[str]],
    ) -> set[str]:
        """The neighbours of the entities that are not among them, only those ``within``."""
        neighbours = {other for entity in entities for other in neighbours_of(entity)}
        fresh = neighbours.difference(entities)
        return fresh if within is None else fresh.intersection(within)

    def _step_neighbours(self, entity: str) -> set[str]:
        """The entities that a valid step connects with this entity, in either direction."""
        index = self.step_index
        steps = (*index.out.get(entity, ()), *index.into.get(entity, ()))
        return {step.target for step in steps}

    def shuffle_entities(self, entities: Iterable[str]) -> list[str]:
        """The entities in random order."""
        # Sorted first: a set of strings has another order in every process, and the sample must be
        # the same in all.
        ordered = sorted(entities)
        self.rng.shuffle(ordered)
        return ordered


def sample_subgraph(
    space: SampleSpace, strategy: SampleRequest, size: int, seed: str | None, rng: random.Random
) -> Subgraph:
    """A sample of at most ``size`` entities; see the module's docstring. Without a ``seed`` one is
    drawn.

    Raises ConfigError for an unknown strategy or a size below 1, and DataError where a seed has to
    be drawn from a graph without relations.
    """
    if size < 1 or strategy not in (*STRATEGIES, MIXED):
        raise ConfigError(
            f"no sample of {size} entities by {strategy!r}: chains.subgraph_size must be at least "
            f"1, chains.subgraph one of {', '.join((*STRATEGIES, MIXED))}"
        )
    if seed is None:
        if not space.entities:
            raise DataError("no relation reaches graph.min_confidence: there is nothing to sample")
        seed = rng.choice(space.entities)
    drawn = _draw_strategy(space.config, rng) if strategy == MIXED else strategy
    used: SampleUsed = drawn
    draw = SampleDraw(space, size, seed, rng)
    sampled = STRATEGIES[drawn](draw)
    if not sampled.backbone:
        sampled = _sample_neighbourhood(draw, sampled.reason)
        used = NEIGHBOURHOOD
    reasons = []
    if len(sampled.entities) < size:
        reasons.append(
            f"component of {len(sampled.entities)} entities is smaller than {size}: taken whole"
        )
    if sampled.reason:
        reasons.append(sampled.reason)
    entities = set(sampled.entities)
    return Subgraph(
        seed=seed,
        strategy=strategy,
        used=used,
        entities=tuple(sorted(entities)),
        relations=tuple(space.relations_between(entities)),
        backbone=sampled.backbone,
        reason="; ".join(reasons),
    )


def _draw_strategy(config: ChainsConfig, rng: random.Random) -> SampleStrategy:
    # Sorted, so that the order in the configuration file does not change what is drawn.
    names = sorted(config.mixed_weights)
    return rng.choices(names, [config.mixed_weights[name] for name in names])[0]


def _sample_neighbourhood(draw: SampleDraw, reason: str) -> SampledEntities:
    """The entities around the seed. The backbone is the seed with one neighbour, where there is
    one."""
    paths = draw.paths_both_ways(min(draw.max_hops, 1))
    backbone = next(iter(paths), draw.seed_path).entities
    return SampledEntities(draw.fill_up(backbone), backbone, reason)


def _sample_augmented_chain(draw: SampleDraw) -> SampledEntities:
    # Paths to the seed are tried only where none of two steps leads from it.
    for back in (False, True):
        paths = draw.paths_from(draw.seed_path, draw.max_hops, back)
        backbones = sorted(path.entities for path in paths if path.hops > 1)
        if backbones:
            backbone = draw.rng.choice(backbones)
            return SampledEntities(draw.add_neighbours(backbone, backbone), backbone)
    return SampledEntities([], (), "no valid path of two steps leads from the seed or to it")


def _sample_max_chain(draw: SampleDraw) -> SampledEntities:
    backbone, proven = _find_longest_backbone(draw)
    if len(backbone) == 1:
        return SampledEntities([], (), "no valid step leads from the seed or to it")
    reason = "" if proven else "the search was cut short: there may be a longer chain"
    return SampledEntities(draw.add_neighbours(backbone, backbone), backbone, reason)


def _find_longest_backbone(draw: SampleDraw) -> tuple[tuple[str, ...], bool]:
    """The longest path through the seed in the whole graph, and whether it is proven to be one.

    A random search comes first. It succeeds quickly where there are many paths of the greatest
    length. Otherwise an exact search in the neighbourhood of the seed follows.
    """
    space = draw.space
    random_path, proven = search_longest_path(
        draw.seed_path, draw.step_index, draw.max_hops, draw.rng
    )
    if proven:
        return random_path.entities, True
    # One entity more tells whether the exact search is given everything that can be reached.
    nearby = draw.find_nearest_entities(_MAX_EXACT_ENTITIES + 1)
    exact_path = find_longest_path_through(
        draw.seed,
        space.steps_for(draw.seed, nearby[:_MAX_EXACT_ENTITIES]),
        draw.max_hops,
        space.config.solver_seconds,
        space.rules,
    )
    proven = exact_path.proven_optimal and len(nearby) <= _MAX_EXACT_ENTITIES
    return max(exact_path.entities, random_path.entities, key=len), proven


def _sample_community_core_path(draw: SampleDraw) -> SampledEntities:
    space = draw.space
    community = set(space.communities.community_of(draw.seed))
    paths = [draw.seed_path, *draw.paths_both_ways(min(_CORE_HOPS, draw.max_hops))]
    inside = [path.entities for path in paths if community.issuperset(path.entities)]

    def centrality_of_core(entities: tuple[str, ...]) -> tuple[float, float, str]:
        return min(map(space.centralities.sort_key, entities))

    # The whole path to the core is kept, so that the sample stays connected and contains the seed.
    to_core = min(inside, key=centrality_of_core)
    members = draw.fill_up(to_core, community)
    entities = draw.fill_up(members)
    path = find_longest_path_anywhere(
        space.steps_for(draw.seed, entities),
        draw.max_hops,
        space.config.solver_seconds,
        space.rules,
    )
    if not path.steps:
        return SampledEntities([], (), "no valid step lies inside the community")
    reason = ""
    if len(members) < len(entities):
        reason = (
            f"community of {len(members)} entities is smaller than {draw.size}: "
            "what lies around it joins"
        )
    return SampledEntities(entities, path.entities, reason)


def _sample_dual_core_bridge(draw: SampleDraw) -> SampledEntities:
    core_hops = min(_CORE_HOPS, draw.max_hops // 2)
    paths_from_cores = {
        path.end_entity(back=True): path
        for path in draw.paths_from(draw.seed_path, core_hops, back=True)
    }
    cores = _draw_cores(draw, paths_from_cores)
    # First paths that lead from a core over the seed; then the seed itself serves as a core.
    starts = [(paths_from_cores[core], False) for core in cores]
    starts += [(draw.seed_path, False), (draw.seed_path, True)]
    for start, back in starts:
        bridge = _build_bridge(draw, start, back)
        if bridge:
            reason = ""
            if not start.hops:
                reason = "no path over the seed joins two cores: it is one of them"
            ends = (bridge[0], bridge[-1])
            return SampledEntities(draw.add_neighbours(bridge, ends), bridge, reason)
    return SampledEntities(
        [], (), "no valid path joins the seed and an entity that is no neighbour of it"
    )


def _build_bridge(draw: SampleDraw, start: PartialPath, back: bool) -> tuple[str, ...]:
    """The path extended at its end (``back``: at its start) to a central entity that is no
    neighbour of the core at its other end.

    An entity of another community is preferred. Empty where there is no such entity.
    """
    core = start.end_entity(not back)
    community_of = draw.space.communities.number_of
    neighbours = draw.space.neighbours(core)
    far_paths = {
        path.end_entity(back): path.entities
        for path in draw.paths_from(start, draw.max_hops - start.hops, back)
        if path.end_entity(back) not in neighbours
    }
    elsewhere = [entity for entity in far_paths if community_of[entity] != community_of[core]]
    cores = _draw_cores(draw, elsewhere or far_paths)
    return far_paths[cores[0]] if cores else ()


def _draw_cores(draw: SampleDraw, entities: Iterable[str]) -> list[str]:
    """The most central of the entities, in random order weighted by betweenness.

    Sorting by exponential variates whose rates are the weights is sampling without replacement by
    weight (Efraimidis and Spirakis, Information Processing Letters 97:181, 2006): an entity comes
    first with the probability of its share of all weights. The 1 gives entities without any
    betweenness a chance.
    """
    centralities = draw.space.centralities
    most_central = sorted(entities, key=centralities.sort_key)[:_CORE_CANDIDATES]
    return sorted(
        most_central,
        key=lambda entity: draw.rng.expovariate(1 + centralities.betweenness[entity]),
    )


STRATEGIES: dict[SampleStrategy, Callable[[SampleDraw], SampledEntities]] = {
    "augmented_chain": _sample_augmented_chain,
    "community_core_path": _sample_community_core_path,
    "dual_core_bridge": _sample_dual_core_bridge,
    "max_chain": _sample_max_chain,
}
