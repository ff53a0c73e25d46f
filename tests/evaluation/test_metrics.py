"""The statistics against scipy, published values and their definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from medr_ray.evaluation import statistics as metrics


@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipy_s(n: int, data: st.DataObject, confidence: float) -> None:
    correct = data.draw(st.integers(0, n))
    interval = metrics.wilson_interval(correct, n, confidence)
    expected = binomtest(correct, n).proportion_ci(confidence, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_is_unknown_and_not_zero() -> None:
    assert metrics.wilson_interval(0, 0) == metrics.Proportion(None, None, None, 0)


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert metrics.mcnemar_p_value(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_one_and_eight_discordant_pairs() -> None:
    assert metrics.mcnemar_p_value(1, 8) == pytest.approx(20 / 512)


def test_only_tasks_scored_for_both_models_are_paired() -> None:
    test = metrics.compare_outcomes(
        {"a": True, "b": False, "c": True}, {"a": False, "b": True, "d": True}
    )
    assert (test.b, test.c, test.n, test.p_value) == (1, 1, 2, 1.0)


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_k_subsets_with_a_success(
    outcomes: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(outcomes)))
    subsets = list(itertools.combinations(outcomes, k))
    expected = sum(any(subset) for subset in subsets) / len(subsets)
    assert metrics.pass_at_k(len(outcomes), sum(outcomes), k) == pytest.approx(expected)


def test_pass_at_more_than_was_tried_is_an_error() -> None:
    with pytest.raises(ValueError, match="pass@3 needs"):
        metrics.pass_at_k(2, 1, 3)


def exact_bootstrap(values: list[float], tail: float) -> tuple[float, float]:
    """The ends of the interval over all equally likely draws, of which there are n to the n."""
    draws = sorted(sum(draw) / len(draw) for draw in itertools.product(values, repeat=len(values)))
    return draws[int(tail * len(draws))], draws[math.ceil((1 - tail) * len(draws)) - 1]


outcomes_of_tasks = st.lists(
    st.lists(st.booleans(), min_size=1, max_size=4), min_size=2, max_size=6
).filter(lambda tasks: max(map(len, tasks)) > 1)


@settings(max_examples=40, deadline=None)
@given(outcomes_of_tasks)
def test_the_cluster_bootstrap_is_that_over_all_draws_of_tasks(tasks: list[list[bool]]) -> None:
    interval = metrics.share_interval({str(i): values for i, values in enumerate(tasks)}, 0.9)
    shares = [sum(values) / len(values) for values in tasks]
    assert interval.value == pytest.approx(sum(shares) / len(shares))
    assert interval.n == len(tasks)
    if len(set(shares)) == 1 and shares[0] in (0, 1):
        assert interval.interval == "wilson"
        return
    assert interval.interval == "bootstrap"
    # Draws take few values where tasks are few: chance may land on a neighbour of the exact end.
    lower = exact_bootstrap(shares, 0.04)[0], exact_bootstrap(shares, 0.06)[0]
    upper = exact_bootstrap(shares, 0.06)[1], exact_bootstrap(shares, 0.04)[1]
    assert lower[0] - 1e-9 <= interval.low <= lower[1] + 1e-9
    assert upper[0] - 1e-9 <= interval.high <= upper[1] + 1e-9


def test_the_bootstrap_of_many_tasks_is_scipy_s() -> None:
    chance = np.random.default_rng(3)
    values = [list(chance.random(3) < rate) for rate in chance.random(200)]
    interval = metrics.share_interval({str(i): rows for i, rows in enumerate(values)}, 0.95)
    means = np.array([np.mean(rows) for rows in values])
    expected = bootstrap(
        (means,), np.mean, confidence_level=0.95, method="percentile", rng=chance
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_equal_repeats_narrow_nothing_and_further_ones_do() -> None:
    once = {str(i): [i % 3 == 0] for i in range(90)}
    copied = {task: values * 3 for task, values in once.items()}
    chance = np.random.default_rng(0)
    fresh = {task: list(chance.random(3) < 1 / 3) for task in once}
    widths = []
    for outcomes in (once, copied, fresh):
        interval = metrics.share_interval(outcomes, 0.95)
        widths.append(interval.high - interval.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] < 0.75 * widths[0]


def test_all_right_in_every_repeat_is_no_certainty() -> None:
    interval = metrics.share_interval({str(i): [True] * 5 for i in range(10)}, 0.95)
    assert (interval.value, interval.high, interval.n) == (1.0, 1.0, 10)
    assert interval.low == pytest.approx(metrics.wilson_interval(10, 10).low)
    assert interval.low < 0.8


def test_none_right_begins_at_zero_and_not_beside_it() -> None:
    assert metrics.wilson_interval(0, 35).low == 0.0
    assert metrics.wilson_interval(35, 35).high == 1.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_the_paired_bootstrap_is_that_over_all_draws_of_pairs(
    pairs: list[tuple[bool, bool]],
) -> None:
    first = {str(i): [pair[0]] for i, pair in enumerate(pairs)}
    second = {str(i): [pair[1]] for i, pair in enumerate(pairs)}
    difference = metrics.paired_difference(first, second, 0.9)
    gains = [float(pair[1]) - float(pair[0]) for pair in pairs]
    assert difference.value == pytest.approx(sum(gains) / len(gains))
    draws = [sum(draw) for draw in itertools.product(gains, repeat=len(gains))]
    tail = min(sum(draw <= 0 for draw in draws), sum(draw >= 0 for draw in draws)) / len(draws)
    assert difference.p_value == pytest.approx(min(1.0, 2 * tail), abs=0.03)
    assert difference.low <= difference.value <= difference.high


def test_a_task_that_is_unscored_for_one_model_is_in_no_pair() -> None:
    difference = metrics.paired_difference(
        {"a": [True], "b": [], "c": [False]}, {"a": [True], "b": [True], "d": [True]}, 0.95
    )
    assert (difference.n, difference.value) == (1, 0.0)
    assert metrics.paired_difference({}, {"a": [True]}, 0.95).value is None


def test_what_a_scorer_measures_has_a_mean_over_tasks() -> None:
    mean = metrics.mean_interval({"a": [0.5, 1.0], "b": [0.25], "c": []}, 0.95)
    assert (mean.value, mean.n) == (0.5, 2)
    assert mean.low == pytest.approx(0.25)
    assert mean.high == pytest.approx(0.75)
    assert metrics.mean_interval({}, 0.95) == metrics.Mean(None, None, None, 0)


@pytest.mark.parametrize(
    ("votes", "share"),
    [
        ([("a", False), ("b", True), ("a", False)], 0.0),
        ([("b", True), ("c", True), ("a", False)], 1.0),  # right answers are one answer
        ([("a", False), ("b", True)], 0.5),
        ([("a", False), ("b", True), ("c", False)], 1 / 3),
        ([("", False), ("", False), ("b", True)], 0.0),  # an empty answer is a wrong one
        ([], 0.0),
    ],
)
def test_the_majority_is_the_most_frequent_answer(
    votes: list[tuple[str, bool]], share: float
) -> None:
    assert metrics.majority_share(votes) == pytest.approx(share)
