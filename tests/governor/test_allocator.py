"""What is guaranteed for all processes together: limits in any window, leases, fairness, whatever
is late or dies."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.governed_world import World, most_within

from medr_ray.governor.limits import Amounts, Limits
from medr_ray.governor.protocol import LEASE_SECONDS, SLOT_HORIZON_SECONDS

_RATES = [(20, 1.0), (3, 1.0), (0.5, 1.0), (100, 10.0), (600, 60.0)]


@settings(deadline=None, max_examples=60)
@given(
    rate=st.sampled_from(_RATES),
    seed=st.integers(0, 2**32),
    processes=st.integers(1, 5),
    delay=st.sampled_from([0.001, 0.02, 0.3]),
    lag=st.sampled_from([0.0, 0.01, 0.4]),
    concurrency=st.integers(1, 40),
    seconds=st.sampled_from([0.001, 0.3, 2.0]),
)
def test_no_window_ever_sees_more_than_allowed(
    rate: tuple[float, float],
    seed: int,
    processes: int,
    delay: float,
    lag: float,
    concurrency: int,
    seconds: float,
) -> None:
    rng = random.Random(seed)
    limits = Limits(rate[0], rate[1], concurrency=concurrency)
    world = World(limits, rng, delay, lag, unnoticed=delay, seconds=lambda: rng.uniform(0, seconds))
    for _ in range(processes):
        process = world.process(skew=rng.uniform(-1e3, 1e3))
        begin = rng.uniform(0, 3 * rate[1])
        world.after(begin, lambda process=process: process.want(rng.choice([1, 2, 30])))
        later = begin + rng.expovariate(1 / (2 * rate[1]))
        world.after(later, lambda process=process: process.want(rng.choice([0, 1, 9])))
        if rng.random() < 0.3:
            world.after(begin + rng.expovariate(1 / rate[1]), process.die)
    if rng.random() < 0.3:
        world.after(rng.uniform(0, 4 * rate[1]), world.start_governor)
    world.run(5 * limits.request_window[1])
    assert world.most_in_a_window() <= limits.request_window[0]


@pytest.mark.parametrize(("rate", "seconds"), [*_RATES, (1000, 1.0)])
@pytest.mark.parametrize("processes", [1, 8])
def test_almost_all_that_is_allowed_is_used_by_those_that_have_use_for_it(
    rate: float, seconds: float, processes: int
) -> None:
    limits = Limits(rate, seconds, concurrency=200)
    world = World(limits, random.Random(1), lag=0.001)
    for number in range(processes):
        world.process(skew=100.0 * number).want(30)
    world.run(8 * limits.request_window[1])
    begin, length = limits.request_window[1], 7 * limits.request_window[1]
    used = sum(begin <= arrival.time < begin + length for arrival in world.arrivals)
    assert used >= 0.95 * rate * length / seconds - 1
    assert world.most_in_a_window() <= limits.request_window[0]
    shares = [
        sum(arrival.process == process.name for arrival in world.arrivals)
        for process in world.processes
    ]
    assert min(shares) > 0.8 * max(shares) - 20, "the first one asked when it was alone"


def test_a_busy_process_does_not_ask_for_every_permit() -> None:
    world = World(Limits(1000, 1.0, concurrency=200), random.Random(1))
    world.process().want(100)
    world.run(3.0)
    assert len(world.arrivals) > 2000
    assert world.messages < len(world.arrivals) / 5


def test_the_share_of_a_process_that_died_is_back_within_a_lease() -> None:
    world = World(Limits(20, 1.0, concurrency=8), random.Random(1))
    dead, alive = world.process(), world.process()
    for process in (dead, alive):
        process.want(50)
    world.run(5.0)
    dead.die()
    world.run(5.0 + LEASE_SECONDS + 10)
    begin = 5.0 + max(SLOT_HORIZON_SECONDS, LEASE_SECONDS)
    assert (
        sum(arrival.time >= begin for arrival in world.arrivals if arrival.process == alive.name)
        >= 0.95 * 20 * 10 - 1
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_governor_that_takes_over_waits_for_what_the_old_one_granted(seed: int) -> None:
    world = World(Limits(20, 1.0, concurrency=100), random.Random(seed), unnoticed=2.0)
    for _ in range(4):
        world.process().want(30)
    world.run(2.5)
    world.start_governor()
    world.run(20.0)
    assert world.most_in_a_window() <= 20
    assert sum(arrival.time > 15 for arrival in world.arrivals) >= 0.95 * 20 * 5 - 1


@pytest.mark.parametrize("processes", [1, 3, 8])
def test_leases_bound_what_is_in_flight_and_go_round(processes: int) -> None:
    world = World(Limits(None, 1.0, concurrency=4), random.Random(2), seconds=lambda: 0.2)
    for _ in range(processes):
        world.process().want(10)
    world.run(20.0)
    assert world.most_at_once() <= 4
    assert len(world.arrivals) >= 0.85 * 4 * 20 / 0.2
    shares = [
        sum(arrival.process == process.name for arrival in world.arrivals)
        for process in world.processes
    ]
    assert min(shares) > 0.8 * max(shares)


def test_one_process_alone_keeps_its_leases() -> None:
    world = World(Limits(None, 1.0, concurrency=4), random.Random(2), seconds=lambda: 0.01)
    world.process().want(10)
    world.run(10.0)
    assert len(world.arrivals) > 1800
    assert world.messages < 200


def test_tokens_are_bounded_by_what_was_used_not_by_what_was_feared() -> None:
    limits = Limits(1e6, 10.0, tokens=1000, concurrency=100)
    world = World(limits, random.Random(3))
    for _ in range(3):
        world.process().want(5, Amounts(50, 50)).used = lambda amounts: Amounts(30, 10)
    world.run(60.0)
    total = sum(sum(arrival.amounts) for arrival in world.arrivals if arrival.time >= 20)
    assert total >= 0.9 * 1000 * 4
    assert world.most_in_a_window(lambda arrival: sum(arrival.amounts)) <= 1000


def test_input_and_output_tokens_have_limits_of_their_own() -> None:
    world = World(
        Limits(None, 10.0, input_tokens=500, output_tokens=100, concurrency=100), random.Random(3)
    )
    world.process().want(5, Amounts(10, 10))
    world.run(40.0)
    assert most_within(world.arrivals, 10.0, lambda arrival: arrival.amounts.output_tokens) <= 100
    assert len(world.arrivals) >= 35


def test_a_request_larger_than_the_limit_goes_alone() -> None:
    world = World(Limits(None, 10.0, tokens=100), random.Random(3))
    world.process().want(1, Amounts(150, 0))
    world.run(35.0)
    assert len(world.arrivals) in (3, 4)


def test_a_pause_reaches_every_process_and_what_it_has_at_hand() -> None:
    world = World(Limits(100, 1.0, concurrency=100), random.Random(4), retry_after=5.0)
    refused = []

    def result(now: float) -> str:
        if now >= 3.0 and not refused:
            refused.append(now)
            return "refused"
        return "succeeded"

    world.result = result  # type: ignore[assignment]
    for _ in range(4):
        world.process().want(20)
    world.run(12.0)
    late = [
        arrival.time
        for arrival in world.arrivals
        if refused[0] + 0.03 < arrival.time < refused[0] + 5.0
    ]
    assert late == []
    assert sum(arrival.time > refused[0] + 5.0 for arrival in world.arrivals) > 200


def test_refusals_shrink_what_is_in_flight_and_successes_win_it_back() -> None:
    world = World(
        Limits(None, 1.0, concurrency=32), random.Random(5), seconds=lambda: 0.1, retry_after=0.0
    )
    world.result = lambda now: "refused" if 5 < now < 6 else "succeeded"
    world.process().want(100)
    world.run(6.0)
    assert world.allocator.snapshot(world.now).concurrency <= 4
    world.run(20.0)
    assert world.allocator.snapshot(world.now).concurrency == 32
    late = [arrival for arrival in world.arrivals if 6.3 < arrival.time < 6.4]
    assert len(late) <= 8


def test_an_open_circuit_lets_one_request_try() -> None:
    world = World(Limits(None, 1.0, concurrency=8), random.Random(6), seconds=lambda: 0.01)
    world.result = lambda now: "failed" if now < 6 else "succeeded"
    processes = [world.process().want(10) for _ in range(3)]
    world.run(1.0)
    assert world.allocator.snapshot(world.now).breaker == "open"
    assert all(
        process.state.circuit_open_seconds(process.read_clock()) > 0 for process in processes
    )
    before = len(world.arrivals)
    world.run(5.9)  # tried after 2 s, and not before 4 more
    assert len(world.arrivals) == before + 1
    world.run(8.0)
    assert world.allocator.snapshot(world.now).breaker == "closed"
    assert len(world.arrivals) > before + 100
