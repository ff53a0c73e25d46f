"""A worker actor: makes its environment once, then runs many episodes concurrently on its event
loop.

What holds: whatever the event loop does, ``beat`` answers, for it is called in a thread of its own;
an infrastructure failure comes back as a report with its kind, everything else that is raised is a
bug.
"""

import asyncio
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.agent.episode_loop import FaultPlan, run_episode
from medr_ray.agent.policies import Policy
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import GuidanceStep, Task, Trajectory
from medr_ray.core.run import Directory
from medr_ray.rollouts.episode_monitor import Board, Progress, WatchedPolicy, WatchedTool
from medr_ray.rollouts.failure_kinds import MODEL
from medr_ray.rollouts.stack_dump import task_stacks, thread_stacks
from medr_ray.tools.base import Tool, for_episode
from medr_ray.tools.registry import open_tools

_TICK_SECONDS = 0.5


def task_key(task_id: str, mode: str, rollout: int) -> str:
    """What the ledger knows a rollout by."""
    return f"{task_id}/{mode}/{rollout}"


@dataclass(frozen=True)
class RolloutTask:
    """One rollout to make: a task, the mode (guided or exploration) and the rollout's number
    within it. ``guidance`` is what a guided teacher is shown, and empty otherwise."""

    task: Task
    mode: str = "exploration"
    rollout: int = 0
    guidance: tuple[GuidanceStep, ...] = ()

    @property
    def key(self) -> str:
        return task_key(self.task.task_id, self.mode, self.rollout)


class PolicyFactory(Protocol):
    """Makes the policy of one episode inside the worker. Sent to the worker once; must be
    picklable."""

    def __call__(self, task: RolloutTask) -> Policy:
        """A fresh policy for this task."""
        ...


@dataclass(frozen=True)
class Environment:
    """What a worker runs its episodes with. ``rarity``: see ``tools.registry.Toolbox``."""

    tools: Sequence[Tool]
    policies: PolicyFactory
    rarity: Callable[[str], float] | None = None


MakeEnvironment = Callable[[], Environment]  # called inside the worker; must be picklable


@dataclass(frozen=True)
class IndexEnvironment:
    """The configured tools over an index. ``index_uri`` is the index stage's directory."""

    config: PipelineConfig
    index_uri: str
    make_factory: Callable[[], PolicyFactory]

    def __call__(self) -> Environment:
        box = open_tools(self.config, Directory(self.index_uri))
        return Environment(box.tools, self.make_factory(), box.rarity)


@dataclass(frozen=True)
class Report:
    """How an episode ended: with a trajectory, or with an infrastructure failure of a kind
    (``rollouts.failure_kinds``)."""

    trajectory: Trajectory | None
    kind: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Beat:
    """A sign of life. ``blocked``: the event loop has not come round for too long. ``standstill``
    is the account of a worker on which nothing moves, with its stacks; empty otherwise, and told
    once per standstill."""

    blocked: bool
    standstill: str = ""


class RolloutWorker:
    """Runs episodes under a configuration in an environment."""

    def __init__(
        self, config: PipelineConfig, make_environment: MakeEnvironment, faults: FaultPlan
    ) -> None:
        self._config, self._faults = config, faults
        self._environment = make_environment()
        self._board = Board()
        self._told = False

    async def ready(self) -> None:
        """Answers once the environment is made; from then on the event loop is watched."""
        self._loop = asyncio.get_running_loop()
        self._ticker = asyncio.create_task(self._tick(), name="ticker")

    async def run(self, task: RolloutTask) -> Report:
        """One episode."""
        with self._board.episode(task.key) as progress:
            try:
                return Report(await self._run(task, progress))
            except InfrastructureError as error:
                return Report(None, progress.failure, str(error))

    async def _run(self, task: RolloutTask, progress: Progress) -> Trajectory:
        with progress.at("set-up", MODEL):
            policy = WatchedPolicy(self._environment.policies(task), progress)
        tools = [WatchedTool(tool, progress) for tool in for_episode(self._environment.tools)]
        return await run_episode(
            task.task,
            policy,
            tools,
            self._config.agent,
            mode=task.mode,
            rollout=task.rollout,
            faults=self._faults,
            rarity=self._environment.rarity,
        )

    def beat(self) -> Beat:
        """Look whether anything moves."""
        limit = self._config.rollouts.stall_seconds
        blocked = self._board.lag() > limit
        standing = blocked or self._board.quiet() > limit
        first, self._told = standing and not self._told, standing
        return Beat(blocked, self._account(blocked) if first else "")

    def _account(self, blocked: bool) -> str:
        """Open episodes and stacks; names of places in code, never values."""
        state = "blocked" if blocked else "waiting"
        lines = [
            f"worker process {os.getpid()} on {platform.node()}: nothing moved for {self._board.quiet():.0f} s; its "
            f"event loop is {state}, it came round {self._board.lag():.1f} s ago",
            "",
            "open rollouts:",
        ]
        lines += [
            f"  {one.key}: {one.age:.0f} s old, for {one.waited:.0f} s at: {one.step}"
            for one in self._board.open()
        ]
        return "\n".join([*lines, "", thread_stacks(), "", task_stacks(self._loop)])

    async def _tick(self) -> None:
        while True:
            self._board.ticks()
            await asyncio.sleep(_TICK_SECONDS)
