"""Growing a graph around a seed (paper section 3.1.1).

At each step the documents and the facts about the current entity are read, and its relations join
the graph. With
probability ``neighbour_probability`` the next entity is drawn from the neighbours that were not
read about yet; otherwise it is a new entity, discovered through the medical retriever.

Guaranteed: the graph is connected and contains the seed. Every relation has evidence. An entity has
one id, whatever records it was merged from. No limit of the configuration is exceeded, whichever
step a relation comes from. The result depends only on the index, the configuration, the run's seed
and the seed entity.

A grown seed records the entities that were read about and a digest of the documents and facts found
for each.
``Expander.is_up_to_date`` compares these digests with what the index gives now, and so decides
whether the seed has to be grown again without extracting anything.
"""

import functools
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, get_args

from medr_ray.core.config import GraphConfig
from medr_ray.core.parts import digest
from medr_ray.core.records import EntityType, Fact, Relation
from medr_ray.graph.extraction.disease_records import get_record_id
from medr_ray.graph.extraction.extractor import (
    RelationExtractor,
    build_relation_id,
    is_well_typed,
    merge_relations,
)
from medr_ray.graph.facts.registry_relations import FactLibrary, build_fact_relations
from medr_ray.graph.paths.validity import is_walkable, rank_vagueness
from medr_ray.graph.storage import EntityReading, GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import DISEASE, PREDICATES, TEXT_PREDICATES
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
    """The graph so far: relations by id, and a digest of the documents that were read about each
    entity, in the order of reading.

    It has at most ``max_entities``, including the seed, and at most ``max_relations`` of each
    entity.
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
        """Whether a new relation would keep the graph within its limits."""
        ends = {relation.subject, relation.object}
        return (
            all(self._degrees[end] < self.max_relations for end in ends)
            and len(self.entities | ends) <= self.max_entities
        )

    def add(self, relation: Relation) -> None:
        """Add a relation where there is room for it, or its evidence to the one of its id."""
        existing = self.relations.get(relation.relation_id)
        if existing is not None:
            # Evidence of a known relation is welcome even when the graph is full.
            self.relations[relation.relation_id] = merge_relations(existing, relation)
        elif self.has_room_for(relation):
            self.relations[relation.relation_id] = relation
            self._degrees.update({relation.subject, relation.object})

    def unread_neighbours(self, entity: str) -> list[str]:
        """The neighbours that were not read about yet and that a chain can pass through, sorted.

        They are sorted because the walk draws from them: sets of strings have another order in
        every process.
        """
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
    """Whether a chain can walk it in both directions, so that its far end is not a dead end."""
    return is_walkable(relation, relation.subject) and is_walkable(relation, relation.object)


class Expander:
    """Expands seeds, one after another. What is cached for one seed does not change the graph of
    another.

    Without ``facts`` only documents are read. ``prepare`` is called with all documents that are
    about to be read together, so that an extractor can read them concurrently.
    """

    def __init__(
        self,
        library: DocumentLibrary,
        extractor: RelationExtractor,
        vocabulary: Vocabulary,
        config: GraphConfig,
        run_seed: int,
        prepare: Callable[[Sequence[Document]], None] | None = None,
        facts: FactLibrary | None = None,
    ) -> None:
        self._library = library
        self._extractor = extractor
        self._vocabulary = vocabulary
        self._config = config
        self._run_seed = run_seed
        self._prepare = prepare
        self._facts = facts
        # The cache belongs to the instance: as a decorator of the method it would be shared by all
        # instances and keep them alive.
        self._documents = functools.lru_cache(_MAX_CACHED_ENTITIES)(self._find_documents)

    def expand(self, seed: str) -> GrowingGraph:
        """The graph around one seed."""
        graph = GrowingGraph(seed, self._config.max_entities, self._config.max_relations_per_entity)
        rng = make_rng(self._run_seed, seed)
        self._read_about(graph, seed)
        current = seed
        # Reading about the seed is the first of the steps.
        for _ in range(self._config.steps - 1):
            if graph.is_full:
                break
            next_entity = self._choose_next_entity(graph, current, rng)
            if next_entity is None:
                break
            self._read_about(graph, next_entity)
            current = next_entity
        return graph

    def is_up_to_date(self, grown: GrownSeed) -> bool:
        """Whether the same documents and facts are still found, so that the seed would grow as
        before."""
        return all(
            self._digest_sources(reading.entity) == reading.documents for reading in grown.readings
        )

    def _digest_sources(self, entity: str) -> str:
        """A digest of the documents and facts about an entity."""
        facts = [_identify_fact(fact) for fact in self._find_facts(entity)]
        return digest(*self._documents(entity), *facts)

    def _find_facts(self, entity: str) -> Sequence[Fact]:
        return self._facts.facts_about(entity) if self._facts is not None else ()

    def _read_about(self, graph: GrowingGraph, entity: str) -> None:
        """Read the documents and facts about an entity; the relations it takes part in join the
        graph."""
        documents = self._documents(entity)
        graph.readings[entity] = self._digest_sources(entity)
        if self._prepare is not None:
            self._prepare(documents)
        relations = merge_by_id(
            [*self._read_facts(entity), *self._read_relations(documents, entity)]
        )
        # The most informative relations come first, because a full graph takes no more.
        for relation in rank_relations(relations, entity):
            graph.add(relation)

    def _read_facts(self, entity: str) -> Iterator[Relation]:
        """The relations of the facts about an entity, as far as both ends can be in a graph."""
        for relation in build_fact_relations(self._find_facts(entity)):
            if relation.subject != relation.object and is_well_typed(relation, self._vocabulary):
                yield relation

    def _find_documents(self, entity: str) -> tuple[Document, ...]:
        """The entity's own record, then the documents that the retriever finds by name."""
        query = build_query(entity, self._vocabulary)
        documents = self._library.search(query, self._config.documents_per_step)
        # The record may be among the documents found; then it need not be looked up.
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
        for entity_id in (entity, *self._vocabulary.other_ids_of(entity)):
            record = self._library.find_record(entity_id)
            if record is not None:
                return record
        return None

    def _extract_confident(self, document: Document) -> Iterator[Relation]:
        """The relations of a document at or above the confidence floor, between current ids."""
        for relation in self._extractor.extract(document).relations:
            if relation.confidence < self._config.min_confidence:
                continue
            current = resolve_ids(relation, self._vocabulary)
            if current is not None:
                yield current

    def _read_relations(
        self, documents: Iterable[Document], entity: str | None = None
    ) -> list[Relation]:
        """The relations of the documents, merged by id and sorted by id; only those of ``entity``
        where it is given."""
        return merge_by_id(
            relation
            for document in documents
            for relation in self._extract_confident(document)
            if entity is None or entity in (relation.subject, relation.object)
        )

    def _choose_next_entity(
        self, graph: GrowingGraph, current: str, rng: random.Random
    ) -> str | None:
        """Draw between a neighbour and a discovery, as the paper does. Where the choice that was
        drawn offers no entity, the other one is tried."""
        choices = [self._choose_neighbour, self._discover_entity]
        if rng.random() >= self._config.neighbour_probability:
            choices.reverse()
        first_choice, second_choice = choices
        return first_choice(graph, current, rng) or second_choice(graph, current, rng)

    def _choose_neighbour(
        self, graph: GrowingGraph, current: str, rng: random.Random
    ) -> str | None:
        neighbours = graph.unread_neighbours(current)
        return rng.choice(neighbours) if neighbours else None

    def _discover_entity(self, graph: GrowingGraph, current: str, rng: random.Random) -> str | None:
        """A new entity from the documents and facts about the current one. A relation that connects
        it with the graph is added, so that the graph stays connected."""
        inside = graph.entities
        ties: dict[str, list[Relation]] = defaultdict(list)
        relations = [
            *self._read_facts(current),
            *self._read_relations(self._documents(current)),
        ]
        for relation in merge_by_id(relations):
            outside = {relation.subject, relation.object} - inside
            # Exactly one end must be new: the other one connects it with the graph.
            if len(outside) != 1:
                continue
            if _is_passable(relation) and graph.has_room_for(relation):
                ties[next(iter(outside))].append(relation)
        if not ties:
            return None
        entity = rng.choice(sorted(ties))
        # The relations come sorted by id, so the first one is always the same.
        graph.add(ties[entity][0])
        return entity


def _identify_fact(fact: Fact) -> tuple[str, str]:
    """What a newer edition that says the same does not change: the fact, and its date only where
    the date decides what is asked."""
    predicate = PREDICATES.get(fact.predicate)
    return fact.fact_id, fact.as_of if predicate and predicate.ages else ""


def merge_by_id(relations: Iterable[Relation]) -> list[Relation]:
    """The relations, those of one id merged, sorted by id."""
    merged: dict[str, Relation] = {}
    for relation in relations:
        key = relation.relation_id
        merged[key] = merge_relations(merged[key], relation) if key in merged else relation
    return [merged[key] for key in sorted(merged)]


def make_rng(run_seed: int, entity: str) -> random.Random:
    """A generator that depends on the run's seed and the entity alone."""
    # Not ``hash``, which gives another value for a string in every process.
    return random.Random(hashlib.sha256(f"{run_seed}\n{entity}".encode()).digest())


def build_query(entity: str, vocabulary: Vocabulary) -> str:
    """The query about an entity: a disease by its name, any other entity by the phrase that relates
    a disease to it ("disease associated with FBN1")."""
    name = vocabulary.name_of(entity)
    entity_type = vocabulary.type_of(entity)
    # What registries have records of goes by its name or number alone.
    if entity_type == DISEASE or entity_type not in get_args(EntityType):
        return name
    for predicate in TEXT_PREDICATES.values():
        if predicate.object_type != entity_type or not predicate.inverse_phrase:
            continue
        # A phrase with a qualifier cannot be filled in without a relation.
        if not predicate.prints_clinical(forward=False):
            return predicate.name_subject(name)
    return name


def resolve_ids(relation: Relation, vocabulary: Vocabulary) -> Relation | None:
    """The relation between the current ids of its ends; None where these do not fit the predicate,
    or are the same."""
    subject = vocabulary.canonical_id(relation.subject)
    obj = vocabulary.canonical_id(relation.object)
    if (subject, obj) == (relation.subject, relation.object):
        return relation
    if subject == obj:
        return None
    if PREDICATES[relation.predicate].symmetric:
        subject, obj = sorted((subject, obj))
    key = build_relation_id(subject, relation.predicate, obj, relation.clinical)
    resolved = replace(relation, relation_id=key, subject=subject, object=obj)
    return resolved if is_well_typed(resolved, vocabulary) else None


def rank_relations(relations: Sequence[Relation], entity: str) -> list[Relation]:
    """The relations of an entity, the most informative first.

    First come functional ones, then those that are alone with their predicate and qualifier,
    because only these single out their object. The rest of the order is by predicate, then exact
    counts before shares before words, then by confidence.
    """
    group_sizes = Counter(_group_key(relation, entity) for relation in relations)
    return sorted(
        relations,
        key=lambda relation: (
            not _is_functional(relation, entity),
            group_sizes[_group_key(relation, entity)] > 1,
            PREDICATES[relation.predicate].expansion_rank,
            rank_vagueness(relation.clinical),
            -relation.confidence,
            relation.relation_id,
        ),
    )


def _is_functional(relation: Relation, entity: str) -> bool:
    """Whether the entity has one value alone of the relation's predicate."""
    predicate = PREDICATES[relation.predicate]
    return predicate.cardinality(relation.subject == entity) == "functional"


def _group_key(relation: Relation, entity: str) -> tuple[str, bool, str]:
    return relation.predicate, relation.subject == entity, relation.clinical
