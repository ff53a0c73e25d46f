"""Buckets, budgets, clocks, concurrency and circuits as pure arithmetic over made-up times."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.governor.budget import Budget, Charge, Purse, Spend
from medr_ray.governor.circuit_breaker import Breaker
from medr_ray.governor.clock_offset import Offset
from medr_ray.governor.concurrency import Concurrency
from medr_ray.governor.limits import Amounts, Limits, tolerance
from medr_ray.governor.rate_limiter import Bucket, buckets_of


def _bucket(limits: Limits) -> Bucket:
    (bucket,) = buckets_of(limits, 0.0)
    return bucket


def _taken(bucket: Bucket, until: float, amount: float = 1.0) -> list[float]:
    """Times at which somebody who always wants more may take ``amount``."""
    times = [0.0]
    bucket.take(amount, 0.0, 0.0)
    while (at := bucket.earliest(amount, times[-1])) < until:
        bucket.take(amount, at, at)
        times.append(at)
    return times


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=1, max_value=300), st.sampled_from([1.0, 60.0]))
def test_a_bucket_spreads_what_it_allows(limit: int, seconds: float) -> None:
    times = _taken(_bucket(Limits(limit, seconds)), 3 * seconds)
    assert len(times) >= math.floor(0.95 * 3 * limit)
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert longest <= (0.02 + 2 / limit) * seconds


@pytest.mark.parametrize(
    ("limits", "window"),
    [
        (Limits(0.5, 1.0), (1, 2.0)),
        (Limits(0.5), (1, 120.0)),
        (Limits(2.5, 1.0), (2, 1.0)),
        (Limits(60), (60, 60.0)),
    ],
)
def test_requests_are_whole(limits: Limits, window: tuple[int, float]) -> None:
    assert limits.window == window


def test_what_is_used_late_counts_late() -> None:
    bucket = _bucket(Limits(1, 10.0))
    bucket.take(1, 0.0, 5.0)
    assert bucket.earliest(1, 0.0) >= 15.0


def test_what_is_given_back_can_be_taken_by_others_but_only_when_it_still_counts() -> None:
    bucket = _bucket(Limits(None, 10.0, tokens=100))
    bucket.take(100, 0.0, 0.0)
    assert bucket.earliest(50, 1.0) >= 10
    bucket.correct(-90, 0.0)
    assert bucket.earliest(50, 1.0) < 6
    bucket.take(90, 20.0, 20.0)
    bucket.correct(-10, 0.0)
    assert bucket.earliest(50, 20.0) >= 30, "what was taken at 0 no longer counts"


def test_changed_limits_do_not_give_a_fresh_start() -> None:
    old = _bucket(Limits(10, 10.0))
    _taken(old, 10.0)
    new = _bucket(Limits(12, 20.0)).after(old)
    assert new.window.used(10.0) >= 9
    assert new.window.earliest(4, 10.0) > 20


def test_a_budget_is_a_hard_stop_even_for_requests_in_flight() -> None:
    budget = Budget("b", tokens=100)
    purse = Purse(Spend(50))
    assert purse.reserve("me", Charge(budget, Spend(40))) == ""
    assert "50 tokens are spent, 40 in flight" in purse.reserve("you", Charge(budget, Spend(20)))
    purse.settle("me", Spend(40), Spend(5))
    assert purse.reserve("you", Charge(budget, Spend(45))) == ""
    assert purse.spent == Spend(55)


def test_a_budget_in_dollars_stops_too_and_what_the_dead_had_in_flight_is_spent() -> None:
    budget = Budget("b", usd=1.0)
    purse = Purse(Spend())
    assert purse.reserve("dead", Charge(budget, Spend(10, 0.6))) == ""
    purse.died("dead")
    assert purse.spent == Spend(10, 0.6)
    assert "0.6000 US dollars are spent" in purse.reserve("me", Charge(budget, Spend(10, 0.5)))
    assert purse.reserve("me", Charge(budget, Spend(10, 0.4))) == ""


def test_a_purse_that_forgot_is_told_what_is_in_flight() -> None:
    purse = Purse(Spend(50))
    assert "30 in flight" in purse.reserve(
        "me", Charge(Budget("b", tokens=100), Spend(40)), before=Spend(30)
    )


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(-1e6, 1e6))
def test_the_governors_clock_is_where_it_is_said_to_be(seed: int, skew: float) -> None:
    chance, offset, now = random.Random(seed), Offset(), 0.0
    for _ in range(20):
        sent = now
        heard = sent + chance.uniform(0, 0.1)
        answered = heard + chance.choice([0.0, 1.5])
        now = answered + chance.uniform(0, 0.1)
        offset.observe(sent, heard + skew, answered + skew, now)
        low, high = offset.bounds(now)
        assert low <= skew + 1e-6
        assert high >= skew - 1e-6
        now += chance.uniform(0, 5)
    assert high - low < 0.1


def test_a_clock_that_was_set_is_learnt_anew() -> None:
    offset = Offset()
    offset.observe(0.0, 100.0, 100.0, 0.01)
    offset.observe(1.0, 1.0, 1.0, 1.01)
    low, high = offset.bounds(1.01)
    assert -0.1 < low <= 0 <= high < 0.1


def test_what_was_sent_before_the_last_refusal_is_not_held_against_a_service_twice() -> None:
    concurrency = Concurrency(16, 16.0)
    concurrency.overloaded(sent=0.0, now=1.0)
    concurrency.overloaded(sent=0.5, now=1.1)
    assert concurrency.limit == 8
    concurrency.overloaded(sent=1.5, now=2.0)
    assert concurrency.limit == 4
    for _ in range(200):
        concurrency.succeeded()
    assert concurrency.limit == 16


def test_concurrency_never_falls_below_one_and_follows_the_configuration() -> None:
    concurrency = Concurrency(2, 2.0)
    for second in range(9):
        concurrency.overloaded(sent=second, now=second + 0.5)
    assert concurrency.limit == 1
    concurrency.adopt(64)
    assert concurrency.limit == 1, "what was learnt stays"
    fresh = Concurrency(2, 2.0)
    fresh.adopt(64)
    assert fresh.limit == 64


def test_a_circuit_opens_after_failures_in_a_row_and_for_longer_when_the_try_fails() -> None:
    breaker = Breaker()
    for second in range(9):
        breaker.failed(second, second)
    breaker.succeeded(9)
    for second in range(10, 20):
        assert breaker.state(second) == "closed"
        breaker.failed(second, second)
    assert breaker.state(20.9) == "open"
    assert breaker.state(21) == "half-open"
    breaker.succeeded(12)
    assert breaker.state(21) == "half-open", "that answer is to a request from before"
    breaker.failed(21, 22)
    assert breaker.state(25.9) == "open"
    breaker.succeeded(26)
    assert breaker.state(26) == "closed"


def test_input_output_and_all_tokens_are_bounded_apart() -> None:
    buckets = buckets_of(Limits(10, 60.0, input_tokens=5, output_tokens=7, tokens=11), 0.0)
    assert [bucket.amount(Amounts(2, 3)) for bucket in buckets] == [1, 2, 3, 5]
    assert tolerance(1.0) == 0.016
