"""The rate limits as pure arithmetic over made-up clocks."""

import bisect
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.llm.budget import BudgetExceeded, TokenBudget
from medr_ray.llm.limits import Limits, Meter


def _grants(meter: Meter, seconds: float, tokens: int = 1) -> list[float]:
    """Times at which a caller that always wants more is served; each request is over at once."""
    now, times = 0.0, []
    while now < seconds:
        lease, wait = meter.acquire(tokens, ttl=30, now=now)
        if lease is None:
            now += wait
            continue
        times.append(now)
        meter.release(lease, tokens, tokens)
    return times


def _most_in_a_minute(times: list[float]) -> int:
    return max(bisect.bisect_left(times, one + 60) - first for first, one in enumerate(times))


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=300))
def test_no_minute_ever_sees_more_requests_than_allowed_and_few_less(limit: int) -> None:
    times = _grants(Meter(Limits(limit, None, 8), 0.0), 150.0)
    assert _most_in_a_minute(times) <= limit
    assert len(times) >= math.floor(0.95 * limit * 150 / 60)


def test_less_than_one_request_a_minute_is_possible() -> None:
    assert len(_grants(Meter(Limits(0.5, None, 8), 0.0), 600.0)) in (4, 5)


def test_tokens_are_limited_and_corrected_by_what_was_used() -> None:
    meter = Meter(Limits(100_000, 1000, 8), 0.0)
    lease, _ = meter.acquire(100, ttl=30, now=0.0)
    assert meter.acquire(100, ttl=30, now=0.0)[0] is None
    assert lease is not None
    meter.release(lease, estimated=100, used=10)
    assert meter.acquire(90, ttl=30, now=0.0)[0] is not None


def test_a_request_larger_than_the_burst_goes_and_the_others_pay_for_it() -> None:
    meter = Meter(Limits(100_000, 1000, 8), 0.0)
    assert meter.acquire(600, ttl=30, now=0.0)[0] is not None
    _, wait = meter.acquire(1, ttl=30, now=0.0)
    assert 30 < wait < 40  # 501 of about 900 tokens a minute


def test_leases_bound_concurrency_and_end_on_their_own() -> None:
    meter = Meter(Limits(100_000, None, 2), 0.0)
    first, _ = meter.acquire(1, ttl=30, now=0.0)
    assert meter.acquire(1, ttl=30, now=1.0)[0] is not None
    assert meter.acquire(1, ttl=30, now=2.0)[0] is None
    assert first is not None
    meter.release(first, 1, 1)
    assert meter.acquire(1, ttl=30, now=3.0)[0] is not None
    assert meter.acquire(1, ttl=30, now=4.0)[0] is None
    assert meter.acquire(1, ttl=30, now=31.5)[0] is not None, "the second caller died; its lease is over"


def test_a_pause_holds_for_everyone_and_the_longest_one_stands() -> None:
    meter = Meter(Limits(600, None, 8), 0.0)
    meter.pause(20, now=0.0)
    meter.pause(5, now=1.0)
    assert meter.acquire(1, ttl=30, now=10.0) == (None, 10.0)
    assert meter.acquire(1, ttl=30, now=20.0)[0] is not None


def test_changed_limits_do_not_give_a_fresh_burst() -> None:
    meter = Meter(Limits(60, None, 100), 0.0)
    while meter.acquire(1, ttl=30, now=0.0)[0] is not None:
        pass
    meter.adopt(Limits(120, None, 100), 0.0)
    assert meter.acquire(1, ttl=30, now=0.0)[0] is None


def test_a_budget_is_a_hard_stop_even_for_requests_in_flight() -> None:
    budget = TokenBudget(spent=50)
    budget.reserve(40, limit=100)
    with pytest.raises(BudgetExceeded, match="50 tokens are spent, 40 in flight"):
        budget.reserve(20, limit=100)
    budget.settle(40, used=5)
    budget.reserve(45, limit=100)
    assert (budget.spent, budget.reserved) == (55, 45)
