"""The graph on disk: one part per group of seeds while it grows, then one merged graph, as Parquet.

Guaranteed: a relation that was found around several seeds is stored once, with the evidence of
all. Every table is sorted by id. ``graph.graph_export`` writes the graph in the formats of other
tools.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Entity, EntityFrequency, Relation
from medr_ray.core.run import Directory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS, SEED_GRAPHS, SeedGraph
from medr_ray.graph.extraction.extractor import drop_contradictory, merge_relations
from medr_ray.graph.extraction.grounding import ExtractionFailure
from medr_ray.graph.vocabulary import Vocabulary


@dataclass(frozen=True)
class EntityReading:
    """An entity that was read about, and a digest of the documents that were found about it
    then."""

    entity: str
    documents: str


@dataclass(frozen=True)
class GrownSeed:
    """What expansion found around one seed; a row of a part.

    These are the seed's relations, the entities that were read about, in order, and what the
    extractor could not use.
    """

    seed: str
    relations: tuple[Relation, ...]
    readings: tuple[EntityReading, ...] = ()
    failures: tuple[ExtractionFailure, ...] = ()


def merge_seed_graphs(
    grown_seeds: Iterable[GrownSeed],
) -> tuple[list[Relation], dict[str, list[str]]]:
    """All relations, sorted by id, and the ids of each seed's relations, by seed; without those
    that contradict each other (``drop_contradictory``)."""
    merged: dict[str, Relation] = {}
    seeds: dict[str, list[str]] = {}
    for grown in grown_seeds:
        seeds[grown.seed] = sorted(relation.relation_id for relation in grown.relations)
        for relation in grown.relations:
            key = relation.relation_id
            if key in merged:
                # Merging is symmetric, so the order in which seeds were grown does not matter.
                relation = merge_relations(merged[key], relation)
            merged[key] = relation
    # Only here are the documents of all seeds together.
    relations = drop_contradictory(merged[key] for key in sorted(merged))
    kept = {relation.relation_id for relation in relations}
    return relations, {
        seed: [key for key in keys if key in kept] for seed, keys in sorted(seeds.items())
    }


def build_entities(
    relations: Iterable[Relation],
    seeds: Iterable[str],
    vocabulary: Vocabulary,
    frequencies: Mapping[str, EntityFrequency],
) -> list[Entity]:
    """The entities of the graph, seeds without a relation included, sorted by id."""
    seed_ids = set(seeds)
    entity_ids = set(seed_ids)
    for relation in relations:
        entity_ids.update((relation.subject, relation.object))
    return [
        vocabulary.build_entity(entity_id, frequencies.get(entity_id), entity_id in seed_ids)
        for entity_id in sorted(entity_ids)
    ]


def write_graph(
    directory: Directory,
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    seeds: Mapping[str, Sequence[str]],
) -> None:
    """Write the merged graph in all its files."""
    directory.write(ENTITIES, entities)
    directory.write(RELATIONS, relations)
    seed_graphs = [SeedGraph(seed, tuple(relation_ids)) for seed, relation_ids in seeds.items()]
    directory.write(SEED_GRAPHS, seed_graphs)


def read_seed_graphs(directory: Directory) -> dict[str, list[str]]:
    """Relation ids by seed."""
    return {graph.seed: list(graph.relations) for graph in directory.read(SEED_GRAPHS)}
