"""Shares of the seeds by entity type.

The type with the largest share (``disease`` by default) sets the scale: all its seeds are kept. Of
each other type at most as many are kept as its share allows, those of the best rank.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from medr_ray.core.records import SeedEntity, Significance
from medr_ray.entities.seed_candidates import SeedCandidate

# Candidates that are judged for each seed that a share allows: a judge rejects some.
_CANDIDATES_PER_SEED = 3


def limit_candidates(
    candidates: Sequence[SeedCandidate], quota: Mapping[str, float]
) -> list[SeedCandidate]:
    """The candidates worth judging, in their order: there may be tens of thousands of rare genes
    and drugs, of which a share needs few."""
    types = [candidate.frequency.entity_type for candidate in candidates]
    limits = _compute_limits(types, quota)
    left = {entity_type: limit * _CANDIDATES_PER_SEED for entity_type, limit in limits.items()}
    kept = []
    for candidate in candidates:
        entity_type = candidate.frequency.entity_type
        if left[entity_type] > 0:
            left[entity_type] -= 1
            kept.append(candidate)
    return kept


def apply_quota(seeds: Sequence[SeedEntity], quota: Mapping[str, float]) -> list[SeedEntity]:
    """The judged candidates, in their order. Those that were accepted beyond the share of their
    type are rejected, and the reason says so."""
    accepted = (seed.frequency.entity_type for seed in seeds if seed.significance.verdict)
    left = dict(_compute_limits(accepted, quota))
    limited = []
    for seed in seeds:
        entity_type = seed.frequency.entity_type
        if not seed.significance.verdict:
            limited.append(seed)
        elif left[entity_type] > 0:
            left[entity_type] -= 1
            limited.append(seed)
        else:
            reason = f"beyond the share of {quota[entity_type]:.0%} for the type {entity_type}"
            verdict = Significance(False, reason, seed.significance.decided_by)
            limited.append(replace(seed, significance=verdict))
    return limited


def _compute_limits(types: Iterable[str], quota: Mapping[str, float]) -> dict[str, int]:
    """How many of each type may be kept, given the types of all."""
    counts = Counter(types)
    largest = max(quota, key=lambda entity_type: quota[entity_type])
    total = counts[largest] / quota[largest]
    limits = {entity_type: round(total * share) for entity_type, share in quota.items()}
    return {**limits, largest: counts[largest]}
