"""A worker actor: makes its environment once, then runs many episodes concurrently on its event
loop.

``heartbeat`` answers even if the event loop is blocked, because it is called in another thread. An
infrastructure failure is returned as a report with its kind; any other exception is a bug and is
raised.
"""

import asyncio
import os
import platform
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from medr_ray.agent.episode_loop import FaultPlan, run_episode
from medr_ray.agent.policies import Policy
from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import GuidanceStep, Task, Trajectory
from medr_ray.core.run import Directory
from medr_ray.rollouts.episode_monitor import (
    SETUP,
    EpisodeMonitor,
    EpisodeProgress,
    WatchedPolicy,
    WatchedTool,
)
from medr_ray.rollouts.failure_kinds import MODEL, FailureKind
from medr_ray.rollouts.stack_dump import task_stacks, thread_stacks
from medr_ray.tools.base import Tool, for_episode
from medr_ray.tools.registry import open_tools

# Seconds between two ticks of the event loop: short beside ``rollouts.stall_seconds`` (at least 1).
_TICK_SECONDS = 0.5
# How long an event loop that seems to be blocked has to come round, at most half of
# ``rollouts.stall_seconds``: the answer must reach the pool before it counts the worker as silent.
# A process that was stopped and goes on takes its turn in far less.
_SECOND_LOOK_SECONDS = 2.0


def rollout_key(task_id: str, mode: str, rollout: int) -> str:
    """What identifies a rollout in the ledger."""
    return f"{task_id}/{mode}/{rollout}"


@dataclass(frozen=True)
class RolloutRequest:
    """One rollout to make: a task, the mode and the rollout's number within it.

    ``mode`` is "guided" or "exploration"; in an evaluation it names the weights. ``guidance`` is
    what a guided teacher is shown, and empty otherwise. With ``keep_cut`` a rollout that runs into
    ``agent.seconds`` comes back as it was then, and is not tried again until a shorter one is
    drawn.
    """

    task: Task
    mode: str = "exploration"
    rollout: int = 0
    guidance: tuple[GuidanceStep, ...] = ()
    keep_cut: bool = False

    @property
    def key(self) -> str:
        return rollout_key(self.task.task_id, self.mode, self.rollout)


class PolicyFactory(Protocol):
    """Makes the policy of one episode inside the worker. Sent to the worker once; must be
    picklable."""

    def __call__(self, request: RolloutRequest) -> Policy:
        """A fresh policy for this request."""
        ...


@dataclass(frozen=True)
class Environment:
    """What a worker runs its episodes with. ``rarity``: see ``tools.registry.Toolbox``."""

    tools: Sequence[Tool]
    policies: PolicyFactory
    rarity: Rarity | None = None


# Called inside the worker; must be picklable.
EnvironmentFactory = Callable[[], Environment]


@dataclass(frozen=True)
class IndexEnvironment:
    """Makes an environment of the configured tools over an index. ``index_uri`` is the index
    stage's directory."""

    config: PipelineConfig
    index_uri: str
    make_factory: Callable[[Rarity | None], PolicyFactory]

    def __call__(self) -> Environment:
        toolbox = open_tools(self.config, Directory(self.index_uri))
        return Environment(toolbox.tools, self.make_factory(toolbox.rarity), toolbox.rarity)


@dataclass(frozen=True)
class EpisodeReport:
    """How an episode ended: with a trajectory, or with an infrastructure failure of a kind. The
    reason and the kind are empty where there is a trajectory."""

    trajectory: Trajectory | None
    kind: FailureKind | Literal[""] = ""
    failure: str = ""


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life.

    ``blocked``: the event loop has not ticked for ``rollouts.stall_seconds`` and does not come
    round when it is asked to. ``stall_report`` describes a worker on which nothing moves, with its
    stacks; it is empty otherwise, and sent once per stall.
    """

    blocked: bool
    stall_report: str = ""


class RolloutWorker:
    """Runs episodes under a configuration in an environment."""

    def __init__(
        self, config: PipelineConfig, make_environment: EnvironmentFactory, faults: FaultPlan
    ) -> None:
        self._config = config
        self._faults = faults
        self._environment = make_environment()
        self._monitor = EpisodeMonitor()
        self._stall_reported = False

    async def ready(self) -> None:
        """Returns once the environment is made; from then on the event loop is watched."""
        # For stacks of its tasks, which another thread reads.
        self._loop = asyncio.get_running_loop()
        # Kept: the event loop itself holds tasks only weakly.
        self._ticker = asyncio.create_task(self._tick_forever(), name="ticker")

    async def run(self, request: RolloutRequest) -> EpisodeReport:
        """One episode."""
        with self._monitor.track_episode(request.key) as progress:
            try:
                return EpisodeReport(await self._run_episode(request, progress))
            # Returned and not raised: Ray would wrap it in a RayTaskError, which the pool takes for
            # a bug.
            except InfrastructureError as error:
                return EpisodeReport(None, progress.failure, str(error))

    async def _run_episode(self, request: RolloutRequest, progress: EpisodeProgress) -> Trajectory:
        # A failure while the policy is made counts as the model's.
        with progress.waiting_for(SETUP, MODEL):
            policy = WatchedPolicy(self._environment.policies(request), progress)
        tools = [WatchedTool(tool, progress) for tool in for_episode(self._environment.tools)]
        return await run_episode(
            request.task,
            policy,
            tools,
            self._config.agent,
            mode=request.mode,
            rollout=request.rollout,
            faults=self._faults,
            rarity=self._environment.rarity,
            keep_cut=request.keep_cut,
        )

    def heartbeat(self) -> Heartbeat:
        """Whether anything moves. Called from another thread than the event loop's."""
        limit = self._config.rollouts.stall_seconds
        is_blocked = self._monitor.loop_lag() > limit and not self._comes_round(limit)
        is_stalled = is_blocked or self._monitor.quiet_seconds() > limit
        # Stacks are long: one report for each stall is enough.
        is_new = is_stalled and not self._stall_reported
        self._stall_reported = is_stalled
        return Heartbeat(is_blocked, self._describe_stall(is_blocked) if is_new else "")

    def _comes_round(self, limit: float) -> bool:
        """Whether the event loop takes a turn now.

        After a pause of the whole process, or of its machine, this thread may answer before the
        event loop has ticked again: a late tick alone does not show that it is blocked.
        """
        turn = threading.Event()
        self._loop.call_soon_threadsafe(turn.set)
        return turn.wait(min(_SECOND_LOOK_SECONDS, limit / 2))

    def _describe_stall(self, is_blocked: bool) -> str:
        """Open episodes and stacks: names of places in the code, never values."""
        state = "blocked" if is_blocked else "waiting"
        lines = [
            f"worker process {os.getpid()} on {platform.node()}: nothing moved for "
            f"{self._monitor.quiet_seconds():.0f} s; its event loop is {state}, it came round "
            f"{self._monitor.loop_lag():.1f} s ago",
            "",
            "open rollouts:",
        ]
        for episode in self._monitor.open_episodes():
            lines.append(
                f"  {episode.key}: {episode.age:.0f} s old, for {episode.waited:.0f} s at: "
                f"{episode.step}"
            )
        lines += ["", thread_stacks(), "", task_stacks(self._loop)]
        return "\n".join(lines)

    async def _tick_forever(self) -> None:
        while True:
            self._monitor.note_loop_tick()
            await asyncio.sleep(_TICK_SECONDS)
