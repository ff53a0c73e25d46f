"""A pool of worker actors.

What holds: every task given to ``run`` comes back exactly once, as a trajectory or as a failure with its reason;
a dead worker is replaced and its tasks are tried afresh; a task that keeps failing is given up after
``rollouts.retries`` fresh attempts; errors of ours (bugs) are raised, not retried.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from medr_ray.agent.loop import NO_FAULTS, FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Trajectory
from medr_ray.rollouts.worker import PolicyFactory, RolloutTask, RolloutWorker


@dataclass(frozen=True)
class RolloutOutcome:
    """A finished task: its trajectory, or the infrastructure failure that excluded it. ``seconds`` from dispatch."""

    task: RolloutTask
    trajectory: Trajectory | None
    failure: str = ""
    seconds: float = 0.0


@dataclass
class _Running:
    task: RolloutTask
    attempt: int
    worker: int
    started: float = field(default_factory=time.monotonic)


class RolloutPool:
    """Starts ``rollouts.workers`` actors and grows to ``rollouts.max_workers`` while tasks queue up."""

    def __init__(
        self, config: PipelineConfig, index_uri: str, make_factory: Callable[[], PolicyFactory],
        faults: FaultPlan = NO_FAULTS,
    ) -> None:
        self._config, self._arguments = config, (config, index_uri, make_factory, faults)
        self._workers: dict[int, Any] = {}
        self._load: dict[int, int] = {}
        self._started = 0
        for _ in range(config.rollouts.workers):
            self._start_worker()

    def run(self, tasks: Iterable[RolloutTask]) -> Iterator[RolloutOutcome]:
        """Outcomes as they finish, in no particular order."""
        waiting = [(task, 0) for task in tasks][::-1]
        running: dict[Any, _Running] = {}
        while waiting or running:
            self._dispatch(waiting, running)
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                item = running.pop(reference)
                outcome = self._collect(reference, item)
                if outcome is None:
                    waiting.append((item.task, item.attempt + 1))
                else:
                    yield outcome

    def close(self) -> None:
        for worker in self._workers.values():
            ray.kill(worker)
        self._workers.clear()

    def __enter__(self) -> "RolloutPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dispatch(self, waiting: list[tuple[RolloutTask, int]], running: dict[Any, _Running]) -> None:
        limit = self._config.rollouts.concurrency
        while waiting:
            index = min(self._load, key=lambda one: (self._load[one], one))
            if self._load[index] >= limit:
                if len(self._workers) >= self._config.rollouts.max_workers:
                    return
                index = self._start_worker()
            task, attempt = waiting.pop()
            running[self._workers[index].run.remote(task)] = _Running(task, attempt, index)
            self._load[index] += 1

    def _collect(self, reference: Any, item: _Running) -> RolloutOutcome | None:
        """The outcome, or None when the task is to be tried again."""
        if item.worker in self._load:
            self._load[item.worker] -= 1
        try:
            return RolloutOutcome(item.task, ray.get(reference), seconds=time.monotonic() - item.started)
        except RayActorError as error:
            if error.actor_init_failed:  # it could not even start: another one would not either
                raise
            self._replace(item.worker)
            failure = f"worker died: {type(error).__name__}"
        except RayTaskError as error:
            if not isinstance(error.cause, InfrastructureError):
                raise
            failure = str(error.cause)
        return None if item.attempt < self._config.rollouts.retries else RolloutOutcome(item.task, None, failure)

    def _start_worker(self) -> int:
        rollouts = self._config.rollouts
        index = self._started
        self._started += 1
        self._workers[index] = ray.remote(RolloutWorker).options(
            num_cpus=rollouts.worker_cpus, max_concurrency=rollouts.concurrency,
            scheduling_strategy="DEFAULT",  # outside a trainer's placement group
        ).remote(*self._arguments)
        self._load[index] = 0
        return index

    def _replace(self, index: int) -> None:
        if index in self._workers:  # all tasks of a dead worker report it; the first report replaces it
            del self._workers[index], self._load[index]
            self._start_worker()
