"""The knowledge graph: entities, relations with their evidence, and what is sampled from it."""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records.entities import NodeType

# How a longest path was found: by depth-first search, or by the CP-SAT solver behind it.
SearchStrategy = Literal["dfs", "cp-sat"]
# How the merged graph is sampled around a seed; "mixed" draws one of the four for each seed.
SampleStrategy = Literal["augmented_chain", "community_core_path", "dual_core_bridge", "max_chain"]
SampleRequest = SampleStrategy | Literal["mixed"]
# "neighbourhood" is what is taken where a strategy finds no backbone.
SampleUsed = SampleStrategy | Literal["neighbourhood"]


@dataclass(frozen=True)
class Entity:
    """A node of the graph. ``frequency`` is the document frequency in the corpus, null when the
    entity was not counted there."""

    entity_id: str
    name: str
    entity_type: NodeType
    aliases: tuple[str, ...]
    description: str
    frequency: float | None
    is_seed: bool


@dataclass(frozen=True)
class Evidence:
    """Where a relation is stated: ``sentence``, or the line of a record, stands at characters
    [start, end) of the text of ``document_id``. Both are 0 for a fact of a registry, whose
    ``sentence`` is the field of the record and the value as printed there.

    ``reference`` is what the document itself cites for the sentence, such as ``PMID:12345678``, or
    "". ``year`` and ``journal`` are the document's; null and "" if it is not an article.
    """

    source: str
    document_id: str
    sentence: str
    start: int
    end: int
    reference: str
    year: int | None = None
    journal: str = ""

    @property
    def origin(self) -> str:
        """The document in one line: "PMID:12345678, Chest 1977", and what it cites."""
        article = " ".join(filter(None, (self.journal, str(self.year or ""))))
        citing = f"citing {self.reference}" if self.reference else ""
        return ", ".join(filter(None, (self.document_id, article, citing)))


@dataclass(frozen=True)
class Relation:
    """An edge with its context (paper section 3.1.1): <subject, predicate, object, temporal,
    spatial, clinical>.

    ``subject`` and ``object`` are entity ids; ``confidence`` lies in [0, 1]. ``facts`` are the ids
    of the facts of registries that state it.
    """

    relation_id: str
    subject: str
    predicate: str
    object: str
    temporal: str
    spatial: str
    clinical: str
    confidence: float
    extractor: str
    evidence: tuple[Evidence, ...]
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chain:
    """The longest valid path found from a seed.

    ``relations`` and ``entities`` are ids in walking order, ``length`` is in hops, ``upper_bound``
    a proven bound on it, ``seconds`` the search time.
    """

    chain_id: str
    seed: str
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    length: int
    upper_bound: int
    proven_optimal: bool
    seconds: float
    strategy: SearchStrategy


@dataclass(frozen=True)
class Subgraph:
    """A connected sample of the merged graph around ``seed`` (see
    ``graph.paths.subgraph_sampling``).

    ``strategy`` was requested and ``used`` is what was done; ``reason`` says why they differ or why
    the sample is smaller than requested, "" otherwise. ``entities`` and ``relations`` are sorted
    ids, ``backbone`` is the entities of a valid path in walking order.
    """

    seed: str
    strategy: SampleRequest
    used: SampleUsed
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    backbone: tuple[str, ...]
    reason: str
