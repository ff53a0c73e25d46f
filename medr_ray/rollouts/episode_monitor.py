"""What a worker's episodes are doing, kept so that another thread can tell while the event loop is
busy or blocked.

What holds: an episode is on the board from its start to its end; every reply of a model and every
answer of a tool counts as a step; which side broke is known when an episode ends with an
InfrastructureError.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Message
from medr_ray.rollouts.failure_kinds import DEADLINE, MODEL, TOOL
from medr_ray.tools.base import Tool, ToolResult


@dataclass(frozen=True)
class OpenEpisode:
    """An episode under way: seconds since it began, what it waits for, and for how many seconds."""

    key: str
    age: float
    step: str
    waited: float


@dataclass
class Progress:
    """One episode. ``failure`` is the kind an InfrastructureError that ends it counts as."""

    key: str
    board: "Board"
    started: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.monotonic)
    step: str = "set-up"
    turns: int = 0
    failure: str = DEADLINE

    @contextlib.contextmanager
    def at(self, step: str, kind: str) -> Iterator[None]:
        """The episode waits for ``step``; should that break, the failure is of this ``kind``."""
        self.step, self.since = step, time.monotonic()
        try:
            yield
        except InfrastructureError:
            self.failure = kind
            raise
        finally:
            self.board.moves()
            self.step, self.since = f"after {step}", time.monotonic()

    def preparing(
        self, prepare: Callable[..., Awaitable[None]], kind: str
    ) -> Callable[..., Awaitable[None]]:
        """The same set-up, seen on the board."""

        async def watched(*arguments: Any) -> None:
            with self.at("set-up", kind):
                await prepare(*arguments)

        return watched


class Board:
    """The open episodes of a worker. Written by the event loop, read by any thread."""

    def __init__(self) -> None:
        self._open: dict[int, Progress] = {}
        self._moved = self._ticked = time.monotonic()

    def moves(self) -> None:
        self._moved = time.monotonic()

    def ticks(self) -> None:
        """The event loop is alive."""
        self._ticked = time.monotonic()

    @contextlib.contextmanager
    def episode(self, key: str) -> Iterator[Progress]:
        progress = Progress(key, self)
        self._open[id(progress)] = progress
        self.moves()
        try:
            yield progress
        finally:
            del self._open[id(progress)]
            self.moves()

    def quiet(self) -> float:
        """Seconds since anything moved; 0 where nothing is open."""
        return time.monotonic() - self._moved if self._open else 0.0

    def lag(self) -> float:
        """Seconds since the event loop last came round."""
        return time.monotonic() - self._ticked

    def open(self) -> list[OpenEpisode]:
        """The episodes under way, the oldest first."""
        now = time.monotonic()
        return [
            OpenEpisode(one.key, now - one.started, one.step, now - one.since)
            for one in list(self._open.values())
        ]


class WatchedPolicy:
    """A policy whose replies are seen on the board; in all else it is the policy it watches."""

    def __init__(self, policy: Policy, progress: Progress) -> None:
        self._policy, self._progress = policy, progress

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._policy, name)
        return self._progress.preparing(found, MODEL) if name == "prepare" else found

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        self._progress.turns += 1
        with self._progress.at(f"model, turn {self._progress.turns}", MODEL):
            return await self._policy.respond(messages)


class WatchedTool:
    """A tool whose calls are seen on the board; in all else it is the tool it watches."""

    def __init__(self, tool: Tool, progress: Progress) -> None:
        self._tool, self._progress = tool, progress
        self.name, self.description, self.parameters = tool.name, tool.description, tool.parameters

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tool, name)
        return self._progress.preparing(found, TOOL) if name == "prepare" else found

    def for_episode(self) -> "WatchedTool":
        """It is one episode's already."""
        return self

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        with self._progress.at(f"{self.name}, turn {self._progress.turns}", TOOL):
            return await self._tool.call(arguments)
