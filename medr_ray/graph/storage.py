"""The graph on disk: one part per batch of seeds while it grows, then one merged graph, as Parquet and as GraphML.

What holds: relations found around several seeds are one relation with the evidence of all; every table is sorted by
id; GraphML holds the same nodes and edges for other graph tools.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import pyarrow as pa

from medr_ray.core.records import Entity, EntityFrequency, Relation
from medr_ray.core.run import Directory
from medr_ray.graph.extraction import merge_relations
from medr_ray.graph.vocabulary import Vocabulary

ENTITIES, RELATIONS = "entities.parquet", "relations.parquet"
SEED_GRAPHS, GRAPHML = "seed_graphs.parquet", "graph.graphml"
_SEED_GRAPH_SCHEMA = pa.schema([("seed", pa.string()), ("relations", pa.list_(pa.string()))])


@dataclass(frozen=True)
class GrownSeed:
    """What expansion found around one seed; a row of a part."""

    seed: str
    relations: tuple[Relation, ...]


def merge(grown: Iterable[GrownSeed]) -> tuple[list[Relation], dict[str, list[str]]]:
    """All relations, sorted by id, and the ids of each seed's relations, by seed."""
    merged: dict[str, Relation] = {}
    seeds: dict[str, list[str]] = {}
    for one in grown:
        seeds[one.seed] = sorted(relation.relation_id for relation in one.relations)
        for relation in one.relations:
            known = merged.get(relation.relation_id)
            merged[relation.relation_id] = merge_relations(known, relation) if known else relation
    return [merged[key] for key in sorted(merged)], dict(sorted(seeds.items()))


def nodes(
    relations: Iterable[Relation], seeds: Iterable[str], vocabulary: Vocabulary,
    frequencies: Mapping[str, EntityFrequency],
) -> list[Entity]:
    """The entities of the graph, seeds without a relation included, sorted by id."""
    chosen = set(seeds)
    ids = chosen | {end for one in relations for end in (one.subject, one.object)}
    return [vocabulary.entity(one, frequencies.get(one), one in chosen) for one in sorted(ids)]


def write_graph(
    directory: Directory, entities: Sequence[Entity], relations: Sequence[Relation], seeds: Mapping[str, Sequence[str]]
) -> None:
    """The merged graph in all its files."""
    directory.write_records(ENTITIES, Entity, entities)
    directory.write_records(RELATIONS, Relation, relations)
    rows = [{"seed": seed, "relations": list(ids)} for seed, ids in seeds.items()]
    directory.write_table(SEED_GRAPHS, pa.Table.from_pylist(rows, schema=_SEED_GRAPH_SCHEMA))
    directory.write_bytes(GRAPHML, graphml(entities, relations))


def read_seed_graphs(directory: Directory) -> dict[str, list[str]]:
    """Relation ids by seed."""
    return {row["seed"]: row["relations"] for row in directory.read_table(SEED_GRAPHS).to_pylist()}


def graphml(entities: Iterable[Entity], relations: Iterable[Relation]) -> bytes:
    """A directed multigraph; the edge key is the relation's id."""
    graph = nx.MultiDiGraph()
    for one in entities:
        graph.add_node(one.entity_id, name=one.name, entity_type=one.entity_type, is_seed=one.is_seed)
    for relation in relations:
        documents = ";".join(sorted({one.document_id for one in relation.evidence}))
        graph.add_edge(
            relation.subject, relation.object, key=relation.relation_id, predicate=relation.predicate,
            temporal=relation.temporal, spatial=relation.spatial, clinical=relation.clinical,
            confidence=relation.confidence, extractor=relation.extractor, documents=documents)
    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    return buffer.getvalue()
