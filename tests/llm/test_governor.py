"""One governor for all: limits hold across tasks, threads and Ray workers."""

import asyncio
import sys
import threading

import pytest

from medr_ray.llm.budget import BudgetExceeded
from medr_ray.llm.governor import Lease, ProcessGovernor, Request, governor
from medr_ray.llm.limits import Limits


def _request(concurrency: int = 2, budget_tokens: int | None = None, budget: str = "b") -> Request:
    return Request("endpoint", Limits(1e6, None, concurrency), budget, budget_tokens, 0, 10, 60.0)


def test_callers_are_served_in_order_and_leases_come_back() -> None:
    async def scenario() -> list[int]:
        gate, served = ProcessGovernor(), []
        held = await gate.acquire(_request(1))

        async def caller(number: int) -> Lease:
            lease = await gate.acquire(_request(1))
            served.append(number)
            await gate.settle(lease, 10)
            return lease

        waiting = [asyncio.create_task(caller(n)) for n in range(5)]
        await asyncio.sleep(0)
        assert served == []
        await gate.settle(held, 10)
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(scenario()) == [0, 1, 2, 3, 4]


def test_a_cancelled_caller_gives_its_budget_back() -> None:
    async def scenario() -> None:
        gate = ProcessGovernor()
        held = await gate.acquire(_request(1, budget_tokens=20))
        waiting = asyncio.create_task(gate.acquire(_request(1, budget_tokens=20)))
        await asyncio.sleep(0)
        with pytest.raises(BudgetExceeded):
            await gate.acquire(_request(1, budget_tokens=20))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await gate.settle(held, 0)
        await gate.acquire(_request(1, budget_tokens=20))

    asyncio.run(scenario())


def test_limits_hold_across_threads_with_their_own_event_loops() -> None:
    gate, running, most, state = ProcessGovernor(), 0, 0, threading.Lock()

    async def calls() -> None:
        nonlocal running, most
        for _ in range(20):
            lease = await gate.acquire(_request(2))
            with state:
                running += 1
                most = max(most, running)
            await asyncio.sleep(0)
            with state:
                running -= 1
            await gate.settle(lease, 10)

    threads = [threading.Thread(target=lambda: asyncio.run(calls())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 2


@pytest.mark.slow
def test_ray_workers_share_one_governor_and_one_budget(ray_local: None) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not import the tests

    @ray.remote(num_cpus=0)
    class Worker:
        async def take(self, budget_tokens: int) -> str:
            try:
                await governor().acquire(_request(100, budget_tokens, "shared"))
            except BudgetExceeded:
                return "refused"
            return "granted"

    workers = [Worker.remote() for _ in range(3)]  # type: ignore[attr-defined]
    answers = ray.get([worker.take.remote(50) for worker in workers for _ in range(4)])
    assert sorted(answers) == ["granted"] * 5 + ["refused"] * 7
