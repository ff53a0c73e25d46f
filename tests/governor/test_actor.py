"""One governor for all: limits hold across tasks, threads, Ray workers and their deaths."""

import asyncio
import gc
import os
import pickle
import signal
import sys
import threading
import time

import pytest

from medr_ray.core.errors import InfrastructureError
from medr_ray.governor import clock
from medr_ray.governor.actor import ProcessGovernor, governor
from medr_ray.governor.budget import Budget, BudgetExceeded, Charge, Spend
from medr_ray.governor.client import Desk, GovernorLost
from medr_ray.governor.failures import CircuitOpen
from medr_ray.governor.gate import Gate, Limits
from medr_ray.governor.limits import Amounts, Service
from medr_ray.governor.metrics import Counts, ServiceState
from medr_ray.governor.protocol import Message, Outcome, Reply, Slot
from medr_ray.governor.server import Office

_NONE = Amounts()


def _service(concurrency: int = 2, requests: float | None = None) -> Service:
    return Service("key", "service", Limits(requests, 1.0, concurrency=concurrency))


def _done(slot: Slot, result: str = "succeeded") -> Outcome:
    return Outcome(slot, _NONE, result)  # type: ignore[arg-type]


def test_callers_are_served_in_order_and_seats_come_back() -> None:
    async def scenario() -> list[int]:
        desk, served, service = ProcessGovernor(), [], _service(1)
        held = await desk.acquire(service, _NONE)

        async def caller(number: int) -> None:
            slot = await desk.acquire(service, _NONE)
            served.append(number)
            desk.finish(service, _done(slot))

        waiting = [asyncio.create_task(caller(n)) for n in range(5)]
        await asyncio.sleep(0)
        assert served == []
        desk.finish(service, _done(held))
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(scenario()) == [0, 1, 2, 3, 4]


def test_a_cancelled_caller_takes_nothing_with_it() -> None:
    async def scenario() -> None:
        desk, service = ProcessGovernor(), _service(1)
        held = await desk.acquire(service, _NONE)
        waiting = [asyncio.create_task(desk.acquire(service, _NONE)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        desk.finish(
            service, _done(held)
        )  # given to the second one, or to the first one just before it is cancelled
        await asyncio.gather(waiting[0], return_exceptions=True)
        desk.finish(service, _done(await waiting[1]))
        await desk.acquire(service, _NONE)

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
            permit.used(0, 0)
        async with gate.permit(charge=Charge(charge.budget, Spend(20))) as permit:
            permit.used(4, 5)
        with pytest.raises(BudgetExceeded, match="9 tokens are spent, 0 in flight"):
            await gate.permit(charge=Charge(charge.budget, Spend(12))).__aenter__()

    asyncio.run(scenario())


def test_a_gate_travels_without_its_secret() -> None:
    gate = Gate("https://service.example/v1", Limits(3, 1.0), secret="sk-very-secret")
    sent = pickle.dumps(gate)
    assert b"very-secret" not in sent
    assert vars(pickle.loads(sent)) == vars(gate)  # noqa: S301
    assert vars(Gate("https://service.example/v1", Limits(3, 1.0), secret="another")) != vars(gate)


def test_what_was_used_refused_and_failed_is_counted() -> None:
    desk = ProcessGovernor()

    async def scenario() -> ServiceState:
        service = Service("key", "service", Limits(100, 1.0, tokens=1000))
        for used, result in ((Amounts(7, 3), "succeeded"), (_NONE, "refused"), (_NONE, "failed")):
            slot = await desk.acquire(service, Amounts(10, 10))
            desk.finish(service, Outcome(slot, used, result, 0.0, usd=0.5))  # type: ignore[arg-type]
        while (state := (await desk.snapshot())[0]).counts.granted < 3:
            await asyncio.sleep(0.01)
        return state

    state = asyncio.run(scenario())
    assert state.counts == Counts(
        granted=3, refused=1, failed=1, input_tokens=7, output_tokens=3, usd=1.5
    )
    assert (state.concurrency, state.waiting, state.circuit_open) == (4, 0, 0)
    assert 0 < state.utilisation <= 1


def test_limits_hold_across_threads_with_their_own_event_loops() -> None:
    desk, service, running, most, state = ProcessGovernor(), _service(2), 0, 0, threading.Lock()

    async def calls() -> None:
        nonlocal running, most
        for _ in range(20):
            slot = await desk.acquire(service, _NONE)
            with state:
                running += 1
                most = max(most, running)
            await asyncio.sleep(0)
            with state:
                running -= 1
            desk.finish(service, _done(slot))

    threads = [threading.Thread(target=lambda: asyncio.run(calls())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 2


def test_a_service_that_only_fails_is_left_alone_and_says_until_when() -> None:
    async def fail_for_ever() -> None:
        desk, service = ProcessGovernor(), _service(1)
        while True:
            desk.finish(service, _done(await desk.acquire(service, _NONE), "failed"))

    with pytest.raises(
        CircuitOpen, match=r"service only failed lately.*tried again in [12]\.\d s"
    ) as caught:
        asyncio.run(asyncio.wait_for(fail_for_ever(), 60))
    assert isinstance(caught.value, InfrastructureError)


def test_a_desk_that_nobody_uses_any_more_ends_its_thread() -> None:
    before, desk, service = set(threading.enumerate()), ProcessGovernor(), _service(1)
    desk.finish(service, _done(asyncio.run(desk.acquire(service, _NONE))))
    (thread,) = set(threading.enumerate()) - before
    del desk
    while thread.is_alive():
        gc.collect()
        thread.join(0.1)


def test_whoever_waits_at_a_desk_that_closes_is_told() -> None:
    async def scenario() -> None:
        desk, service = ProcessGovernor(), _service(1)
        await desk.acquire(service, _NONE)
        waiting = asyncio.create_task(desk.acquire(service, _NONE))
        await asyncio.sleep(0)
        desk.close()
        with pytest.raises(InfrastructureError, match="session is over"):
            await waiting

    asyncio.run(scenario())


class _Mortal:
    """A governor that is gone when told, and then another one, as often as wished."""

    def __init__(self) -> None:
        self.office, self.gone, self.calls = Office(), asyncio.Event(), 0

    def die(self) -> None:
        self.office = Office(restarted=True)
        self.gone.set()
        self.gone = asyncio.Event()

    async def exchange(self, client: str, service: Service, message: Message) -> Reply:
        self.calls += 1
        answer = asyncio.ensure_future(self.office.exchange(client, service, message))
        gone = asyncio.ensure_future(self.gone.wait())
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not answer.done():
            raise GovernorLost("killed")
        return answer.result()

    async def reserve(self, client: str, charge: Charge, before: Spend) -> str:
        return await self.office.reserve(client, charge, before)

    async def settle(self, client: str, charge: Charge, used: Spend) -> None:
        await self.office.settle(client, charge, used)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        return await self.office.snapshot()


def test_callers_outlive_the_governor_and_keep_their_seats() -> None:
    async def scenario() -> None:
        port = _Mortal()
        desk, service = Desk(port), _service(2)
        first, second = [await desk.acquire(service, _NONE) for _ in range(2)]
        waiting = asyncio.create_task(desk.acquire(service, _NONE))
        await asyncio.sleep(0.05)
        desk._submit(_as_coroutine(port.die))
        await asyncio.sleep(0.5)
        assert not waiting.done(), "two are in flight, and the new governor was told"
        (state,) = await desk.snapshot()
        assert state.seats == 2
        desk.finish(service, _done(first))
        desk.finish(service, _done(await waiting))
        desk.finish(service, _done(second))

    asyncio.run(scenario())


def test_only_the_first_seconds_after_a_restart_are_nobodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(seconds: float) -> float:
        port, now = _Mortal(), clock.now
        port.die()
        begun = now()
        monkeypatch.setattr(clock, "now", lambda: now() + seconds)
        slot = await Desk(port).acquire(_service(requests=10), _NONE)
        monkeypatch.undo()
        return slot.time - begun - seconds

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
                await governor().reserve(Charge(budget, Spend(10)))
            except BudgetExceeded:
                return "refused"
            return "granted"

        async def pass_through(self, gate: Gate, count: int) -> list[float]:
            times = []

            async def one() -> None:
                async with gate.permit():
                    times.append(time.monotonic())  # one clock for all processes of a host

            await asyncio.gather(*(one() for _ in range(count)))
            return times

        async def hold(self, gate: Gate, seconds: float) -> bool:
            async with gate.permit():
                await asyncio.sleep(seconds)
            return True

    made = [Worker.remote() for _ in range(3)]  # type: ignore[attr-defined]
    ray.get([one.pid.remote() for one in made])
    return made


def _most_within(times: list[float], seconds: float) -> int:
    ordered = sorted(times)
    return max(sum(first <= one < first + seconds for one in ordered) for first in ordered)


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
    actor = ray.get_actor("medr_governor_2", namespace="medr")
    ray.kill(actor, no_restart=False)
    times = [one for part in ray.get(running) for one in part]
    assert len(times) == 120
    assert _most_within(times, 1.0) <= 20
    state = next(one for one in asyncio.run(governor().snapshot()) if one.name == "shared limit")
    assert state.waiting == 0


@pytest.mark.slow
def test_the_seat_of_a_worker_that_was_killed_is_given_to_others(workers: list) -> None:  # type: ignore[type-arg]
    import ray

    gate = Gate("one seat", Limits(None, concurrency=1))
    dead, alive, _ = workers
    pid = ray.get(dead.pid.remote())
    dead.hold.remote(gate, 600)
    while not any(
        one.name == "one seat" and one.seats for one in asyncio.run(governor().snapshot())
    ):
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    assert ray.get(alive.hold.remote(gate, 0), timeout=60)
