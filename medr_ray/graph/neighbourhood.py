"""One entity of the graph with its relations in both directions and their evidence.

Guaranteed: only the finished graph is read, and only the relations of the entity are in memory.
Groups come in the order of the predicates; of one predicate, the relations of which the entity is
the subject come first. Within a group the most confident relation comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow.dataset as pads

from medr_ray.core.records import Entity, Relation
from medr_ray.core.run import Directory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS
from medr_ray.knowledge.predicates import PREDICATE_ORDER


@dataclass(frozen=True)
class RelationLink:
    """A relation seen from one of its ends; ``other`` is the entity at the other."""

    other: Entity
    relation: Relation


@dataclass(frozen=True)
class PredicateGroup:
    """The links of one predicate; ``forward`` when the entity is their subject."""

    predicate: str
    forward: bool
    links: tuple[RelationLink, ...]


@dataclass(frozen=True)
class Neighbourhood:
    """``degree`` counts different neighbours; an entity may have several relations with one."""

    entity: Entity
    degree: int
    groups: tuple[PredicateGroup, ...]


def read_names(graph: Directory) -> pl.DataFrame:
    """The entities' names, in the columns that ``entities.concept_summary.find_concepts``
    expects."""
    table = pl.DataFrame(
        graph.read_columns(ENTITIES, ["entity_id", "name", "entity_type", "aliases"])
    )
    return table.rename({"entity_id": "concept_id", "aliases": "forms"})


def read_neighbourhood(graph: Directory, entity_id: str) -> Neighbourhood:
    """The neighbourhood of an entity of the graph."""
    # Filtered while reading, so that a large graph is not loaded for one entity.
    is_subject = pads.field("subject") == entity_id
    is_object = pads.field("object") == entity_id
    relations = graph.read(RELATIONS, is_subject | is_object)
    entity_ids = {entity_id}
    for relation in relations:
        entity_ids.update((relation.subject, relation.object))
    rows = graph.read(ENTITIES, pads.field("entity_id").isin(sorted(entity_ids)))
    entities = {entity.entity_id: entity for entity in rows}
    groups = _group_by_predicate(entity_id, entities, relations)
    # The entity itself is among the ids, but is not its own neighbour.
    return Neighbourhood(entities[entity_id], len(entity_ids) - 1, tuple(groups))


def _group_by_predicate(
    entity_id: str, entities: dict[str, Entity], relations: Sequence[Relation]
) -> list[PredicateGroup]:
    links: dict[tuple[str, bool], list[RelationLink]] = {}
    for relation in relations:
        forward = relation.subject == entity_id
        other = entities[relation.object if forward else relation.subject]
        links.setdefault((relation.predicate, forward), []).append(RelationLink(other, relation))
    in_order = sorted(links, key=lambda key: (PREDICATE_ORDER[key[0]], not key[1]))
    groups = []
    for predicate, forward in in_order:
        sorted_links = sorted(links[predicate, forward], key=_order_by_confidence)
        groups.append(PredicateGroup(predicate, forward, tuple(sorted_links)))
    return groups


def _order_by_confidence(link: RelationLink) -> tuple[float, str, str]:
    return -link.relation.confidence, link.other.name, link.relation.relation_id
