"""How rare is rare: document frequencies with their 95 % interval, and the rule that decides.

What holds: in a corpus large enough, rare means that the upper end of the Clopper-Pearson interval
of df / N lies below ``entities.rare_frequency``, so that chance alone makes nothing rare. A corpus
is too small for that when even a concept named in ``entities.min_documents`` citations has an upper
bound above the threshold; there, and only there, ``entities.rare_documents`` decides. Which of the
two was applied is part of the manifest.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy.stats import beta, gamma

from medr_ray.core.config.entities import EntitiesConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.records import EntityFrequency
from medr_ray.knowledge.lexicon import Concept

_TAIL = 0.025  # of a two-sided 95 % interval


def clopper_pearson(successes: np.ndarray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the two-sided 95 % Clopper-Pearson intervals of ``successes /
    trials`` (Biometrika 26:404, 1934), as beta quantiles."""
    failures = trials - successes
    lower = beta.ppf(_TAIL, np.maximum(successes, 1), failures + 1)
    upper = beta.ppf(1 - _TAIL, successes + 1, np.maximum(failures, 1))
    return np.where(successes <= 0, 0.0, lower), np.where(failures <= 0, 1.0, upper)


def compute_frequencies(
    counts: pl.DataFrame, concepts: Mapping[str, Concept], citations: int
) -> list[EntityFrequency]:
    """One EntityFrequency per concept found, sorted by id. ``counts`` as of ``sum_counts``
    (concept_id, documents, mentions and whatever they are split by); N = ``citations``."""
    totals = (
        counts.group_by("concept_id")
        .agg(pl.sum("documents"), pl.sum("mentions"))
        .sort("concept_id")
    )
    lower, upper = clopper_pearson(totals["documents"].to_numpy(), citations)
    return [
        EntityFrequency(
            concept_id,
            concepts[concept_id].name,
            concepts[concept_id].entity_type,
            documents,
            mentions,
            documents / citations,
            low,
            high,
        )
        for (concept_id, documents, mentions), low, high in zip(
            totals.iter_rows(), lower.tolist(), upper.tolist(), strict=True
        )
    ]


@dataclass(frozen=True)
class RarityRule:
    """The rule that a corpus of ``citations`` is judged by: rare is a concept named in
    ``min_documents`` to ``most_documents`` citations. Under ``frequency`` the latter is the largest
    number whose upper bound lies below ``rare_frequency``, under ``documents`` it is
    ``entities.rare_documents``."""

    rule: Literal["frequency", "documents"]
    citations: int
    rare_frequency: float
    min_documents: int
    most_documents: int

    def is_rare(self, one: EntityFrequency) -> bool:
        """Rare, and named often enough to be more than a typo."""
        return self.min_documents <= one.documents <= self.most_documents

    def describe(self) -> str:
        """The rule in words, for the stage's line and for ``medr entities show``."""
        most = f"named in at most {self.most_documents:,} of {self.citations:,} citations"
        if self.rule == "frequency":
            return f"{most} (upper bound of df/N below {self.rare_frequency:g})"
        return f"{most} (too few for an upper bound of df/N below {self.rare_frequency:g})"


def choose_rarity_rule(config: EntitiesConfig, citations: int) -> RarityRule:
    """The rule for a corpus of so many citations.

    Raises ConfigError when the corpus is too small for ``entities.rare_frequency`` and
    ``entities.rare_documents`` is not set, or is below ``entities.min_documents``.
    """
    fewest, threshold = config.min_documents, config.rare_frequency
    if _upper(fewest, citations) < threshold:
        most = (
            bisect_left(
                range(citations + 1), True, key=lambda df: _upper(df, citations) >= threshold
            )
            - 1
        )
        return RarityRule("frequency", citations, threshold, fewest, most)
    if config.rare_documents is None:
        raise ConfigError(
            f"entities.rare_frequency = {threshold:g} is below what {citations:,} citations can show: even "
            f"{_named(fewest)} have an upper bound of {_upper(fewest, citations):.2g}. Read more of PubMed (some "
            f"{gamma.ppf(1 - _TAIL, fewest + 1) / threshold:,.0f} citations), or say what is rare in so small a corpus "
            "by entities.rare_documents, such as 20 citations"
        )
    if config.rare_documents < fewest:
        raise ConfigError(
            f"entities.rare_documents = {config.rare_documents} is below entities.min_documents = {fewest}: nothing "
            "could be rare"
        )
    return RarityRule("documents", citations, threshold, fewest, config.rare_documents)


def select_rare(
    found: Iterable[EntityFrequency], rule: RarityRule, seed_types: Iterable[str]
) -> list[EntityFrequency]:
    """Those that are rare and of a type that may be a seed, in the order given."""
    types = frozenset(seed_types)
    return [one for one in found if one.entity_type in types and rule.is_rare(one)]


def _upper(documents: int, citations: int) -> float:
    return float(clopper_pearson(np.array([documents]), citations)[1][0])


def _named(documents: int) -> str:
    return (
        "concepts named in a single citation"
        if documents == 1
        else f"concepts named in {documents} citations"
    )
