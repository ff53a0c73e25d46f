"""The learning-rate schedule: warm-up, constant and cosine."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.core.config import OptimiserConfig
from medr_ray.training.schedules import scheduled_learning_rate


def rates(total: int, **settings: object) -> list[float]:
    optimiser = OptimiserConfig(learning_rate=0.1, **settings)
    return [scheduled_learning_rate(optimiser, step, total) for step in range(total)]


def test_without_warm_up_a_constant_rate_is_the_peak_from_the_first_step() -> None:
    assert rates(3) == [0.1, 0.1, 0.1]


def test_warm_up_is_linear_begins_above_zero_and_ends_at_the_peak() -> None:
    assert rates(6, warmup_steps=4) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_a_cosine_begins_at_the_peak_is_half_of_it_midway_and_falls_towards_zero() -> None:
    course = rates(10, schedule="cosine")
    assert course[0] == pytest.approx(0.1)
    assert course[5] == pytest.approx(0.05)
    assert course[9] == pytest.approx(0.05 * (1 + math.cos(0.9 * math.pi)))


def test_a_cosine_begins_where_the_warm_up_ends() -> None:
    course = rates(12, warmup_steps=2, schedule="cosine")
    assert course[:3] == pytest.approx([0.05, 0.1, 0.1])
    assert course[2:] == pytest.approx(rates(10, schedule="cosine"))


@given(st.integers(0, 8), st.integers(1, 20), st.sampled_from(["constant", "cosine"]))
def test_a_rate_is_above_zero_and_at_most_the_peak(warmup: int, total: int, schedule: str) -> None:
    course = rates(total, warmup_steps=warmup, schedule=schedule)
    assert all(0 < rate <= 0.1 * (1 + 1e-12) for rate in course)
    after = course[warmup:]
    assert after == sorted(after, reverse=True)


def test_a_run_of_the_warm_up_alone_is_no_division_by_zero() -> None:
    assert rates(2, warmup_steps=2, schedule="cosine") == pytest.approx([0.05, 0.1])
    optimiser = OptimiserConfig(learning_rate=0.1, warmup_steps=2, schedule="cosine")
    assert scheduled_learning_rate(optimiser, 2, 2) == pytest.approx(0.1)
