"""The statistics against scipy, published values and their definitions."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from medr_ray.core.records import EvaluationResult, Usage, Verdict
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


def make_result(verdict: Verdict, prediction: str | None) -> EvaluationResult:
    return EvaluationResult(
        "heldout", "sft", "q", 0, prediction, verdict, "rules", "answered", Usage(0, 0, 1), 1.0
    )


def test_unscored_answers_count_neither_for_nor_against() -> None:
    rows = [
        make_result("correct", "a"),
        make_result("incorrect", None),
        make_result("unscored", None),
        make_result("unscored", "b"),
    ]
    match = metrics.exact_match(rows, 0.95)
    assert (match.value, match.n) == (0.5, 2)
    assert metrics.answer_rate(rows) == 0.5
