"""Expansion of the knowledge graph, and the chains found in it."""

from typing import Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Operational, Section
from medr_ray.core.records import SampleRequest, SampleStrategy


class GraphConfig(Section):
    """Expansion around each seed (paper section 3.1.1)."""

    max_seeds: int | None = Field(
        None, ge=1, description="seeds with a curated record are taken first"
    )
    steps: int = Field(6, ge=1, description="entities read about per seed, itself included")
    neighbour_probability: float = Field(0.5, ge=0, le=1)
    documents_per_step: int = Field(
        5, ge=1, description="found by the retriever, besides a disease's own record"
    )
    max_entities: int = Field(60, ge=2, description="of a seed's graph, itself included")
    max_relations_per_entity: int = Field(
        12, ge=1, description="in a seed's graph, whichever step they come from"
    )
    extractor: Backend = "rules"
    link_similarity: float | None = Field(
        0.85,
        gt=0,
        le=1,
        description="names a model writes are the same from this cosine on; null or 1: lexicon alone",
    )
    min_confidence: float = Field(0.5, ge=0, le=1)
    workers: Operational[int] = Field(2, ge=1, description="expansion actors")


class ChainsConfig(Section):
    """Longest valid path per seed, in its own graph or in a sample of the merged one (see
    ``graph.paths.subgraph_sampling``)."""

    subgraph: Literal["seed_graph"] | SampleRequest = "seed_graph"
    subgraph_size: int = Field(40, ge=2, description="entities of a sample")
    mixed_weights: dict[SampleStrategy, float] = Field(
        {"augmented_chain": 1, "community_core_path": 1, "dual_core_bridge": 1, "max_chain": 1},
        description="how often subgraph: mixed takes each",
    )
    max_hops: int = Field(12, ge=1)
    hub_degree: int = Field(
        200, ge=1, description="entities with more neighbours are not walked through"
    )
    askable: bool = Field(
        True,
        description="walk only where words can single out the next entity among all that is known",
    )
    unique_predicates: bool = Field(False, description="walk each relation type at most once")
    temporal_order: bool = Field(
        False, description="relations whose years are known may not go back in time"
    )
    solver_seconds: float = Field(
        5.0,
        gt=0,
        description="on the solver's own clock, the same on every machine; 1 to 2 s of CPU time each",
    )

    @model_validator(mode="after")
    def _something_can_be_drawn(self) -> "ChainsConfig":
        weights = self.mixed_weights.values()
        if min(weights, default=0) < 0 or not 0 < sum(weights) < float("inf"):
            raise ValueError(
                "mixed_weights: none may be negative, and one at least must be positive"
            )
        return self
