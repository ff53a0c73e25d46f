"""The statistics of an evaluation: proportions with intervals, a paired test, pass@k. Pure
functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from medr_ray.core.records import EvaluationResult
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED


@dataclass(frozen=True)
class Proportion:
    """``value`` = correct / n, with the ends of its interval; all null when n is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class PairedTest:
    """Exact McNemar test of two models on the same tasks.

    ``b`` counts tasks that only the first model got right, ``c`` those that only the second did;
    ``n`` tasks were scored for both.
    """

    b: int
    c: int
    n: int
    p_value: float


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> Proportion:
    """Wilson score interval of a proportion (Wilson 1927), without continuity correction."""
    if n == 0:
        return Proportion(None, None, None, 0)
    # Not the plain interval p +- z sqrt(p (1 - p) / n): it has no width where all or no answers are
    # right, which small benchmarks reach.
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = correct / n
    shrinkage = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrinkage
    half_width = z / shrinkage * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At p = 0 and p = 1 rounding can push an end just outside of [0, 1].
    return Proportion(p, max(0.0, centre - half_width), min(1.0, centre + half_width), n)


def mcnemar_p_value(b: int, c: int) -> float:
    """Two-sided exact p-value: the discordant pairs are tosses of a fair coin (binomial test with
    p = 1/2). It is 1 without discordant pairs."""
    n = b + c
    # P(X <= min(b, c)) for X ~ Binomial(n, 1/2). The sum is over integers, so it is exact for any
    # n.
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    # Doubling the tail exceeds 1 when b equals c.
    return min(1.0, 2 * tail)


def compare_outcomes(first: Mapping[str, bool], second: Mapping[str, bool]) -> PairedTest:
    """The test over the tasks (task id -> right or not) that both models were scored on."""
    # A task that is unscored for one of the two says nothing about their difference.
    shared = first.keys() & second.keys()
    b = sum(first[task_id] and not second[task_id] for task_id in shared)
    c = sum(second[task_id] and not first[task_id] for task_id in shared)
    return PairedTest(b, c, len(shared), mcnemar_p_value(b, c))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of the chance that one of ``k`` attempts is right, from ``n`` attempts of
    which ``correct`` were (Chen et al. 2021, arXiv 2107.03374). Does not depend on the order of the
    attempts."""
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} attempts, there are {n}")
    # 1 minus the share of the subsets of k attempts in which none is right. ``comb`` is 0 where
    # fewer than k attempts failed, and the estimate is then 1.
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def mean_pass_at_k(outcomes: Mapping[str, Sequence[bool]], k: int) -> float | None:
    """pass@k averaged over the tasks with at least ``k`` scored attempts; None without any."""
    estimates = [
        pass_at_k(len(attempts), sum(attempts), k)
        for attempts in outcomes.values()
        if len(attempts) >= k
    ]
    return sum(estimates) / len(estimates) if estimates else None


def select_scored(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """The results that have a verdict."""
    return [result for result in results if result.verdict != UNSCORED]


def exact_match(results: Sequence[EvaluationResult], confidence: float) -> Proportion:
    """correct / (correct + incorrect)."""
    scored = select_scored(results)
    correct = sum(result.verdict == CORRECT for result in scored)
    return wilson_interval(correct, len(scored), confidence)


def answer_rate(results: Sequence[EvaluationResult]) -> float | None:
    """Share of the scored results with an answer at all; None without any."""
    scored = select_scored(results)
    if not scored:
        return None
    return sum(result.prediction is not None for result in scored) / len(scored)
