"""One governor for all: limits hold across tasks, threads, Ray workers and their deaths."""

import asyncio
import gc
import os
import signal
import sys
import threading
import time

import pytest

from medr_ray.core.errors import InfrastructureError
from medr_ray.governor import clock
from medr_ray.governor.actor import LocalGovernorClient, get_governor_client
from medr_ray.governor.budget import Budget, BudgetExceeded, Charge, Spend
from medr_ray.governor.client import GovernorClient, GovernorLost
from medr_ray.governor.failures import CircuitOpen
from medr_ray.governor.gate import Gate, Limits
from medr_ray.governor.limits import Amounts, GovernedService
from medr_ray.governor.metrics import RequestCounts, ServiceState
from medr_ray.governor.protocol import GovernorResponse, Outcome, Slot, StateReport
from medr_ray.governor.server import GovernorServer

_NONE = Amounts()


def _make_service(concurrency: int = 2, requests: float | None = None) -> GovernedService:
    return GovernedService("key", "service", Limits(requests, 1.0, concurrency=concurrency))


def _report_done(slot: Slot, result: str = "succeeded") -> Outcome:
    return Outcome(slot, _NONE, result)  # type: ignore[arg-type]


def test_callers_are_served_in_order_and_leases_come_back() -> None:
    async def scenario() -> list[int]:
        client, served, service = LocalGovernorClient(), [], _make_service(1)
        held = await client.acquire(service, _NONE)

        async def caller(number: int) -> None:
            slot = await client.acquire(service, _NONE)
            served.append(number)
            client.finish(service, _report_done(slot))

        waiting = [asyncio.create_task(caller(n)) for n in range(5)]
        await asyncio.sleep(0)
        assert served == []
        client.finish(service, _report_done(held))
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(scenario()) == [0, 1, 2, 3, 4]


def test_a_request_whose_event_loop_wakes_too_late_for_its_slot_waits_for_another() -> None:
    async def scenario() -> list[float]:
        client, service, lateness = LocalGovernorClient(), _make_service(50, requests=20), []

        async def call() -> None:
            slot = await client.acquire(service, _NONE)
            lateness.append(clock.now() - slot.end)
            client.finish(service, _report_done(slot))

        calls = [asyncio.create_task(call()) for _ in range(20)]
        while not all(task.done() for task in calls):
            time.sleep(0.15)  # longer than a slot is valid at first: the loop is busy
            await asyncio.sleep(0)
        await asyncio.gather(*calls)
        return lateness

    lateness = asyncio.run(scenario())
    assert len(lateness) == 20
    assert max(lateness) <= 0.005  # between the last look at the clock and this one


def test_a_cancelled_caller_takes_nothing_with_it() -> None:
    async def scenario() -> None:
        client, service = LocalGovernorClient(), _make_service(1)
        held = await client.acquire(service, _NONE)
        waiting = [asyncio.create_task(client.acquire(service, _NONE)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        client.finish(
            service, _report_done(held)
        )  # given to the second one, or to the first one just before it is cancelled
        await asyncio.gather(waiting[0], return_exceptions=True)
        client.finish(service, _report_done(await waiting[1]))
        await client.acquire(service, _NONE)

    asyncio.run(scenario())


def test_a_cancelled_caller_gives_its_budget_back() -> None:
    charge = Charge(Budget("b", tokens=20), Spend(10))

    async def scenario() -> None:
        gate = Gate("service", Limits(None, concurrency=1))
        async with gate.permit(charge=charge) as permit:
            waiting = asyncio.create_task(gate.permit(charge=charge).__aenter__())
            await asyncio.sleep(0.05)
            with pytest.raises(BudgetExceeded, match="20 in flight"):
                await gate.permit(charge=charge).__aenter__()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            permit.record_usage(0, 0)
        async with gate.permit(charge=Charge(charge.budget, Spend(20))) as permit:
            permit.record_usage(4, 5)
        with pytest.raises(BudgetExceeded, match="9 tokens are spent, 0 in flight"):
            await gate.permit(charge=Charge(charge.budget, Spend(12))).__aenter__()

    asyncio.run(scenario())


def test_a_gate_travels_without_its_secret() -> None:
    gate = Gate("https://service.example/v1", Limits(3, 1.0), secret="sk-very-secret")
    from ray import cloudpickle

    pickled = cloudpickle.dumps(gate)
    assert b"very-secret" not in pickled
    assert vars(cloudpickle.loads(pickled)) == vars(gate)
    assert vars(Gate("https://service.example/v1", Limits(3, 1.0), secret="another")) != vars(gate)


def test_what_was_used_refused_and_failed_is_counted() -> None:
    client = LocalGovernorClient()

    async def scenario() -> ServiceState:
        service = GovernedService("key", "service", Limits(100, 60.0, tokens=1000))
        for used, result in ((Amounts(7, 3), "succeeded"), (_NONE, "refused"), (_NONE, "failed")):
            slot = await client.acquire(service, Amounts(10, 10))
            client.finish(service, Outcome(slot, used, result, 0.0, usd=0.5))  # type: ignore[arg-type]
        while (state := (await client.snapshot())[0]).counts.granted < 3:
            await asyncio.sleep(0.01)
        return state

    state = asyncio.run(scenario())
    assert state.counts == RequestCounts(
        granted=3, refused=1, failed=1, input_tokens=7, output_tokens=3, usd=1.5
    )
    assert (state.concurrency, state.waiting, state.circuit_open) == (4, 0, 0)
    assert 0 < state.utilisation <= 1


def test_limits_hold_across_threads_with_their_own_event_loops() -> None:
    client, service, running, peak, state = (
        LocalGovernorClient(),
        _make_service(2),
        0,
        0,
        threading.Lock(),
    )

    async def make_calls() -> None:
        nonlocal running, peak
        for _ in range(20):
            slot = await client.acquire(service, _NONE)
            with state:
                running += 1
                peak = max(peak, running)
            await asyncio.sleep(0)
            with state:
                running -= 1
            client.finish(service, _report_done(slot))

    threads = [threading.Thread(target=lambda: asyncio.run(make_calls())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= peak <= 2


def test_a_service_that_only_fails_is_left_alone_and_says_until_when() -> None:
    async def fail_for_ever() -> None:
        client, service = LocalGovernorClient(), _make_service(1)
        while True:
            client.finish(service, _report_done(await client.acquire(service, _NONE), "failed"))

    with pytest.raises(
        CircuitOpen, match=r"service only failed lately.*tried again in \d\.\d s"
    ) as caught:
        asyncio.run(asyncio.wait_for(fail_for_ever(), 60))
    assert isinstance(caught.value, InfrastructureError)
    assert 0 < caught.value.seconds <= 2.0


def test_a_client_that_nobody_uses_any_more_ends_its_thread() -> None:
    before, client, service = set(threading.enumerate()), LocalGovernorClient(), _make_service(1)
    client.finish(service, _report_done(asyncio.run(client.acquire(service, _NONE))))
    (thread,) = set(threading.enumerate()) - before
    del client
    while thread.is_alive():
        gc.collect()
        thread.join(0.1)


def test_whoever_waits_at_a_client_that_closes_is_told() -> None:
    async def scenario() -> None:
        client, service = LocalGovernorClient(), _make_service(1)
        await client.acquire(service, _NONE)
        waiting = asyncio.create_task(client.acquire(service, _NONE))
        await asyncio.sleep(0)
        client.close()
        with pytest.raises(InfrastructureError, match="session is over"):
            await waiting

    asyncio.run(scenario())


class _MortalGovernor:
    """A connection to a governor that can die and be replaced, as often as needed."""

    def __init__(self) -> None:
        self.server, self.gone, self.calls = GovernorServer(), asyncio.Event(), 0

    def die(self) -> None:
        self.server = GovernorServer(restarted=True)
        self.gone.set()
        self.gone = asyncio.Event()

    async def exchange(
        self, client_id: str, service: GovernedService, report: StateReport
    ) -> GovernorResponse:
        self.calls += 1
        answer = asyncio.ensure_future(self.server.exchange(client_id, service, report))
        gone = asyncio.ensure_future(self.gone.wait())
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not answer.done():
            raise GovernorLost("killed")
        return answer.result()

    async def reserve(self, client_id: str, charge: Charge, already_reserved: Spend) -> str:
        return await self.server.reserve(client_id, charge, already_reserved)

    async def settle(self, client_id: str, charge: Charge, used: Spend) -> None:
        await self.server.settle(client_id, charge, used)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        return await self.server.snapshot()


def test_callers_outlive_the_governor_and_keep_their_leases() -> None:
    async def scenario() -> None:
        connection = _MortalGovernor()
        client, service = GovernorClient(connection), _make_service(2)
        first, second = [await client.acquire(service, _NONE) for _ in range(2)]
        waiting = asyncio.create_task(client.acquire(service, _NONE))
        await asyncio.sleep(0.05)
        client._run_in_loop(_as_coroutine(connection.die))
        async with asyncio.timeout(60):
            while not any(state.leases for state in await client.snapshot()):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        (state,) = await client.snapshot()
        assert state.leases == 2
        assert not waiting.done(), "two are in flight, and the new governor knows"
        client.finish(service, _report_done(first))
        client.finish(service, _report_done(await waiting))
        client.finish(service, _report_done(second))

    asyncio.run(scenario())


def test_only_the_first_seconds_after_a_restart_are_nobodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(seconds: float) -> float:
        connection, now = _MortalGovernor(), clock.now
        connection.die()
        begun = now()
        monkeypatch.setattr(clock, "now", lambda: now() + seconds)
        slot = await GovernorClient(connection).acquire(_make_service(requests=10), _NONE)
        monkeypatch.undo()
        return slot.start - begun - seconds

    assert asyncio.run(scenario(0.0)) > 4
    assert asyncio.run(scenario(60.0)) < 4


async def _as_coroutine(call: object) -> None:
    call()  # type: ignore[operator]


# --- on Ray ---------------------------------------------------------------------------


@pytest.fixture
def workers(ray_local: None) -> list:  # type: ignore[type-arg]
    import ray

    ray.cloudpickle.register_pickle_by_value(
        sys.modules[__name__]
    )  # workers do not import the tests

    @ray.remote(num_cpus=0, max_concurrency=100)
    class Worker:
        def pid(self) -> int:
            return os.getpid()

        async def reserve(self, budget: Budget) -> str:
            try:
                await get_governor_client().reserve(Charge(budget, Spend(10)))
            except BudgetExceeded:
                return "refused"
            return "granted"

        async def pass_through(self, gate: Gate, count: int) -> list[float]:
            times = []

            async def call() -> None:
                async with gate.permit():
                    times.append(time.monotonic())  # one clock for all processes of a host

            await asyncio.gather(*(call() for _ in range(count)))
            return times

        async def hold(self, gate: Gate, seconds: float) -> bool:
            async with gate.permit():
                await asyncio.sleep(seconds)
            return True

    workers = [Worker.remote() for _ in range(3)]  # type: ignore[attr-defined]
    ray.get([worker.pid.remote() for worker in workers])
    return workers


def _most_within(times: list[float], seconds: float) -> int:
    ordered = sorted(times)
    return max(sum(first <= moment < first + seconds for moment in ordered) for first in ordered)


@pytest.mark.slow
def test_ray_workers_share_one_governor_and_one_budget(workers: list) -> None:  # type: ignore[type-arg]
    import ray

    budget = Budget("shared", tokens=50)
    answers = ray.get([worker.reserve.remote(budget) for worker in workers for _ in range(4)])
    assert sorted(answers) == ["granted"] * 5 + ["refused"] * 7


@pytest.mark.slow
def test_ray_workers_never_exceed_a_limit_together_even_when_the_actor_is_killed(
    workers: list,  # type: ignore[type-arg]
) -> None:
    import ray

    gate = Gate("shared limit", Limits(20, 1.0, concurrency=50))
    running = [worker.pass_through.remote(gate, 40) for worker in workers]
    ray.wait(running, timeout=2.0)
    actor = ray.get_actor("medr_governor_3", namespace="medr")
    ray.kill(actor, no_restart=False)
    times = [moment for times in ray.get(running) for moment in times]
    assert len(times) == 120
    assert _most_within(times, 1.0) <= 20
    state = next(
        state
        for state in asyncio.run(get_governor_client().snapshot())
        if state.name == "shared limit"
    )
    assert state.waiting == 0


@pytest.mark.slow
def test_the_lease_of_a_worker_that_was_killed_is_given_to_others(workers: list) -> None:  # type: ignore[type-arg]
    import ray

    gate = Gate("one lease", Limits(None, concurrency=1))
    dead, alive, _ = workers
    pid = ray.get(dead.pid.remote())
    dead.hold.remote(gate, 600)
    while not any(
        state.name == "one lease" and state.leases
        for state in asyncio.run(get_governor_client().snapshot())
    ):
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    assert ray.get(alive.hold.remote(gate, 0), timeout=60)
