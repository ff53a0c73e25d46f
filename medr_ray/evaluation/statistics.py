"""The statistics of an evaluation: proportions with intervals, a paired test, pass@k. Pure
functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from medr_ray.core.records import EvaluationResult
from medr_ray.evaluation.judges import CORRECT, UNSCORED


@dataclass(frozen=True)
class Proportion:
    """``value`` = correct / n, with the ends of its interval; all null when n is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class PairedTest:
    """Exact McNemar test of two models on the same items. ``b``: only the first was right; ``c``:
    only the second; ``n`` pairs were scored for both."""

    b: int
    c: int
    n: int
    p_value: float


def wilson(correct: int, n: int, confidence: float = 0.95) -> Proportion:
    """Wilson score interval of a proportion (Wilson 1927), without continuity correction."""
    if n == 0:
        return Proportion(None, None, None, 0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Proportion(p, max(0.0, centre - half), min(1.0, centre + half), n)


def mcnemar(b: int, c: int) -> float:
    """Two-sided exact p-value: discordant pairs as a fair coin (binomial test with p = 1/2); 1
    without any."""
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    return min(1.0, 2 * tail)


def paired_test(first: Mapping[str, bool], second: Mapping[str, bool]) -> PairedTest:
    """The test over the items (id -> right or not) that both models were scored on."""
    shared = first.keys() & second.keys()
    b = sum(first[item] and not second[item] for item in shared)
    c = sum(second[item] and not first[item] for item in shared)
    return PairedTest(b, c, len(shared), mcnemar(b, c))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of the chance that one of ``k`` attempts is right, from ``n`` attempts of
    which ``correct`` were (Chen et al. 2021, arXiv 2107.03374). Does not depend on the order of the
    attempts."""
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} attempts, there are {n}")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def mean_pass_at_k(attempts: Mapping[str, Sequence[bool]], k: int) -> float | None:
    """pass@k averaged over the items with at least ``k`` scored attempts; None without any."""
    values = [pass_at_k(len(one), sum(one), k) for one in attempts.values() if len(one) >= k]
    return sum(values) / len(values) if values else None


def scored(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """The results that count."""
    return [one for one in results if one.verdict != UNSCORED]


def exact_match(results: Sequence[EvaluationResult], confidence: float) -> Proportion:
    """correct / (correct + incorrect)."""
    counted = scored(results)
    return wilson(sum(one.verdict == CORRECT for one in counted), len(counted), confidence)


def answer_rate(results: Sequence[EvaluationResult]) -> float | None:
    """Share of scored items with an answer at all."""
    counted = scored(results)
    return sum(one.prediction is not None for one in counted) / len(counted) if counted else None
