"""Rollouts: many agents that wait, against the least time their waiting can take.

The pool, its workers and the agent's loop are the real ones; replies and tools wait (asyncio) for
seconds known in advance. Wall times are those of a warm pool of two workers.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence

import ray
from support.waiting_environment import ANSWER, Script, WaitingEnvironment, make_tasks

from medr_ray.agent.episode_loop import run_episode
from medr_ray.core.config import PipelineConfig
from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.core.settings import load_config
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import RolloutTask
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
        _run(pool, make_tasks(_SLOTS, "turns"))  # until both workers are warm
        for mode, name in (("turns", "one after another"), ("calls", "after one thought")):
            yield build_measurement(
                f"64 rollouts x 3 tool calls of 0.5 s, {name}",
                _run(pool, make_tasks(64, mode)),
                serial,
                "tools one at a time (arithmetic)",
                goal=2.5,
                lower_is_better=True,
                unit="s",
            )
        mode = "hasty" if quick else "mixed"
        tasks = make_tasks(_ROLLOUTS, mode)
        took, ideal = _run(pool, tasks), _ideal_seconds(tasks)
        yield build_measurement(
            f"1,000 rollouts of mixed latency, share of the ideal on {_SLOTS} slots",
            ideal / took,
            goal=0.9,
            note=(
                f"{took:.1f} s; the ideal is {ideal:.1f} s, the greater of all work / "
                f"slots and the longest"
            ),
        )
        tasks = make_tasks(_ROLLOUTS, "idle")
        yield build_measurement(
            "a rollout of 3 calls that waits for nothing",
            1000 * _run(pool, tasks) / len(tasks),
            1000 * _seconds_without_pool(tasks) / len(tasks),
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


def _run(pool: RolloutPool, tasks: Sequence[RolloutTask]) -> float:
    """Seconds that the pool took; every rollout must have come to its answer."""
    started = time.perf_counter()
    outcomes = list(pool.run(tasks))
    seconds = time.perf_counter() - started
    answered = {
        outcome.task.key
        for outcome in outcomes
        if outcome.trajectory is not None and outcome.trajectory.answer == ANSWER
    }
    if len(outcomes) != len(tasks) or answered != {task.key for task in tasks}:
        raise RuntimeError(f"{len(answered)} of {len(tasks)} rollouts came to their answer")
    return seconds


def _ideal_seconds(tasks: Iterable[RolloutTask]) -> float:
    task_seconds = [_SCRIPTS[task.mode].seconds(task) for task in tasks]
    return max(math.fsum(task_seconds) / _SLOTS, *task_seconds)


def _seconds_without_pool(tasks: Sequence[RolloutTask]) -> float:
    """Seconds of the agent's loop over the same tasks, as many at once, without any pool."""
    environment, agent = WaitingEnvironment(_SCRIPTS)(), _config(1).agent

    async def every() -> None:
        slots = asyncio.Semaphore(_SLOTS)

        async def solve(task: RolloutTask) -> None:
            async with slots:
                await run_episode(
                    task.task,
                    environment.policies(task),
                    for_episode(environment.tools),
                    agent,
                    mode=task.mode,
                    rollout=task.rollout,
                )

        await asyncio.gather(*(solve(task) for task in tasks))

    started = time.perf_counter()
    asyncio.run(every())
    return time.perf_counter() - started
