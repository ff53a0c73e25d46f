"""Counts of entities in the corpus, and the entities that were judged to be seeds."""

from dataclasses import dataclass
from typing import Literal

# What the literature names, and the values of curated tables.
EntityType = Literal["disease", "phenotype", "gene", "drug", "value"]
# What registries and bibliographic records have records of, or name in them.
RegistryType = Literal[
    "trial",
    "application",
    "product",
    "substance",
    "company",
    "patent",
    "label",
    "institution",
    "person",
    "paper",
    "journal",
]
NodeType = EntityType | RegistryType


@dataclass(frozen=True)
class EntityFrequency:
    """How often a concept is named in the corpus.

    ``documents`` (df) counts citations that name it at least once, ``mentions`` (tf) all
    occurrences; ``frequency`` is df / N over the N citations counted, ``frequency_lower`` and
    ``frequency_upper`` are the ends of its two-sided 95 % Clopper-Pearson interval.
    """

    concept_id: str
    name: str
    entity_type: EntityType
    documents: int
    mentions: int
    frequency: float
    frequency_lower: float
    frequency_upper: float


@dataclass(frozen=True)
class Significance:
    """A judge's decision whether a rare entity is worth asking about, with its reason.
    ``decided_by`` is "rules" or the model's name."""

    verdict: bool
    reason: str
    decided_by: str


@dataclass(frozen=True)
class SeedEntity:
    """A rare entity that was judged: its frequency, the verdict and the specialty.

    ``prevalence`` is the share of people who have it, in [0, 1]: point prevalence where known, else
    prevalence at birth, null when neither is. ``prevalence_source`` says whose figure it is, of
    what kind and where, "" when there is none.
    """

    frequency: EntityFrequency
    significance: Significance
    specialty: str
    prevalence: float | None = None
    prevalence_source: str = ""
