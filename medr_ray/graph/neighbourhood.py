"""One entity of the graph with everything it is related to, in both directions, and the evidence
for it.

What holds: it is read from the finished graph alone, and only the relations of the entity are held
in memory; groups come in the order of the predicates, as subject before as object, the surest
relation first.
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
class Link:
    """A relation seen from one of its ends; ``other`` is the entity at the other."""

    other: Entity
    relation: Relation


@dataclass(frozen=True)
class Group:
    """The links of one predicate; ``forward`` when the entity is their subject."""

    predicate: str
    forward: bool
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Neighbourhood:
    """``degree`` counts different neighbours; an entity may have several relations with one."""

    entity: Entity
    degree: int
    groups: tuple[Group, ...]


def read_names(graph: Directory) -> pl.DataFrame:
    """The entities' names in the columns that ``entities.concept_summary.find_concepts`` looks them
    up in."""
    table = pl.DataFrame(
        graph.read_columns(ENTITIES, ["entity_id", "name", "entity_type", "aliases"])
    )
    return table.rename({"entity_id": "concept_id", "aliases": "forms"})


def read_neighbourhood(graph: Directory, entity_id: str) -> Neighbourhood:
    """The neighbourhood of an entity of the graph."""
    ends = pads.field("subject"), pads.field("object")
    relations = graph.read(RELATIONS, (ends[0] == entity_id) | (ends[1] == entity_id))
    ids = {entity_id, *(end for one in relations for end in (one.subject, one.object))}
    named = graph.read(ENTITIES, pads.field("entity_id").isin(sorted(ids)))
    entities = {one.entity_id: one for one in named}
    return Neighbourhood(
        entities[entity_id], len(ids) - 1, tuple(_groups(entity_id, entities, relations))
    )


def _groups(
    entity_id: str, entities: dict[str, Entity], relations: Sequence[Relation]
) -> list[Group]:
    found: dict[tuple[str, bool], list[Link]] = {}
    for one in relations:
        forward = one.subject == entity_id
        other = entities[one.object if forward else one.subject]
        found.setdefault((one.predicate, forward), []).append(Link(other, one))
    order = sorted(found, key=lambda key: (PREDICATE_ORDER[key[0]], not key[1]))
    return [Group(*key, tuple(sorted(found[key], key=_surest_first))) for key in order]


def _surest_first(link: Link) -> tuple[float, str, str]:
    return -link.relation.confidence, link.other.name, link.relation.relation_id
