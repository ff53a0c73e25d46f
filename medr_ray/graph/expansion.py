"""Growing a graph around a seed (paper section 3.1.1).

At each step the current entity is read about and its relations join the graph; the next entity is,
with probability ``neighbour_probability``, drawn from its neighbours not read about yet, else newly
discovered through the medical retriever. What holds: the graph is connected and holds the seed;
every relation has evidence; an entity has one id, whatever records it was merged from; no bound of
the configuration is passed, whichever step a relation comes from; the outcome depends only on the
index, the configuration, the run's seed and the seed entity.

A grown seed remembers whom it read about and what there was to read, so ``Expander.still_holds``
can tell whether another index would make a difference, without reading anything again.
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
from medr_ray.graph.extraction.disease_records import record_of
from medr_ray.graph.extraction.extractor import (
    RelationExtractor,
    is_well_typed,
    merge_relations,
    relation_id,
)
from medr_ray.graph.paths.validity import is_walkable, vagueness
from medr_ray.graph.storage import GrownSeed, Reading
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import DISEASE, PREDICATES
from medr_ray.retrieval.documents import HPO, Document

_REMEMBERED = 1024  # entities with the documents about them: some tens of MB
_RANK = {
    name: rank
    for rank, name in enumerate(
        (
            "has_inheritance",
            "has_onset",
            "associated_gene",
            "subtype_of",
            "treated_with",
            "induced_by",
            "complicated_by",
            "presents_with",
            "sign_induced_by",
            "sign_treated_with",
            "sign_associated_gene",
            "acts_on",
            "gene_interaction",
            "combined_with",
            "has_finding",
        )
    )
}


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
    """The graph so far: relations by id, and the digest of what was read about each entity, in the
    order of reading.

    It holds at most ``max_entities``, the seed among them, and at most ``max_relations`` of each.
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
        """Add a relation where there is room for it, or its evidence to the one that is known."""
        known = self.relations.get(relation.relation_id)
        if known is not None:
            self.relations[relation.relation_id] = merge_relations(known, relation)
        elif self.has_room_for(relation):
            self.relations[relation.relation_id] = relation
            self._degrees.update({relation.subject, relation.object})

    def unread_neighbours(self, entity: str) -> list[str]:
        """Neighbours a walk can go through and that were not read about yet, sorted."""
        found = set()
        for one in self.relations.values():
            other = other_end(one, entity)
            if other is not None and other not in self.readings and _is_passable(one):
                found.add(other)
        return sorted(found)

    def grown(self) -> GrownSeed:
        """The graph as it is stored."""
        return GrownSeed(
            self.seed,
            tuple(self.relations[key] for key in sorted(self.relations)),
            tuple(Reading(entity, documents) for entity, documents in self.readings.items()),
        )


def other_end(relation: Relation, entity: str) -> str | None:
    """The end that is not ``entity``; None when neither or both are."""
    if relation.subject == relation.object or entity not in (relation.subject, relation.object):
        return None
    return relation.object if relation.subject == entity else relation.subject


def _is_passable(relation: Relation) -> bool:
    """Whether it can be walked either way: what is reached along it is no dead end."""
    return is_walkable(relation, relation.subject) and is_walkable(relation, relation.object)


class Expander:
    """Expands seeds, one after another; what it remembers of one changes no other's graph.
    ``prepare`` is told of all documents that are about to be read together."""

    def __init__(
        self,
        library: Library,
        extractor: RelationExtractor,
        vocabulary: Vocabulary,
        config: GraphConfig,
        run_seed: int,
        prepare: Callable[[Sequence[Document]], None] | None = None,
    ) -> None:
        self._library, self._extractor, self._vocabulary = library, extractor, vocabulary
        self._config, self._run_seed, self._prepare = config, run_seed, prepare
        self._documents = functools.lru_cache(_REMEMBERED)(self._find_documents)

    def expand(self, seed: str) -> SeedGraph:
        """The graph around one seed."""
        graph = SeedGraph(seed, self._config.max_entities, self._config.max_relations_per_entity)
        dice = seeded_random(self._run_seed, seed)
        self._read_about(graph, seed)
        current = seed
        for _ in range(self._config.steps - 1):
            following = None if graph.is_full else self._next(graph, current, dice)
            if following is None:
                break
            self._read_about(graph, following)
            current = following
        return graph

    def still_holds(self, grown: GrownSeed) -> bool:
        """Whether there is still the same to read, and so the seed would grow as it did."""
        return all(digest(*self._documents(one.entity)) == one.documents for one in grown.readings)

    def _read_about(self, graph: SeedGraph, entity: str) -> None:
        """Read the documents about an entity; the relations it takes part in join the graph, the
        best first."""
        documents = self._documents(entity)
        graph.readings[entity] = digest(*documents)
        if self._prepare is not None:
            self._prepare(documents)
        for relation in ranked(self._relations(documents, entity), entity):
            graph.add(relation)

    def _find_documents(self, entity: str) -> tuple[Document, ...]:
        """The entity's own record, then what the retriever finds by name."""
        found = self._library.about(
            query_about(entity, self._vocabulary), self._config.documents_per_step
        )
        own = next((one for one in found if one.source == HPO and record_of(one) == entity), None)
        if own is None and self._vocabulary.type_of(entity) == DISEASE:
            own = self._record(entity)
        return (*([own] if own else []), *(one for one in found if one != own))

    def _record(self, entity: str) -> Document | None:
        """The record under the entity's id, or under another id it has."""
        records = map(self._library.record, (entity, *self._vocabulary.concepts[entity].xrefs))
        return next((one for one in records if one is not None), None)

    def _extract(self, document: Document) -> Iterator[Relation]:
        """The relations of a document that are sure enough, between ids that are current."""
        for one in self._extractor.extract(document).relations:
            current = (
                folded(one, self._vocabulary)
                if one.confidence >= self._config.min_confidence
                else None
            )
            if current is not None:
                yield current

    def _relations(
        self, documents: Iterable[Document], entity: str | None = None
    ) -> list[Relation]:
        """The relations of the documents, only those of ``entity`` where it is given, one of each
        id, sorted by id."""
        found: dict[str, Relation] = {}
        for document in documents:
            for one in self._extract(document):
                if entity is None or entity in (one.subject, one.object):
                    known = found.get(one.relation_id)
                    found[one.relation_id] = merge_relations(known, one) if known else one
        return [found[key] for key in sorted(found)]

    def _next(self, graph: SeedGraph, current: str, dice: random.Random) -> str | None:
        """The paper's mixture: a neighbour, else a discovery; where the chosen way offers none, the
        other one."""
        ways = [self._neighbour, self._discover]
        if dice.random() >= self._config.neighbour_probability:
            ways.reverse()
        return ways[0](graph, current, dice) or ways[1](graph, current, dice)

    def _neighbour(self, graph: SeedGraph, current: str, dice: random.Random) -> str | None:
        neighbours = graph.unread_neighbours(current)
        return dice.choice(neighbours) if neighbours else None

    def _discover(self, graph: SeedGraph, current: str, dice: random.Random) -> str | None:
        """A new entity of the documents found, with a relation that ties it to the graph."""
        inside = graph.entities
        ties: dict[str, list[Relation]] = defaultdict(list)
        for one in self._relations(self._documents(current)):
            new = {one.subject, one.object} - inside
            if len(new) == 1 and _is_passable(one) and graph.has_room_for(one):
                ties[next(iter(new))].append(one)
        if not ties:
            return None
        entity = dice.choice(sorted(ties))
        graph.add(ties[entity][0])
        return entity


def seeded_random(run_seed: int, entity: str) -> random.Random:
    """A generator that depends on the run's seed and the entity alone."""
    return random.Random(hashlib.sha256(f"{run_seed}\n{entity}".encode()).digest())


def query_about(entity: str, vocabulary: Vocabulary) -> str:
    """What to search for: a disease by its name, any other entity as what a disease has to do with
    it."""
    name, kind = vocabulary.name_of(entity), vocabulary.type_of(entity)
    if kind == DISEASE:
        return name
    phrases = (
        one.name_subject(name)
        for one in PREDICATES.values()
        if one.object_type == kind and one.inverse_phrase and not one.prints_clinical(forward=False)
    )
    return next(phrases, name)


def folded(relation: Relation, vocabulary: Vocabulary) -> Relation | None:
    """The relation between the ids its ends go by now; None where that leaves no relation of its
    predicate."""
    ends = [vocabulary.canonical(relation.subject), vocabulary.canonical(relation.object)]
    if ends == [relation.subject, relation.object]:
        return relation
    subject, obj = sorted(ends) if PREDICATES[relation.predicate].symmetric else ends
    key = relation_id(subject, relation.predicate, obj, relation.clinical)
    moved = replace(relation, relation_id=key, subject=subject, object=obj)
    return moved if subject != obj and is_well_typed(moved, vocabulary) else None


def ranked(relations: Sequence[Relation], entity: str) -> list[Relation]:
    """The relations of an entity, those first that say most: that are alone in their predicate and
    qualifier (only they single out their object), then by predicate, then exact counts before
    shares before words."""
    groups = Counter(_group(one, entity) for one in relations)
    return sorted(
        relations,
        key=lambda one: (
            groups[_group(one, entity)] > 1,
            _RANK[one.predicate],
            vagueness(one.clinical),
            -one.confidence,
            one.relation_id,
        ),
    )


def _group(relation: Relation, entity: str) -> tuple[str, bool, str]:
    return relation.predicate, relation.subject == entity, relation.clinical
