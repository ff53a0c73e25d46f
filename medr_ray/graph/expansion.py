"""Growing a graph around a seed (paper section 3.1.1).

At each step the documents about the current entity are read and its relations join the graph. With
probability ``neighbour_probability`` the next entity is drawn from its neighbours that were not
read about yet; else it is newly discovered through the medical retriever.

Guaranteed: the graph is connected and contains the seed; every relation has evidence; an entity has
one id, whatever records it was merged from; no bound of the configuration is passed, whichever step
a relation comes from; the outcome depends only on the index, the configuration, the run's seed and
the seed entity.

A grown seed records which entities it read about and a digest of the documents there were, so
``Expander.is_up_to_date`` can tell whether another index would make a difference, without reading
anything again.
"""

import functools
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from medr_ray.core.config import GraphConfig
from medr_ray.core.parts import digest
from medr_ray.core.records import Relation
from medr_ray.graph.extraction.disease_records import get_record_id
from medr_ray.graph.extraction.extractor import (
    RelationExtractor,
    is_well_typed,
    merge_relations,
    relation_id,
)
from medr_ray.graph.paths.validity import is_walkable, vagueness
from medr_ray.graph.storage import EntityReading, GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import DISEASE, PREDICATES
from medr_ray.retrieval.documents import HPO, Document

_MAX_CACHED_ENTITIES = 1024  # with the documents about them: some tens of MB


class DocumentLibrary(Protocol):
    """Where documents about an entity come from."""

    def find_record(self, entity: str) -> Document | None:
        """The curated record of a disease."""
        ...

    def search(self, query: str, count: int) -> list[Document]:
        """The best documents for a query, in the order of the medical retriever."""
        ...


@dataclass
class GrowingGraph:
    """The graph so far: relations by id, and the digest of what was read about each entity, in the
    order of reading.

    It has at most ``max_entities``, the seed among them, and at most ``max_relations`` of each.
    """

    seed: str
    max_entities: int
    max_relations: int
    relations: dict[str, Relation] = field(default_factory=dict)
    readings: dict[str, str] = field(default_factory=dict)
    _degrees: Counter[str] = field(default_factory=Counter)

    @property
    def entities(self) -> set[str]:
        return {self.seed, *self._degrees}

    @property
    def is_full(self) -> bool:
        return len(self.entities) >= self.max_entities

    def has_room_for(self, relation: Relation) -> bool:
        """Whether a relation that is not in the graph passes no bound."""
        ends = {relation.subject, relation.object}
        return (
            all(self._degrees[end] < self.max_relations for end in ends)
            and len(self.entities | ends) <= self.max_entities
        )

    def add(self, relation: Relation) -> None:
        """Add a relation where there is room for it, or its evidence to the one of its id."""
        existing = self.relations.get(relation.relation_id)
        if existing is not None:
            self.relations[relation.relation_id] = merge_relations(existing, relation)
        elif self.has_room_for(relation):
            self.relations[relation.relation_id] = relation
            self._degrees.update({relation.subject, relation.object})

    def unread_neighbours(self, entity: str) -> list[str]:
        """Neighbours a walk can go through and that were not read about yet, sorted."""
        neighbours = set()
        for relation in self.relations.values():
            other = other_end(relation, entity)
            if other is not None and other not in self.readings and _is_passable(relation):
                neighbours.add(other)
        return sorted(neighbours)

    def to_grown_seed(self) -> GrownSeed:
        """The graph as it is stored."""
        relations = tuple(self.relations[key] for key in sorted(self.relations))
        readings = tuple(
            EntityReading(entity, documents) for entity, documents in self.readings.items()
        )
        return GrownSeed(self.seed, relations, readings)


def other_end(relation: Relation, entity: str) -> str | None:
    """The end that is not ``entity``; None when neither or both are."""
    if relation.subject == relation.object or entity not in (relation.subject, relation.object):
        return None
    return relation.object if relation.subject == entity else relation.subject


def _is_passable(relation: Relation) -> bool:
    """Whether it can be walked either way: what is reached along it is no dead end."""
    return is_walkable(relation, relation.subject) and is_walkable(relation, relation.object)


class Expander:
    """Expands seeds, one after another; what it caches for one changes no other's graph.
    ``prepare`` is called with all documents that are about to be read together."""

    def __init__(
        self,
        library: DocumentLibrary,
        extractor: RelationExtractor,
        vocabulary: Vocabulary,
        config: GraphConfig,
        run_seed: int,
        prepare: Callable[[Sequence[Document]], None] | None = None,
    ) -> None:
        self._library = library
        self._extractor = extractor
        self._vocabulary = vocabulary
        self._config = config
        self._run_seed = run_seed
        self._prepare = prepare
        self._documents = functools.lru_cache(_MAX_CACHED_ENTITIES)(self._find_documents)

    def expand(self, seed: str) -> GrowingGraph:
        """The graph around one seed."""
        graph = GrowingGraph(seed, self._config.max_entities, self._config.max_relations_per_entity)
        rng = make_rng(self._run_seed, seed)
        self._read_about(graph, seed)
        current = seed
        for _ in range(self._config.steps - 1):
            if graph.is_full:
                break
            next_entity = self._choose_next(graph, current, rng)
            if next_entity is None:
                break
            self._read_about(graph, next_entity)
            current = next_entity
        return graph

    def is_up_to_date(self, grown: GrownSeed) -> bool:
        """Whether there is still the same to read, and so the seed would grow as it did."""
        return all(
            digest(*self._documents(reading.entity)) == reading.documents
            for reading in grown.readings
        )

    def _read_about(self, graph: GrowingGraph, entity: str) -> None:
        """Read the documents about an entity; the relations it takes part in join the graph."""
        documents = self._documents(entity)
        graph.readings[entity] = digest(*documents)
        if self._prepare is not None:
            self._prepare(documents)
        # The best first: a full graph takes no more.
        for relation in rank_relations(self._read_relations(documents, entity), entity):
            graph.add(relation)

    def _find_documents(self, entity: str) -> tuple[Document, ...]:
        """The entity's own record, then what the retriever finds by name."""
        query = build_query(entity, self._vocabulary)
        documents = self._library.search(query, self._config.documents_per_step)
        own_records = (
            document
            for document in documents
            if document.source == HPO and get_record_id(document) == entity
        )
        record = next(own_records, None)
        if record is None and self._vocabulary.type_of(entity) == DISEASE:
            record = self._find_record(entity)
        if record is None:
            return tuple(documents)
        return (record, *(document for document in documents if document != record))

    def _find_record(self, entity: str) -> Document | None:
        """The record under the entity's id, or under another id it has."""
        for entity_id in (entity, *self._vocabulary.concepts[entity].xrefs):
            record = self._library.find_record(entity_id)
            if record is not None:
                return record
        return None

    def _extract(self, document: Document) -> Iterator[Relation]:
        """The relations of a document that are sure enough, between ids that are current."""
        for relation in self._extractor.extract(document).relations:
            if relation.confidence < self._config.min_confidence:
                continue
            current = resolve_ids(relation, self._vocabulary)
            if current is not None:
                yield current

    def _read_relations(
        self, documents: Iterable[Document], entity: str | None = None
    ) -> list[Relation]:
        """The relations of the documents, only those of ``entity`` where it is given, one of each
        id, sorted by id."""
        relations: dict[str, Relation] = {}
        for document in documents:
            for relation in self._extract(document):
                if entity is not None and entity not in (relation.subject, relation.object):
                    continue
                key = relation.relation_id
                if key in relations:
                    relation = merge_relations(relations[key], relation)
                relations[key] = relation
        return [relations[key] for key in sorted(relations)]

    def _choose_next(self, graph: GrowingGraph, current: str, rng: random.Random) -> str | None:
        """The paper's mixture: a neighbour, else a discovery; where the one that was drawn offers
        none, the other one."""
        choices = [self._choose_neighbour, self._discover]
        if rng.random() >= self._config.neighbour_probability:
            choices.reverse()
        first_choice, second_choice = choices
        return first_choice(graph, current, rng) or second_choice(graph, current, rng)

    def _choose_neighbour(
        self, graph: GrowingGraph, current: str, rng: random.Random
    ) -> str | None:
        neighbours = graph.unread_neighbours(current)
        return rng.choice(neighbours) if neighbours else None

    def _discover(self, graph: GrowingGraph, current: str, rng: random.Random) -> str | None:
        """A new entity of the documents about the current one, with a relation that ties it to the
        graph."""
        inside = graph.entities
        ties: dict[str, list[Relation]] = defaultdict(list)
        for relation in self._read_relations(self._documents(current)):
            outside = {relation.subject, relation.object} - inside
            if len(outside) != 1:
                continue
            if _is_passable(relation) and graph.has_room_for(relation):
                ties[next(iter(outside))].append(relation)
        if not ties:
            return None
        entity = rng.choice(sorted(ties))
        graph.add(ties[entity][0])
        return entity


def make_rng(run_seed: int, entity: str) -> random.Random:
    """A generator that depends on the run's seed and the entity alone."""
    return random.Random(hashlib.sha256(f"{run_seed}\n{entity}".encode()).digest())


def build_query(entity: str, vocabulary: Vocabulary) -> str:
    """What to search for: a disease by its name, any other entity as what a disease has to do with
    it."""
    name = vocabulary.name_of(entity)
    entity_type = vocabulary.type_of(entity)
    if entity_type == DISEASE:
        return name
    for predicate in PREDICATES.values():
        if predicate.object_type != entity_type or not predicate.inverse_phrase:
            continue
        # A phrase with a qualifier cannot be filled in without a relation.
        if not predicate.prints_clinical(forward=False):
            return predicate.name_subject(name)
    return name


def resolve_ids(relation: Relation, vocabulary: Vocabulary) -> Relation | None:
    """The relation between the ids its ends go by now; None where that leaves no relation of its
    predicate."""
    subject = vocabulary.canonical_id(relation.subject)
    obj = vocabulary.canonical_id(relation.object)
    if (subject, obj) == (relation.subject, relation.object):
        return relation
    if subject == obj:
        return None
    if PREDICATES[relation.predicate].symmetric:
        subject, obj = sorted((subject, obj))
    key = relation_id(subject, relation.predicate, obj, relation.clinical)
    resolved = replace(relation, relation_id=key, subject=subject, object=obj)
    return resolved if is_well_typed(resolved, vocabulary) else None


def rank_relations(relations: Sequence[Relation], entity: str) -> list[Relation]:
    """The relations of an entity, the most informative first: those that are alone in their
    predicate and qualifier (only they single out their object), then by predicate, then exact
    counts before shares before words."""
    group_sizes = Counter(_group(relation, entity) for relation in relations)
    return sorted(
        relations,
        key=lambda relation: (
            group_sizes[_group(relation, entity)] > 1,
            PREDICATES[relation.predicate].expansion_rank,
            vagueness(relation.clinical),
            -relation.confidence,
            relation.relation_id,
        ),
    )


def _group(relation: Relation, entity: str) -> tuple[str, bool, str]:
    return relation.predicate, relation.subject == entity, relation.clinical
