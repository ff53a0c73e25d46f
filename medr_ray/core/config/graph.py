"""Expansion of the knowledge graph, and the chains found in it."""

from typing import Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Operational, Section
from medr_ray.core.records import SampleRequest, SampleStrategy


class GraphConfig(Section):
    """Expansion around each seed (paper section 3.1.1)."""

    max_seeds: int | None = Field(
        None, ge=1, description="seeds to expand, those with a curated record first; null: all"
    )
    steps: int = Field(
        6, ge=1, description="entities whose documents are read for one seed, the seed included"
    )
    neighbour_probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="probability that the next entity is a neighbour in the graph and not one "
        "that the retriever discovers",
    )
    documents_per_step: int = Field(
        5, ge=1, description="documents from the retriever, besides a disease's own record"
    )
    max_entities: int = Field(
        60, ge=2, description="entities in the graph of a seed, the seed included"
    )
    max_relations_per_entity: int = Field(
        12, ge=1, description="relations of one entity in the graph of a seed, over all steps"
    )
    extractor: Backend = Field("rules", description="who extracts relations from documents")
    link_similarity: float | None = Field(
        0.85,
        gt=0,
        le=1,
        description="cosine from which two names written by a model are the same entity; null or "
        "1: the lexicon alone decides",
    )
    min_confidence: float = Field(
        0.5, ge=0, le=1, description="lowest confidence of a relation that the graph keeps"
    )
    workers: Operational[int] = Field(2, ge=1, description="Ray actors that expand graphs")


class ChainsConfig(Section):
    """The longest valid path per seed, in its own graph or in a sample of the merged graph (see
    ``graph.paths.subgraph_sampling``)."""

    subgraph: Literal["seed_graph"] | SampleRequest = Field(
        "seed_graph", description="the subgraph that a chain is taken from"
    )
    subgraph_size: int = Field(40, ge=2, description="entities of a sample of the merged graph")
    mixed_weights: dict[SampleStrategy, float] = Field(
        {"augmented_chain": 1, "community_core_path": 1, "dual_core_bridge": 1, "max_chain": 1},
        description="relative weight of each strategy where subgraph is mixed",
    )
    sources: tuple[Literal["hpo", "pubmed"], ...] = Field(
        ("hpo", "pubmed"),
        min_length=1,
        description="where every relation of a chain must be stated: hpo, annotations that aim to "
        "be complete, or pubmed, any abstract",
    )
    max_hops: int = Field(12, ge=1, description="hops of a chain")
    hub_degree: int = Field(
        200, ge=1, description="neighbours above which an entity is a hub that no chain passes"
    )
    askable: bool = Field(
        True,
        description="walk only where words can single out the next entity among all known ones",
    )
    unique_predicates: bool = Field(False, description="use each predicate at most once in a chain")
    temporal_order: bool = Field(
        False, description="relations with known years may not go back in time along a chain"
    )
    solver_seconds: float = Field(
        5.0,
        gt=0,
        description="time limit of one search on the solver's own clock, which is the same on "
        "every machine; 1 to 2 s of CPU time each",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> "ChainsConfig":
        weights = self.mixed_weights.values()
        if min(weights, default=0) < 0 or not 0 < sum(weights) < float("inf"):
            raise ValueError(
                "mixed_weights: none may be negative, and one at least must be positive"
            )
        return self
