"""What the graph and chains stages write for others."""

from dataclasses import dataclass

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import Chain, Entity, Relation, Subgraph


@dataclass(frozen=True)
class SeedGraph:
    """The ids of the relations that were found around one seed, sorted."""

    seed: str
    relations: tuple[str, ...]


ENTITIES = Artifact("graph", "entities.parquet", Entity)
RELATIONS = Artifact("graph", "relations.parquet", Relation)
SEED_GRAPHS = Artifact("graph", "seed_graphs.parquet", SeedGraph)
CHAINS = Artifact("chains", "chains.parquet", Chain)
SUBGRAPHS = Artifact("chains", "subgraphs.parquet", Subgraph)
