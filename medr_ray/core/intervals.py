"""Confidence intervals that several rooms print."""

import math
from statistics import NormalDist


def compute_wilson_bounds(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of ``correct`` of ``n`` (Wilson 1927), without continuity
    correction. ``n`` is at least 1."""
    # Not the plain interval p +- z sqrt(p (1 - p) / n): it has no width where all or no answers are
    # right, which small benchmarks reach.
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = correct / n
    shrinkage = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrinkage
    half_width = z / shrinkage * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At p = 0 and p = 1 an end is 0 or 1 exactly, which rounding misses by a hair.
    low = 0.0 if correct == 0 else max(0.0, centre - half_width)
    high = 1.0 if correct == n else min(1.0, centre + half_width)
    return low, high
