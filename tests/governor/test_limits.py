"""Rate limiters, budgets, clocks, concurrency and circuits as arithmetic over made-up times."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.governor.budget import Budget, BudgetLedger, Charge, Spend
from medr_ray.governor.circuit_breaker import CircuitBreaker
from medr_ray.governor.clock_offset import ClockOffset
from medr_ray.governor.concurrency import ConcurrencyLimit
from medr_ray.governor.limits import Amounts, Limits, arrival_jitter
from medr_ray.governor.rate_limiter import RateLimiter, build_limiters


def _limiter(limits: Limits) -> RateLimiter:
    (limiter,) = build_limiters(limits, 0.0)
    return limiter


def _take_until(limiter: RateLimiter, until: float, amount: float = 1.0) -> list[float]:
    """Times at which a caller with unlimited demand may take ``amount``."""
    times = [0.0]
    limiter.take(amount, 0.0, 0.0)
    while (at := limiter.earliest_time(amount, times[-1])) < until:
        limiter.take(amount, at, at)
        times.append(at)
    return times


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=1, max_value=300), st.sampled_from([1.0, 60.0]))
def test_a_limiter_spreads_what_it_allows(limit: int, seconds: float) -> None:
    times = _take_until(_limiter(Limits(limit, seconds)), 3 * seconds)
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
    assert limits.request_window == window


def test_what_is_used_late_counts_late() -> None:
    limiter = _limiter(Limits(1, 10.0))
    limiter.take(1, 0.0, 5.0)
    assert limiter.earliest_time(1, 0.0) >= 15.0


def test_what_is_given_back_can_be_taken_by_others_but_only_when_it_still_counts() -> None:
    limiter = _limiter(Limits(None, 10.0, tokens=100))
    limiter.take(100, 0.0, 0.0)
    assert limiter.earliest_time(50, 1.0) >= 10
    limiter.correct(-90, 0.0)
    assert limiter.earliest_time(50, 1.0) < 6
    limiter.take(90, 20.0, 20.0)
    limiter.correct(-10, 0.0)
    assert limiter.earliest_time(50, 20.0) >= 30, "what was taken at 0 no longer counts"


def test_changed_limits_do_not_give_a_fresh_start() -> None:
    old = _limiter(Limits(10, 10.0))
    _take_until(old, 10.0)
    new = _limiter(Limits(12, 20.0)).carry_over(old)
    assert new.window.usage(10.0) >= 9
    assert new.window.earliest_time(4, 10.0) > 20


def test_a_budget_is_a_hard_stop_even_for_requests_in_flight() -> None:
    budget = Budget("b", tokens=100)
    ledger = BudgetLedger(Spend(50))
    assert ledger.reserve("me", Charge(budget, Spend(40))) == ""
    assert "50 tokens are spent, 40 in flight" in ledger.reserve("you", Charge(budget, Spend(20)))
    ledger.settle("me", Spend(40), Spend(5))
    assert ledger.reserve("you", Charge(budget, Spend(45))) == ""
    assert ledger.spent == Spend(55)


def test_a_budget_in_dollars_stops_too_and_what_the_dead_had_in_flight_is_spent() -> None:
    budget = Budget("b", usd=1.0)
    ledger = BudgetLedger(Spend())
    assert ledger.reserve("dead", Charge(budget, Spend(10, 0.6))) == ""
    ledger.write_off_client("dead")
    assert ledger.spent == Spend(10, 0.6)
    assert "0.6000 US dollars are spent" in ledger.reserve("me", Charge(budget, Spend(10, 0.5)))
    assert ledger.reserve("me", Charge(budget, Spend(10, 0.4))) == ""


def test_a_ledger_that_does_not_know_a_client_is_told_what_is_in_flight() -> None:
    ledger = BudgetLedger(Spend(50))
    assert "30 in flight" in ledger.reserve(
        "me", Charge(Budget("b", tokens=100), Spend(40)), already_reserved=Spend(30)
    )


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(-1e6, 1e6))
def test_the_governors_clock_is_where_it_is_said_to_be(seed: int, skew: float) -> None:
    rng = random.Random(seed)
    offset = ClockOffset()
    now = 0.0
    for _ in range(20):
        sent = now
        received = sent + rng.uniform(0, 0.1)
        answered = received + rng.choice([0.0, 1.5])
        now = answered + rng.uniform(0, 0.1)
        offset.observe_exchange(sent, received + skew, answered + skew, now)
        low, high = offset.bounds(now)
        assert low <= skew + 1e-6
        assert high >= skew - 1e-6
        now += rng.uniform(0, 5)
    assert high - low < 0.1


def test_a_clock_that_was_set_is_learnt_anew() -> None:
    offset = ClockOffset()
    offset.observe_exchange(0.0, 100.0, 100.0, 0.01)
    offset.observe_exchange(1.0, 1.0, 1.0, 1.01)
    low, high = offset.bounds(1.01)
    assert -0.1 < low <= 0 <= high < 0.1


def test_what_was_sent_before_the_last_refusal_is_not_held_against_a_service_twice() -> None:
    concurrency = ConcurrencyLimit(16, 16.0)
    concurrency.record_overload(sent=0.0, now=1.0)
    concurrency.record_overload(sent=0.5, now=1.1)
    assert concurrency.limit == 8
    concurrency.record_overload(sent=1.5, now=2.0)
    assert concurrency.limit == 4
    for _ in range(200):
        concurrency.record_success()
    assert concurrency.limit == 16


def test_concurrency_never_falls_below_one_and_follows_the_configuration() -> None:
    concurrency = ConcurrencyLimit(2, 2.0)
    for second in range(9):
        concurrency.record_overload(sent=second, now=second + 0.5)
    assert concurrency.limit == 1
    concurrency.set_maximum(64)
    assert concurrency.limit == 1, "what was learnt stays"
    fresh = ConcurrencyLimit(2, 2.0)
    fresh.set_maximum(64)
    assert fresh.limit == 64


def test_a_circuit_opens_after_failures_in_a_row_and_for_longer_when_the_try_fails() -> None:
    breaker = CircuitBreaker()
    for second in range(9):
        breaker.record_failure(second, second)
    breaker.record_success(9)
    for second in range(10, 20):
        assert breaker.state(second) == "closed"
        breaker.record_failure(second, second)
    assert breaker.state(20.9) == "open"
    assert breaker.state(21) == "half-open"
    breaker.record_success(12)
    assert breaker.state(21) == "half-open", "that answer is to a request from before"
    breaker.record_failure(21, 22)
    assert breaker.state(25.9) == "open"
    breaker.record_success(26)
    assert breaker.state(26) == "closed"


def test_input_output_and_all_tokens_are_bounded_apart() -> None:
    limiters = build_limiters(Limits(10, 60.0, input_tokens=5, output_tokens=7, tokens=11), 0.0)
    assert [limiter.cost(Amounts(2, 3)) for limiter in limiters] == [1, 2, 3, 5]
    assert arrival_jitter(1.0) == 0.016
