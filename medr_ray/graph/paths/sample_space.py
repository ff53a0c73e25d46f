"""The merged graph prepared for sampling: relations, steps, centralities and communities."""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from medr_ray.core.config import ChainsConfig
from medr_ray.core.records import Relation
from medr_ray.graph.paths.communities import (
    Centralities,
    Communities,
    build_link_graph,
    find_centralities,
    find_communities,
)
from medr_ray.graph.paths.path_growth import StepIndex, reverse_steps
from medr_ray.graph.paths.validity import Rules, Step, build_steps, count_neighbours

Steps = Mapping[str, Sequence[Step]]


class SampleSpace:
    """The merged graph prepared for sampling. It is built once and used for all samples.

    ``degree`` is the number of neighbours in the whole graph. ``relations`` are those at or above
    the confidence floor, by id.
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
        """The entities that have a relation, sorted."""
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
        """The valid steps for paths of a seed; with ``within`` only those between these entities.

        The seed is never treated as a hub, so a path may leave it.
        """
        steps: Steps = self._steps
        # The steps shared by all seeds leave no hub, so those of a hub that is the seed are added.
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
        # ``into`` lacks the steps that leave the seed. No path around the seed needs them: it
        # contains the seed from the beginning and does not return to it.
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
        """Centralities of every entity over the valid steps, so that a hub that no path passes
        through is not central."""
        return find_centralities(build_link_graph(self.entities, self._iterate_links()))

    @cached_property
    def communities(self) -> Communities:
        """The communities of the entities over the valid steps."""
        return find_communities(
            build_link_graph(self.entities, self._iterate_links()), self._run_seed
        )

    def _iterate_links(self) -> Iterator[tuple[str, str]]:
        return ((start, step.target) for start, steps in self._steps.items() for step in steps)
