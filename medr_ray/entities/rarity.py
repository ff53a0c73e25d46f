"""Decides which concepts are rare, by their document frequencies with 95 % intervals.

df is the number of citations that name a concept, N the number of all citations. In a corpus that
is large enough, a concept is rare when the upper end of the Clopper-Pearson interval of df / N lies
below ``entities.rare_frequency``, so that no concept is called rare by chance alone. A corpus is
too small for this when even a concept named in ``entities.min_documents`` citations has an upper
bound at or above the threshold. Only then ``entities.rare_documents`` decides. The manifest names
the rule that was applied.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy.stats import beta, gamma

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.records import EntityFrequency
from medr_ray.knowledge.lexicon import Concept

_TAIL_PROBABILITY = 0.025  # of a two-sided 95 % interval


def compute_clopper_pearson(successes: np.ndarray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the two-sided 95 % intervals of ``successes / trials``.

    Both have the shape of ``successes``. The intervals are those of Clopper and Pearson (Biometrika
    26:404, 1934). With k successes in n trials their ends are quantiles of beta distributions:
    Beta(k, n - k + 1) at 0.025 and Beta(k + 1, n - k) at 0.975.
    """
    failures = trials - successes
    # The beta distribution needs positive parameters. Where k is 0 or n, the end that they would
    # give is replaced by 0 or 1 below.
    lower = beta.ppf(_TAIL_PROBABILITY, np.maximum(successes, 1), failures + 1)
    upper = beta.ppf(1 - _TAIL_PROBABILITY, successes + 1, np.maximum(failures, 1))
    return np.where(successes <= 0, 0.0, lower), np.where(failures <= 0, 1.0, upper)


def compute_frequencies(
    counts: pl.DataFrame, concepts: Mapping[str, Concept], citations: int
) -> list[EntityFrequency]:
    """One record for each concept that the corpus names, sorted by id; N is ``citations``.

    ``counts`` is as ``sum_counts`` returns it; only concept_id, documents and mentions are used.
    """
    totals = (
        counts.group_by("concept_id")
        .agg(pl.sum("documents"), pl.sum("mentions"))
        .sort("concept_id")
    )
    lower, upper = compute_clopper_pearson(totals["documents"].to_numpy(), citations)
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
    """The rule for a corpus of ``citations``: a concept named in ``min_documents`` to
    ``most_documents`` of them is rare.

    Under the rule "frequency", ``most_documents`` is the largest number whose upper bound lies
    below ``rare_frequency``. Under the rule "documents" it is ``entities.rare_documents``.
    """

    rule: Literal["frequency", "documents"]
    citations: int
    rare_frequency: float
    min_documents: int
    most_documents: int

    def is_rare(self, frequency: EntityFrequency) -> bool:
        """Whether the concept is rare, but named often enough not to be a typo."""
        return self.min_documents <= frequency.documents <= self.most_documents

    def describe_rule(self) -> str:
        """The rule in words, for the stage's line and for ``medr entities show``."""
        limit = f"named in at most {self.most_documents:,} of {self.citations:,} citations"
        bound = f"upper bound of df/N below {self.rare_frequency:g}"
        if self.rule == "frequency":
            return f"{limit} ({bound})"
        return f"{limit} (too few for an {bound})"


def choose_rarity_rule(config: EntitiesConfig, citations: int) -> RarityRule:
    """The rule for a corpus of so many citations.

    Raises ConfigError when the corpus is too small for ``entities.rare_frequency`` and
    ``entities.rare_documents`` is not set, or is below ``entities.min_documents``.
    """
    fewest = config.min_documents
    threshold = config.rare_frequency
    if _compute_upper_bound(fewest, citations) < threshold:
        most_documents = _find_largest_rare_count(citations, threshold)
        return RarityRule("frequency", citations, threshold, fewest, most_documents)
    if config.rare_documents is None:
        bound = _compute_upper_bound(fewest, citations)
        # For a small df the binomial is nearly a Poisson distribution, whose exact upper bound is a
        # gamma quantile (Garwood, Biometrika 28:437, 1936). Divided by N it is the bound of df / N.
        needed = gamma.ppf(1 - _TAIL_PROBABILITY, fewest + 1) / threshold
        raise ConfigError(
            f"entities.rare_frequency = {threshold:g} is below what {citations:,} citations can "
            f"show: even {_describe_documents(fewest)} have an upper bound of {bound:.2g}. Read "
            f"more of PubMed (some {needed:,.0f} citations), or say what is rare in so small a "
            "corpus by entities.rare_documents, such as 20 citations"
        )
    if config.rare_documents < fewest:
        raise ConfigError(
            f"entities.rare_documents = {config.rare_documents} is below entities.min_documents = "
            f"{fewest}: nothing could be rare"
        )
    return RarityRule("documents", citations, threshold, fewest, config.rare_documents)


def select_rare(
    frequencies: Iterable[EntityFrequency], rule: RarityRule, seed_types: Iterable[str]
) -> list[EntityFrequency]:
    """Those that are rare and of a type that may be a seed, in the given order."""
    types = frozenset(seed_types)
    return [
        frequency
        for frequency in frequencies
        if frequency.entity_type in types and rule.is_rare(frequency)
    ]


def _find_largest_rare_count(citations: int, threshold: float) -> int:
    """The largest df whose upper bound lies below the threshold; that of 0 must lie below it."""
    # The upper bound grows with df, so bisection finds the first df at or above the threshold.
    first_common = bisect_left(
        range(citations + 1), True, key=lambda df: _compute_upper_bound(df, citations) >= threshold
    )
    return first_common - 1


def _compute_upper_bound(documents: int, citations: int) -> float:
    _, upper = compute_clopper_pearson(np.array([documents]), citations)
    return float(upper[0])


def _describe_documents(documents: int) -> str:
    if documents == 1:
        return "concepts named in a single citation"
    return f"concepts named in {documents} citations"
