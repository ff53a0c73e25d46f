"""Waiting with a deadline that holds even for work that ignores its cancellation.

``run_with_deadline`` returns or raises within the given seconds and a moment. Work that does not
stop when it is cancelled is left behind and reported as abandoned; its late failure is taken up, so
that asyncio does not log it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError

T = TypeVar("T")
_GRACE_SECONDS = 0.05  # for a cancelled task to clean up before it is left behind
# Turns of the event loop that a cancelled task has besides: in a loop that stood still the seconds
# pass without the task having had its turn. A clean-up takes one turn for each await.
_GRACE_TURNS = 20
# References to abandoned tasks: the event loop itself holds tasks only weakly.
_abandoned: set[asyncio.Task[Any]] = set()


class DeadlinePassed(Exception):
    """The deadline passed. ``abandoned``: the work goes on all the same."""

    def __init__(self, abandoned: bool) -> None:
        super().__init__()
        self.abandoned = abandoned


class EpisodeTimeout(InfrastructureError):
    """``agent.seconds`` passed while an episode waited for a reply."""


async def run_with_deadline(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What ``work`` returns or raises.

    Raises DeadlinePassed after ``seconds``, at once where there are none. Cancelling this cancels
    the work.
    """
    if seconds <= 0:
        work.close()
        raise DeadlinePassed(abandoned=False)
    task = asyncio.ensure_future(work)
    try:
        # asyncio.wait and not wait_for, which would wait for the end of a task that ignores its
        # cancellation.
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if done:
            return task.result()
        task.cancel()
        await _let_clean_up(task)
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()  # it finished at the last moment
        raise DeadlinePassed(abandoned=not task.done())
    finally:
        if not task.done():
            task.cancel()
            _leave_running(task)


async def _let_clean_up(task: "asyncio.Future[Any]") -> None:
    """Wait until the cancelled task is done, for as long as a clean-up may take."""
    await asyncio.wait((task,), timeout=_GRACE_SECONDS)
    for _ in range(_GRACE_TURNS):
        if task.done():
            return
        await asyncio.sleep(0)


def _leave_running(task: "asyncio.Future[Any]") -> None:
    _abandoned.add(task)  # type: ignore[arg-type]
    task.add_done_callback(_forget_abandoned)


def _forget_abandoned(task: "asyncio.Future[Any]") -> None:
    _abandoned.discard(task)  # type: ignore[arg-type]
    if not task.cancelled():
        task.exception()  # taken up, so that asyncio does not report it as never retrieved


class EpisodeClock:
    """The seconds of one episode: ``agent.seconds`` and the deadlines of its parts, counted from
    the moment the clock is made."""

    def __init__(
        self, task_id: str, agent: AgentConfig, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._task_id = task_id
        self._agent = agent
        self._now = now
        self._started = now()

    def elapsed_seconds(self) -> float:
        """Seconds since the start."""
        return self._now() - self._started

    def tool_seconds(self) -> float:
        """How long a tool call may take. The share ``agent.answer_reserve`` of the episode is kept
        for the last answer."""
        agent = self._agent
        left = agent.seconds * (1 - agent.answer_reserve) - self.elapsed_seconds()
        return min(agent.tool_seconds, left)

    async def run_setup(self, work: Coroutine[Any, Any, T]) -> T:
        """``work`` within ``agent.setup_seconds``. Raises InfrastructureError."""
        return await self._run_within(work, self._agent.setup_seconds, "not set up within")

    async def run_turn(self, work: Coroutine[Any, Any, T]) -> T:
        """``work`` within ``agent.turn_seconds``. Raises InfrastructureError, EpisodeTimeout where
        it was the episode that took too long."""
        return await self._run_within(work, self._agent.turn_seconds, "no reply within")

    async def _run_within(self, work: Coroutine[Any, Any, T], seconds: float, problem: str) -> T:
        message = f"{self._task_id}: {problem} {seconds:g} s"
        left = self._agent.seconds - self.elapsed_seconds()
        # The message names the limit that really ended the wait.
        is_episodes = left < seconds
        if is_episodes:
            seconds = left
            message = f"{self._task_id}: not done within {self._agent.seconds:g} s"
        try:
            return await run_with_deadline(work, seconds)
        except DeadlinePassed as passed:
            if passed.abandoned:
                message += " (and did not stop when cancelled)"
            raise (EpisodeTimeout if is_episodes else InfrastructureError)(message) from None
