"""The graph on disk: one part per group of seeds while it grows, then one merged graph, as Parquet.

What holds: relations found around several seeds are one relation with the evidence of all; every
table is sorted by id. ``graph.graph_export`` writes the graph in the formats of other tools.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Entity, EntityFrequency, Relation
from medr_ray.core.run import Directory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS, SEED_GRAPHS, SeedGraph
from medr_ray.graph.extraction.extractor import merge_relations
from medr_ray.graph.extraction.grounding import Failure
from medr_ray.graph.vocabulary import Vocabulary


@dataclass(frozen=True)
class Reading:
    """An entity that was read about, and the digest of the documents that there were about it."""

    entity: str
    documents: str


@dataclass(frozen=True)
class GrownSeed:
    """What expansion found around one seed, what it read for that, in its order, and what was lost
    of that; a row of a part."""

    seed: str
    relations: tuple[Relation, ...]
    readings: tuple[Reading, ...] = ()
    failures: tuple[Failure, ...] = ()


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
    relations: Iterable[Relation],
    seeds: Iterable[str],
    vocabulary: Vocabulary,
    frequencies: Mapping[str, EntityFrequency],
) -> list[Entity]:
    """The entities of the graph, seeds without a relation included, sorted by id."""
    chosen = set(seeds)
    ids = chosen | {end for one in relations for end in (one.subject, one.object)}
    return [vocabulary.entity(one, frequencies.get(one), one in chosen) for one in sorted(ids)]


def write_graph(
    directory: Directory,
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    seeds: Mapping[str, Sequence[str]],
) -> None:
    """The merged graph in all its files."""
    directory.write(ENTITIES, entities)
    directory.write(RELATIONS, relations)
    directory.write(SEED_GRAPHS, [SeedGraph(seed, tuple(ids)) for seed, ids in seeds.items()])


def read_seed_graphs(directory: Directory) -> dict[str, list[str]]:
    """Relation ids by seed."""
    return {graph.seed: list(graph.relations) for graph in directory.read(SEED_GRAPHS)}
