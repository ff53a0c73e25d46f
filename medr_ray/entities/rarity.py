"""How rare is rare: document frequencies with their confidence bound, and the threshold."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.stats import beta

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.records import EntityFrequency
from medr_ray.knowledge.lexicon import Concept

_TAIL = 0.025  # of a two-sided 95 % interval


def clopper_pearson_upper(successes: np.ndarray, trials: int) -> np.ndarray:
    """Upper end of the two-sided 95 % Clopper-Pearson interval of a proportion (Biometrika 26:404, 1934)."""
    bound = beta.ppf(1 - _TAIL, successes + 1, np.maximum(trials - successes, 1))
    return np.where(successes >= trials, 1.0, bound)


def frequencies(counts: pl.DataFrame, concepts: Mapping[str, Concept], citations: int) -> list[EntityFrequency]:
    """One EntityFrequency per concept found, sorted by id; ``counts`` as of ``sum_counts``, N = ``citations``."""
    totals = counts.group_by("concept_id").agg(pl.sum("documents"), pl.sum("mentions")).sort("concept_id")
    upper = clopper_pearson_upper(totals["documents"].to_numpy(), citations)
    return [
        EntityFrequency(concept_id, concepts[concept_id].name, concepts[concept_id].entity_type,
                        documents, mentions, documents / citations, float(bound))
        for (concept_id, documents, mentions), bound in zip(totals.iter_rows(), upper, strict=True)
    ]


def is_rare(one: EntityFrequency, config: EntitiesConfig) -> bool:
    """Rare, of a type that may be a seed, and named often enough to be more than a typo."""
    return (one.documents >= config.min_documents and one.frequency <= config.rare_frequency
            and one.entity_type in config.seed_types)
