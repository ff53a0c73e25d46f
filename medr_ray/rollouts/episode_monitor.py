"""Tracks what a worker's episodes are doing. Another thread can read it while the event loop is
busy or blocked.

An episode is listed from its start to its end. Every reply of a model and every result of a tool
counts as activity. When an episode ends with an InfrastructureError, the monitor knows which side
failed.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Message
from medr_ray.rollouts.failure_kinds import DEADLINE, MODEL, TOOL, FailureKind
from medr_ray.tools.base import Tool, ToolResult

SETUP = "set-up"


@dataclass(frozen=True)
class OpenEpisode:
    """An episode in flight: its ``age`` in seconds, the ``step`` it waits for, and for how many
    seconds it has ``waited``."""

    key: str
    age: float
    step: str
    waited: float


@dataclass
class EpisodeProgress:
    """The progress of one episode. ``failure`` is the kind that an InfrastructureError which ends
    the episode counts as: a deadline, unless a step failed."""

    key: str
    monitor: "EpisodeMonitor"
    started: float = field(default_factory=time.monotonic)
    step_started: float = field(default_factory=time.monotonic)
    step: str = SETUP
    turns: int = 0
    failure: FailureKind = DEADLINE

    @contextlib.contextmanager
    def waiting_for(self, step: str, failure: FailureKind) -> Iterator[None]:
        """The episode waits for ``step``; should that break, it failed in this way."""
        self._enter_step(step)
        try:
            yield
        except InfrastructureError:
            # Set by the step that broke: the exception itself does not say whose fault it is.
            self.failure = failure
            raise
        finally:
            self.monitor.note_activity()
            self._enter_step(f"after {step}")

    def _enter_step(self, step: str) -> None:
        self.step = step
        self.step_started = time.monotonic()

    def watch_setup(
        self, prepare: Callable[..., Awaitable[None]], failure: FailureKind
    ) -> Callable[..., Awaitable[None]]:
        """The same set-up, seen by the monitor."""

        async def watched(*arguments: Any) -> None:
            with self.waiting_for(SETUP, failure):
                await prepare(*arguments)

        return watched


class EpisodeMonitor:
    """The open episodes of a worker. The event loop writes, any thread reads."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._open: dict[int, EpisodeProgress] = {}
        self._last_activity = now
        self._last_loop_tick = now

    def note_activity(self) -> None:
        """A step of some episode began or ended."""
        # An assignment is atomic, so that readers in other threads need no lock.
        self._last_activity = time.monotonic()

    def note_loop_tick(self) -> None:
        """The event loop is alive."""
        self._last_loop_tick = time.monotonic()

    @contextlib.contextmanager
    def track_episode(self, key: str) -> Iterator[EpisodeProgress]:
        """List an episode while the context is open."""
        progress = EpisodeProgress(key, self)
        # By identity: another attempt at the same request may still be ending.
        self._open[id(progress)] = progress
        self.note_activity()
        try:
            yield progress
        finally:
            del self._open[id(progress)]
            self.note_activity()

    def quiet_seconds(self) -> float:
        """Seconds since the last activity; 0 where no episode is open."""
        return time.monotonic() - self._last_activity if self._open else 0.0

    def loop_lag(self) -> float:
        """Seconds since the event loop last ticked."""
        return time.monotonic() - self._last_loop_tick

    def open_episodes(self) -> list[OpenEpisode]:
        """The episodes in flight, the oldest first."""
        # Monotonic: a clock that is set would look like a stall.
        now = time.monotonic()
        # A copy: the event loop may add and remove episodes meanwhile.
        episodes = list(self._open.values())
        return [
            OpenEpisode(
                episode.key, now - episode.started, episode.step, now - episode.step_started
            )
            for episode in episodes
        ]


class WatchedPolicy:
    """A policy whose replies the monitor sees. Every other attribute is the policy's own."""

    def __init__(self, policy: Policy, progress: EpisodeProgress) -> None:
        self._policy = policy
        self._progress = progress

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._policy, name)
        if name == "prepare":
            return self._progress.watch_setup(attribute, MODEL)
        return attribute

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The policy's next turn."""
        self._progress.turns += 1
        with self._progress.waiting_for(f"model, turn {self._progress.turns}", MODEL):
            return await self._policy.respond(messages)


class WatchedTool:
    """A tool whose calls the monitor sees. Every other attribute is the tool's own."""

    def __init__(self, tool: Tool, progress: EpisodeProgress) -> None:
        self._tool = tool
        self._progress = progress
        self.name = tool.name
        self.description = tool.description
        self.parameters = tool.parameters

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._tool, name)
        if name == "prepare":
            return self._progress.watch_setup(attribute, TOOL)
        return attribute

    def for_episode(self) -> "WatchedTool":
        """Itself: it belongs to one episode already."""
        return self

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The tool's result."""
        with self._progress.waiting_for(f"{self.name}, turn {self._progress.turns}", TOOL):
            return await self._tool.call(arguments)
