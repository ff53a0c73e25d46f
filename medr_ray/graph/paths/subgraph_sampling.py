"""Samples of the merged graph around an entity, by five strategies.

``augmented_chain``: a path from the seed to an entity drawn around it, or else the other way, then
neighbours of its entities. ``community_core_path``: the seed's community around its most central
entity nearby, and the longest path inside. ``dual_core_bridge``: a path over the seed between two
central entities far apart, then neighbours of both. ``max_chain``: the longest path over the seed,
then neighbours of its entities. ``mixed``: one of these by ``chains.mixed_weights``.

A sample is connected and contains the seed. It has exactly the size asked for where that many
entities are connected with the seed, and never more. It has every relation between its entities, in
its direction, and its backbone is a valid path (see ``graph.paths.validity``). It depends on the
relations, whatever their order, the configuration and the random generator alone. Where a strategy
finds nothing to build on, the seed's neighbourhood is taken, and ``reason`` says so.
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
from medr_ray.graph.paths.chains import find_longest_path_anywhere, find_longest_path_through
from medr_ray.graph.paths.communities import (
    Centralities,
    Communities,
    build_link_graph,
    find_centralities,
    find_communities,
)
from medr_ray.graph.paths.path_growth import (
    PartialPath,
    StepIndex,
    find_nearest_paths,
    reverse_steps,
    search_longest_path,
)
from medr_ray.graph.paths.validity import Rules, Step, build_steps, count_neighbours

MIXED: Final = "mixed"
NEIGHBOURHOOD: Final = "neighbourhood"  # of the seed, where a strategy finds no backbone
_MAX_NEARBY = 2_000  # entities considered around a seed, of graphs too large for a whole search
_MAX_EXACT_ENTITIES = 500  # entities that an exact search for the longest path is given
_CORE_HOPS = 3  # how far from the seed a core may lie
_CORE_CANDIDATES = 5  # the most central entities, of which one is drawn
Steps = Mapping[str, Sequence[Step]]


class SampleSpace:
    """The merged graph prepared for sampling; built once, sampled from as often as needed.

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
        all_relations = list(relations)
        self.config = config
        self.rules = Rules(config.unique_predicates, config.temporal_order)
        self.degree = count_neighbours(all_relations)
        self.relations = {
            relation.relation_id: relation
            for relation in all_relations
            if relation.confidence >= min_confidence
        }
        self._min_confidence = min_confidence
        self._run_seed = run_seed
        self._askable = askable
        # The other end of each relation of an entity, by relation id.
        self._other_ends: dict[str, dict[str, str]] = defaultdict(dict)
        for relation in self.relations.values():
            self._other_ends[relation.subject][relation.relation_id] = relation.object
            self._other_ends[relation.object][relation.relation_id] = relation.subject
        self._steps = self._build_steps(self.relations, "")
        self._step_index = StepIndex(self._steps, reverse_steps(self._steps), self.rules)

    @cached_property
    def entities(self) -> list[str]:
        """Those with a relation, sorted."""
        return sorted(self._other_ends)

    def neighbours(self, entity: str) -> set[str]:
        """The other ends of the entity's relations, in either direction."""
        return set(self._other_ends.get(entity, {}).values()) - {entity}

    def relations_between(self, entities: Collection[str]) -> list[str]:
        """Ids of the relations between entities, sorted."""
        relation_ids = {
            relation_id
            for entity in entities
            for relation_id, other in self._other_ends.get(entity, {}).items()
            if other in entities
        }
        return sorted(relation_ids)

    def steps_for(self, seed: str, within: Collection[str] | None = None) -> Steps:
        """The valid steps for paths of a seed, which is never a hub; only those between entities
        ``within``."""
        steps: Steps = self._steps
        if not self._is_passable(seed):
            steps = {**steps, **self._build_steps(self._other_ends.get(seed, {}), seed)}
        if within is None:
            return steps
        allowed = set(within)
        inside = {}
        for start in within:
            onward = [step for step in steps.get(start, ()) if step.target in allowed]
            if onward:
                inside[start] = onward
        return inside

    def step_index_for(self, seed: str) -> StepIndex:
        """The valid steps and rules for paths of a seed, seen from both ends of a step."""
        if self._is_passable(seed):
            return self._step_index
        return StepIndex(self.steps_for(seed), self._step_index.into, self.rules)

    def _is_passable(self, entity: str) -> bool:
        return self.degree.get(entity, 0) <= self.config.hub_degree

    def _build_steps(self, relation_ids: Iterable[str], seed: str) -> dict[str, list[Step]]:
        return build_steps(
            (self.relations[relation_id] for relation_id in relation_ids),
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
        return find_centralities(build_link_graph(self.entities, self._iterate_links()))

    @cached_property
    def communities(self) -> Communities:
        """Of every entity, over the valid steps."""
        return find_communities(build_link_graph(self.entities, self._iterate_links()), self._run_seed)

    def _iterate_links(self) -> Iterator[tuple[str, str]]:
        return ((start, step.target) for start, steps in self._steps.items() for step in steps)


@dataclass(frozen=True)
class SampledEntities:
    """What a strategy chose: connected entities, the seed among them, and the backbone.

    Without a backbone the strategy found nothing to build on, and ``reason`` says why.
    """

    entities: list[str]
    backbone: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class SampleDraw:
    """What one sample is drawn from, and the ways to choose entities from it."""

    space: SampleSpace
    size: int
    seed: str
    rng: random.Random

    @property
    def max_hops(self) -> int:
        """Of a backbone, which has to fit into the sample."""
        return min(self.space.config.max_hops, self.size - 1)

    @cached_property
    def step_index(self) -> StepIndex:
        return self.space.step_index_for(self.seed)

    @property
    def seed_path(self) -> PartialPath:
        """The path of no steps at the seed."""
        return PartialPath((self.seed,))

    def paths_from(
        self, start: PartialPath, max_hops: int, back: bool = False
    ) -> Iterator[PartialPath]:
        """Valid paths to what lies around, see ``find_nearest_paths``."""
        max_entities = max(_MAX_NEARBY, 2 * self.size)
        return find_nearest_paths(start, self.step_index, max_hops, max_entities, back)

    def paths_both_ways(self, max_hops: int) -> list[PartialPath]:
        """Valid paths from the seed and to it, those that end nearest to it first."""
        paths = [
            path
            for back in (False, True)
            for path in self.paths_from(self.seed_path, max_hops, back)
        ]
        return sorted(paths, key=lambda path: path.hops)

    def find_nearest_entities(self, count: int) -> list[str]:
        """The seed and the entities nearest to it along valid steps, whatever may follow what."""
        reached = {self.seed: None}
        queue = deque(reached)
        while queue and len(reached) < count:
            fresh = sorted(self._step_neighbours(queue.popleft()) - reached.keys())
            reached.update(dict.fromkeys(fresh))
            queue.extend(fresh)
        return list(reached)[:count]

    def add_neighbours(self, kept: Sequence[str], beside: Sequence[str]) -> list[str]:
        """``kept``, one neighbour of each entity of ``beside``, then another of each, and at last
        what lies around."""
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
        """The start and what lies around it, layer by layer, until the size is reached or nothing
        is left.

        Along valid steps where there are any, because dead ends and hubs connect what has little in
        common.
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
        """Neighbours of the entities that are not among them."""
        neighbours = {other for entity in entities for other in neighbours_of(entity)}
        fresh = neighbours.difference(entities)
        return fresh if within is None else fresh.intersection(within)

    def _step_neighbours(self, entity: str) -> set[str]:
        """The entities that a valid step joins the entity with."""
        index = self.step_index
        steps = (*index.out.get(entity, ()), *index.into.get(entity, ()))
        return {step.target for step in steps}

    def shuffle_entities(self, entities: Iterable[str]) -> list[str]:
        """In an order that the generator decides, not the order given."""
        ordered = sorted(entities)
        self.rng.shuffle(ordered)
        return ordered


def sample_subgraph(
    space: SampleSpace, strategy: SampleRequest, size: int, seed: str | None, rng: random.Random
) -> Subgraph:
    """A sample of at most ``size`` entities; without a ``seed`` one is drawn. See the module's
    docstring.

    ConfigError for an unknown strategy or a size below 1, DataError for a graph without relations
    and no seed.
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
    names = sorted(config.mixed_weights)
    return rng.choices(names, [config.mixed_weights[name] for name in names])[0]


def _sample_neighbourhood(draw: SampleDraw, reason: str) -> SampledEntities:
    """The seed with one neighbour as backbone, where there is one, and what lies around."""
    paths = draw.paths_both_ways(min(draw.max_hops, 1))
    backbone = next(iter(paths), draw.seed_path).entities
    return SampledEntities(draw.fill_up(backbone), backbone, reason)


def _sample_augmented_chain(draw: SampleDraw) -> SampledEntities:
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
    """The longest path through the seed in the whole graph, and whether that is proven: by chance
    where there are many, else by an exact search of what is near."""
    space = draw.space
    random_path, proven = search_longest_path(
        draw.seed_path, draw.step_index, draw.max_hops, draw.rng
    )
    if proven:
        return random_path.entities, True
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
        path.end_entity(back=True): path for path in draw.paths_from(draw.seed_path, core_hops, back=True)
    }
    cores = _draw_cores(draw, paths_from_cores)
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
    """The path led on (``back``: begun earlier) to a central entity that is no neighbour of the
    core it starts from, one of another community where there is any; empty where there is none."""
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
    """The most central of the entities, in random order; each comes first as often as its share of
    their betweenness says."""
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
