"""Waiting with a deadline that holds even for what ignores its cancellation.

What holds: ``bounded`` returns or raises within the given seconds and a moment; what does not stop
when cancelled is left behind, watched so that its late failure is no noise, and reported as
abandoned.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError

T = TypeVar("T")
_GRACE = 0.05  # seconds for a cancelled task to clean up before it is left behind
_left_behind: set[asyncio.Task[Any]] = set()  # the event loop itself holds tasks only weakly


class DeadlinePassed(Exception):
    """The deadline passed; ``abandoned`` when the work goes on all the same."""

    def __init__(self, abandoned: bool) -> None:
        super().__init__()
        self.abandoned = abandoned


async def bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What ``work`` returns or raises; DeadlinePassed after ``seconds``, at once where there are
    none. Cancelling this cancels the work."""
    if seconds <= 0:
        work.close()
        raise DeadlinePassed(abandoned=False)
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if done:
            return task.result()
        task.cancel()
        await asyncio.wait((task,), timeout=_GRACE)
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()  # it came in at the last moment
        raise DeadlinePassed(abandoned=not task.done())
    finally:
        if not task.done():
            task.cancel()
            _leave(task)


def _leave(task: "asyncio.Future[Any]") -> None:
    _left_behind.add(task)  # type: ignore[arg-type]
    task.add_done_callback(_forget)


def _forget(task: "asyncio.Future[Any]") -> None:
    _left_behind.discard(task)  # type: ignore[arg-type]
    if not task.cancelled():
        task.exception()  # seen, so that asyncio does not report it as never retrieved


class Clock:
    """The seconds of one episode (``agent.seconds`` and the deadlines of its parts), from the
    moment it is made."""

    def __init__(
        self, task_id: str, agent: AgentConfig, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._task_id, self._agent, self._now = task_id, agent, now
        self._started = now()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._now() - self._started

    def for_tool(self) -> float:
        """What a tool call may take: never the seconds that are kept for the last answer."""
        agent = self._agent
        return min(agent.tool_seconds, agent.seconds * (1 - agent.answer_reserve) - self.elapsed())

    async def set_up(self, work: Coroutine[Any, Any, T]) -> T:
        """``work`` within ``agent.setup_seconds``. Raises InfrastructureError."""
        return await self._within(work, self._agent.setup_seconds, "not set up within")

    async def turn(self, work: Coroutine[Any, Any, T]) -> T:
        """``work`` within ``agent.turn_seconds``. Raises InfrastructureError."""
        return await self._within(work, self._agent.turn_seconds, "no reply within")

    async def _within(self, work: Coroutine[Any, Any, T], seconds: float, failing: str) -> T:
        left = self._agent.seconds - self.elapsed()
        said = f"{self._task_id}: {failing} {seconds:g} s"
        if left < seconds:
            seconds, said = left, f"{self._task_id}: not done within {self._agent.seconds:g} s"
        try:
            return await bounded(work, seconds)
        except DeadlinePassed as passed:
            more = " (and did not stop when cancelled)" if passed.abandoned else ""
            raise InfrastructureError(f"{said}{more}") from None
