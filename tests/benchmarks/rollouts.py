"""Rollouts: many agents that wait, against the least time their waiting can take.

The pool, its workers and the agent's loop are the real ones; replies and tools wait (asyncio) for
seconds known in advance. Wall times are those of a warm pool of two workers.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence

import ray
from support.waiting_environment import ANSWER, Script, WaitingEnvironment, make_requests

from medr_ray.agent.episode_loop import run_episode
from medr_ray.core.config import PipelineConfig
from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.core.settings import load_config
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.base import for_episode

_WORKERS, _ROLLOUTS, _SLOTS = 2, 1000, 64
_SCRIPTS = {
    "turns": Script(turns=3, calls=1, wait=0.5),
    "calls": Script(turns=1, calls=3, wait=0.5),
    "mixed": Script(turns=2, calls=2, think=0.15, wait=0.3, spread=2.0),
    "hasty": Script(turns=2, calls=2, think=0.05, wait=0.15, spread=2.0),
    "idle": Script(turns=3),
}


def measure(quick: bool) -> Iterator[Measurement]:
    started = not ray.is_initialized()
    if started:
        ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        yield from _measure(quick)
    finally:
        if started:
            ray.shutdown()


def _measure(quick: bool) -> Iterator[Measurement]:
    serial = 64 * 3 * 0.5
    with _pool(_SLOTS // _WORKERS) as pool:
        _run(pool, make_requests(_SLOTS, "turns"))  # until both workers are warm
        for mode, name in (("turns", "one after another"), ("calls", "after one thought")):
            yield build_measurement(
                f"64 rollouts x 3 tool calls of 0.5 s, {name}",
                _run(pool, make_requests(64, mode)),
                serial,
                "tools one at a time (arithmetic)",
                goal=2.5,
                lower_is_better=True,
                unit="s",
            )
        mode = "hasty" if quick else "mixed"
        requests = make_requests(_ROLLOUTS, mode)
        took, ideal = _run(pool, requests), _ideal_seconds(requests)
        yield build_measurement(
            f"1,000 rollouts of mixed latency, share of the ideal on {_SLOTS} slots",
            ideal / took,
            goal=0.9,
            note=(
                f"{took:.1f} s; the ideal is {ideal:.1f} s, the greater of all work / "
                f"slots and the longest"
            ),
        )
        requests = make_requests(_ROLLOUTS, "idle")
        yield build_measurement(
            "a rollout of 3 calls that waits for nothing",
            1000 * _run(pool, requests) / len(requests),
            1000 * _seconds_without_pool(requests) / len(requests),
            "the agent's loop alone, in one process",
            lower_is_better=True,
            unit="ms",
            note="wall time of all of them / their number: what the pool adds to a rollout",
        )


def _config(concurrency: int) -> PipelineConfig:
    return load_config(
        None,
        [
            f"rollouts.workers={_WORKERS}",
            f"rollouts.max_workers={_WORKERS}",
            f"rollouts.concurrency={concurrency}",
            "agent.max_tool_calls=9",
        ],
        environment={},
    )


def _pool(concurrency: int) -> RolloutPool:
    return RolloutPool(_config(concurrency), environment=WaitingEnvironment(_SCRIPTS))


def _run(pool: RolloutPool, requests: Sequence[RolloutRequest]) -> float:
    """Seconds that the pool took; every rollout must have come to its answer."""
    started = time.perf_counter()
    outcomes = list(pool.run(requests))
    seconds = time.perf_counter() - started
    answered = {
        outcome.request.key
        for outcome in outcomes
        if outcome.trajectory is not None and outcome.trajectory.answer == ANSWER
    }
    if len(outcomes) != len(requests) or answered != {request.key for request in requests}:
        raise RuntimeError(f"{len(answered)} of {len(requests)} rollouts came to their answer")
    return seconds


def _ideal_seconds(requests: Iterable[RolloutRequest]) -> float:
    request_seconds = [_SCRIPTS[request.mode].seconds(request) for request in requests]
    return max(math.fsum(request_seconds) / _SLOTS, *request_seconds)


def _seconds_without_pool(requests: Sequence[RolloutRequest]) -> float:
    """Seconds of the agent's loop over the same requests, as many at once, without any pool."""
    environment, agent = WaitingEnvironment(_SCRIPTS)(), _config(1).agent

    async def every() -> None:
        slots = asyncio.Semaphore(_SLOTS)

        async def solve(request: RolloutRequest) -> None:
            async with slots:
                await run_episode(
                    request.task,
                    environment.policies(request),
                    for_episode(environment.tools),
                    agent,
                    mode=request.mode,
                    rollout=request.rollout,
                )

        await asyncio.gather(*(solve(request) for request in requests))

    started = time.perf_counter()
    asyncio.run(every())
    return time.perf_counter() - started
