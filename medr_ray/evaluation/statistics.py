"""The statistics of an evaluation: proportions with intervals, paired tests, pass@k, majority@k.

Pure functions. Several attempts at one task are no independent cases: where there are any, tasks
are what is drawn anew (a cluster bootstrap), each with all its attempts, and every task weighs the
same however many of its attempts were scored. Bootstraps draw by a fixed seed, so that equal
outcomes give equal figures.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from medr_ray.core.intervals import compute_wilson_bounds

# Draws of a bootstrap: the ends of a 95 % interval then vary by about 1 % of its width.
_DRAWS = 10_000
# Task numbers drawn at a time, each of 8 bytes.
_DRAWN_AT_ONCE = 2_000_000
_SEED = 0
IntervalKind = Literal["wilson", "bootstrap"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Proportion:
    """``value`` is the share of right answers, with the ends of its interval; all null when n is 0.

    ``n`` counts tasks. With one attempt each the interval is Wilson's; with more ``value`` is the
    mean of the tasks' shares and the interval that of a cluster bootstrap. ``interval`` says which.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    interval: IntervalKind = "wilson"


@dataclass(frozen=True)
class Mean:
    """A mean over ``n`` tasks of what a scorer measured in [0, 1], with the ends of its bootstrap
    interval; null when n is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean over ``n`` tasks of what the second model has more of right answers than the first,
    by a paired bootstrap over tasks with all their attempts; null when n is 0.

    ``p_value`` is two-sided: twice the share of draws on the other side of 0.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    p_value: float | None


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
    low, high = compute_wilson_bounds(correct, n, confidence)
    return Proportion(correct / n, low, high, n)


def share_interval(outcomes: Mapping[str, Sequence[bool]], confidence: float) -> Proportion:
    """The share of right attempts (task id -> whether each attempt was right), tasks weighing the
    same."""
    attempts = [values for values in outcomes.values() if values]
    shares = [sum(values) / len(values) for values in attempts]
    if max(map(len, attempts), default=0) <= 1:
        return wilson_interval(round(sum(shares)), len(shares), confidence)
    if set(shares) <= {0.0} or set(shares) <= {1.0}:
        # Every draw is the same, and the interval would have no width. Wilson's over tasks takes
        # the further attempts for no information.
        return wilson_interval(round(sum(shares)), len(shares), confidence)
    low, high = _percentiles(_draw_means(np.array(shares)), confidence)
    return Proportion(_mean(shares), low, high, len(shares), "bootstrap")


def mean_interval(values: Mapping[str, Sequence[float]], confidence: float) -> Mean:
    """The mean of what a scorer measured of each attempt (task id -> values), tasks weighing the
    same, with the interval of a cluster bootstrap."""
    means = [_mean(measured) for measured in values.values() if measured]
    if not means:
        return Mean(None, None, None, 0)
    low, high = _percentiles(_draw_means(np.array(means)), confidence)
    return Mean(_mean(means), low, high, len(means))


def paired_difference(
    first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]], confidence: float
) -> PairedDifference:
    """The difference of the tasks' shares (task id -> what each attempt scored), over the tasks
    that both were scored on."""
    shared = [task_id for task_id in first if first[task_id] and second.get(task_id)]
    if not shared:
        return PairedDifference(None, None, None, 0, None)
    # Pairing is by task: a draw takes both models' attempts at the same tasks, so that what makes a
    # task hard for both cancels out.
    differences = np.array([_mean(second[task_id]) - _mean(first[task_id]) for task_id in shared])
    draws = _draw_means(differences)
    low, high = _percentiles(draws, confidence)
    # One more than drawn: what was seen is one of the draws, and no p-value is 0.
    tail = 1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p_value = min(1.0, 2 * tail / (len(draws) + 1))
    return PairedDifference(float(differences.mean()), low, high, len(shared), p_value)


def _draw_means(values: Floats) -> Floats:
    """Means of as many values as there are, drawn with replacement, again and again."""
    chance = np.random.default_rng(_SEED)
    count = len(values)
    batch = max(1, _DRAWN_AT_ONCE // count)
    means = [
        values[chance.integers(count, size=(min(batch, _DRAWS - done), count))].mean(axis=1)
        for done in range(0, _DRAWS, batch)
    ]
    return np.concatenate(means)


def _percentiles(draws: Floats, confidence: float) -> tuple[float, float]:
    """The ends of the percentile interval (Efron 1979)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


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


def majority_share(votes: Sequence[tuple[str, bool]]) -> float:
    """How right the most frequent answer to a task is, of ``votes`` (answer, whether it is right).

    All right answers are one answer, in whatever words. Where several are as frequent, the share of
    them that is right. 0 without votes.
    """
    counts = Counter("" if is_right else f"={answer}" for answer, is_right in votes)
    if not counts:
        return 0.0
    highest = max(counts.values())
    leaders = [answer for answer, count in counts.items() if count == highest]
    return leaders.count("") / len(leaders)
