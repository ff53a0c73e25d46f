"""Growing a graph around a seed (paper section 3.1.1).

At each step the current entity is read about and its relations join the graph; the next entity is uniform among the
neighbours not read about yet with probability ``neighbour_probability``, else newly discovered through the medical
retriever. What holds: the graph is connected and holds the seed; every relation has evidence; the outcome depends only
on the index, the configuration, the run's seed and the seed entity.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from medr_ray.core.config import GraphConfig
from medr_ray.core.records import Relation
from medr_ray.graph.extraction import RelationExtractor, merge_relations
from medr_ray.graph.validity import is_walkable, vagueness
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import DISEASE, PREDICATES
from medr_ray.retrieval.documents import Document

_RANK = {name: rank for rank, name in enumerate((
    "has_inheritance", "has_onset", "associated_gene", "subtype_of", "treated_with", "induced_by", "complicated_by",
    "presents_with", "sign_induced_by", "sign_treated_with", "sign_associated_gene", "acts_on", "gene_interaction",
    "combined_with", "has_finding"))}


class Library(Protocol):
    """Where documents about an entity come from."""

    def record(self, entity: str) -> Document | None:
        """The curated record of a disease."""
        ...

    def about(self, query: str, count: int) -> list[Document]:
        """The best documents for a query, in the order of the medical retriever."""
        ...


@dataclass
class SeedGraph:
    """The graph so far: relations by id, the entities read about, and who is next to whom."""

    seed: str
    relations: dict[str, Relation] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    @property
    def entities(self) -> set[str]:
        return {self.seed, *(end for one in self.relations.values() for end in (one.subject, one.object))}

    def add(self, relation: Relation) -> None:
        known = self.relations.get(relation.relation_id)
        self.relations[relation.relation_id] = merge_relations(known, relation) if known else relation

    def unread_neighbours(self, entity: str) -> list[str]:
        """Neighbours a walk can go through and that were not read about yet, sorted."""
        found = set()
        for one in self.relations.values():
            other = other_end(one, entity)
            if other is not None and other not in self.read and is_walkable(one, entity) and is_walkable(one, other):
                found.add(other)
        return sorted(found)


def other_end(relation: Relation, entity: str) -> str | None:
    """The end that is not ``entity``; None when neither or both are."""
    if relation.subject == relation.object or entity not in (relation.subject, relation.object):
        return None
    return relation.object if relation.subject == entity else relation.subject


class Expander:
    """Expands seeds, one after another; holds nothing of one seed that could change another's graph."""

    def __init__(self, library: Library, extractor: RelationExtractor, vocabulary: Vocabulary, config: GraphConfig,
                 run_seed: int) -> None:
        self._library, self._extractor, self._vocabulary = library, extractor, vocabulary
        self._config, self._run_seed = config, run_seed

    def expand(self, seed: str) -> SeedGraph:
        """The graph around one seed."""
        graph, dice = SeedGraph(seed), seeded_random(self._run_seed, seed)
        current: str | None = seed
        for _ in range(self._config.steps):
            if current is None or len(graph.entities) >= self._config.max_entities:
                break
            documents = self._read_about(graph, current)
            current = self._next(graph, current, documents, dice)
        return graph

    def _read_about(self, graph: SeedGraph, entity: str) -> list[Document]:
        """Read the documents about an entity; the chosen relations it takes part in join the graph."""
        graph.read.add(entity)
        documents = self._documents(entity)
        stated = self._relations(documents, entity)
        for relation in choose(stated, entity, self._config.max_relations_per_entity):
            if len(graph.entities | {relation.subject, relation.object}) <= self._config.max_entities:
                graph.add(relation)
        return documents

    def _documents(self, entity: str) -> list[Document]:
        """The entity's own record, then what the retriever finds by name."""
        record = self._library.record(entity)
        found = self._library.about(query_about(entity, self._vocabulary), self._config.documents_per_step)
        own = [record] if record is not None else []
        return own + [one for one in found if record is None or one.document_id != record.document_id]

    def _relations(self, documents: Iterable[Document], entity: str | None) -> list[Relation]:
        found: dict[str, Relation] = {}
        for document in documents:
            for one in self._extractor.extract(document, {entity} if entity else None).relations:
                if one.confidence >= self._config.min_confidence:
                    known = found.get(one.relation_id)
                    found[one.relation_id] = merge_relations(known, one) if known else one
        return [found[key] for key in sorted(found)]

    def _next(self, graph: SeedGraph, current: str, documents: Sequence[Document], dice: random.Random) -> str | None:
        """The paper's mixture: a neighbour, else a discovery; where the chosen way offers none, the other one."""
        ways = [lambda: self._neighbour(graph, current, dice), lambda: self._discover(graph, documents, dice)]
        if dice.random() >= self._config.neighbour_probability:
            ways.reverse()
        return ways[0]() or ways[1]()

    def _neighbour(self, graph: SeedGraph, current: str, dice: random.Random) -> str | None:
        neighbours = graph.unread_neighbours(current)
        return dice.choice(neighbours) if neighbours else None

    def _discover(self, graph: SeedGraph, documents: Sequence[Document], dice: random.Random) -> str | None:
        """A new entity of the documents found, with a relation that ties it to the graph."""
        inside = graph.entities
        ties: dict[str, list[Relation]] = defaultdict(list)
        for one in self._relations(documents, None):
            ends = {one.subject, one.object}
            new = ends - inside
            if len(new) == 1 and all(is_walkable(one, end) for end in ends):
                ties[next(iter(new))].append(one)
        if not ties or len(inside) >= self._config.max_entities:
            return None
        entity = dice.choice(sorted(ties))
        graph.add(ties[entity][0])
        return entity


def seeded_random(run_seed: int, entity: str) -> random.Random:
    """A generator that depends on the run's seed and the entity alone."""
    return random.Random(hashlib.sha256(f"{run_seed}\n{entity}".encode()).digest())


def query_about(entity: str, vocabulary: Vocabulary) -> str:
    """What to search for: a disease by its name, any other entity as what a disease has to do with it."""
    name, kind = vocabulary.name_of(entity), vocabulary.type_of(entity)
    if kind == DISEASE:
        return name
    phrases = (one.name_subject(name) for one in PREDICATES.values() if one.object_type == kind and one.inverse_phrase)
    return next(phrases, name)


def choose(relations: Sequence[Relation], entity: str, count: int) -> list[Relation]:
    """The relations of an entity that say most: those that are alone in their predicate and qualifier first (only they
    single out their object), then by predicate, then exact counts before shares before words."""
    groups = Counter(_group(one, entity) for one in relations)
    ranked = sorted(relations, key=lambda one: (
        groups[_group(one, entity)] > 1, _RANK[one.predicate], vagueness(one.clinical), -one.confidence,
        one.relation_id))
    return ranked[:count]


def _group(relation: Relation, entity: str) -> tuple[str, bool, str]:
    return relation.predicate, relation.subject == entity, relation.clinical

