"""Deadlines of set-up, turn, tool and episode, also for work that does not stop when cancelled."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.agent_run import Echo, Script, call, responses, run
from support.questions import worded_task

from medr_ray.agent.deadlines import DeadlinePassed, EpisodeClock, run_with_deadline
from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.policies import PolicyTurn
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Message, Trajectory
from medr_ray.tools.base import ToolResult


class Deaf(Echo):
    """Ignores that it is cancelled, until ``released``."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.calls.append("cancelled")
        raise RuntimeError("too late for anyone")


class Silent:
    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        await asyncio.Event().wait()
        return None


def test_a_hanging_tool_is_cut_off_at_its_deadline() -> None:
    trajectory = run(call("hang"), tool_seconds=0.05)
    assert "search did not answer within 0.05 s" in responses(trajectory)[0]
    assert trajectory.stop_reason == "answered"
    assert not trajectory.tool_events[0].abandoned


def test_a_tool_that_cannot_be_stopped_is_left_behind_and_counted() -> None:
    async def episode() -> tuple[Trajectory, Deaf, list[Any]]:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        deaf = Deaf()
        trajectory = await run_episode(
            worded_task(),
            Script(call("a")),
            [deaf],
            AgentConfig(tool_seconds=0.05),
            mode="exploration",
        )
        deaf.released.set()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        return trajectory, deaf, reported

    trajectory, deaf, reported = asyncio.run(episode())
    assert trajectory.answer == "x"
    assert [event.abandoned for event in trajectory.tool_events] == [True]
    assert deaf.calls[0] == "cancelled"
    assert reported == []  # its late failure is nobody's noise


@pytest.mark.parametrize(
    ("deadline", "message"),
    [
        ({"turn_seconds": 0.05}, "no reply within 0.05 s"),
        ({"seconds": 0.05}, "not done within 0.05 s"),
    ],
)
def test_a_model_that_does_not_reply_in_time_is_an_infrastructure_failure(
    deadline: dict[str, float],
    message: str,
) -> None:
    with pytest.raises(InfrastructureError, match=f"q-1: {message}"):
        run(policy=Silent(), **deadline)


def test_an_agent_that_runs_out_of_seconds_may_be_kept_as_it_was_then() -> None:
    class Slowing(Script):
        """Replies once, then thinks for ever."""

        async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
            if self.lines:
                return await super().respond(messages)
            await asyncio.Event().wait()
            return None

    def run_kept(policy: Script, **agent: Any) -> Trajectory:
        episode = run_episode(
            worded_task(), policy, [Echo()], AgentConfig(**agent), mode="rollout", keep_cut=True
        )
        return asyncio.run(episode)

    trajectory = run_kept(Slowing(call("Krabbe")), seconds=0.3)
    assert (trajectory.answer, trajectory.stop_reason) == (None, "max_seconds")
    assert [event.tool for event in trajectory.tool_events] == ["search"]
    # Before its first reply it has done nothing, and a single reply that does not come is the
    # model's failure.
    with pytest.raises(InfrastructureError, match="not done within"):
        run_kept(Slowing(), seconds=0.05)
    with pytest.raises(InfrastructureError, match="no reply within"):
        run_kept(Slowing(call("Krabbe")), turn_seconds=0.05)


def test_a_policy_or_a_tool_that_does_not_get_ready_is_an_infrastructure_failure() -> None:
    class Slow(Script):
        async def prepare(self, prompt: Any) -> None:
            await asyncio.Event().wait()

    class Unreachable(Echo):
        async def prepare(self) -> None:
            await asyncio.Event().wait()

    with pytest.raises(InfrastructureError, match="not set up within"):
        run(policy=Slow(), setup_seconds=0.05)
    with pytest.raises(InfrastructureError, match="not set up within"):
        run(tools=[Unreachable()], setup_seconds=0.05)


def test_when_the_seconds_are_nearly_spent_the_agent_is_asked_while_it_can_still_answer() -> None:
    trajectory = run(
        call("hang"), seconds=20.0, answer_reserve=0.95
    )  # the tool has the first of the twenty seconds, less what the call took to begin
    assert "did not answer within" in responses(trajectory)[0]
    assert "Give your answer now" in responses(trajectory)[0]
    assert (trajectory.answer, trajectory.asked, trajectory.stop_reason) == (
        "x",
        "seconds",
        "answered",
    )


def test_calls_that_come_in_the_last_seconds_are_not_run() -> None:
    tool, late = Echo(), {"seconds": 60.0, "answer_reserve": 1 - 1e-9}  # all but the first moment
    trajectory = run(call("a"), tools=[tool], **late)
    assert tool.calls == []
    assert "not run: the time is nearly spent" in responses(trajectory)[0]
    assert (trajectory.asked, trajectory.answer) == ("seconds", "x")
    stubborn = run(call("a"), call("b"), tools=[tool], **late)
    assert (stubborn.answer, stubborn.stop_reason) == (None, "max_seconds")


def test_a_tool_is_never_given_the_seconds_kept_for_the_answer() -> None:
    now = [100.0]
    clock = EpisodeClock(
        "q", AgentConfig(seconds=100, tool_seconds=30, answer_reserve=0.1), lambda: now[0]
    )
    assert clock.tool_seconds() == 30
    now[0] = 175.0
    assert clock.tool_seconds() == 15
    now[0] = 195.0
    assert clock.tool_seconds() < 0


def test_work_that_ends_in_time_is_handed_on_with_what_it_raised() -> None:
    async def fine() -> int:
        return 7

    async def wrong() -> int:
        raise KeyError("x")

    assert asyncio.run(run_with_deadline(fine(), 5)) == 7
    with pytest.raises(KeyError):
        asyncio.run(run_with_deadline(wrong(), 5))


def test_stopping_the_waiting_stops_the_work() -> None:
    started, stopped = asyncio.Event(), []

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    async def waiting() -> None:
        task = asyncio.create_task(run_with_deadline(work(), 60))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run(waiting())
    assert stopped == [True]


def test_a_deadline_says_whether_the_work_goes_on() -> None:
    async def stops() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlinePassed) as passed:
        asyncio.run(run_with_deadline(stops(), 0.01))
    assert not passed.value.abandoned


def test_what_cleans_up_before_it_stops_is_not_left_behind() -> None:
    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)

    with pytest.raises(DeadlinePassed) as passed:
        asyncio.run(run_with_deadline(tidy(), 0.01))
    assert not passed.value.abandoned


def test_a_stalled_event_loop_does_not_use_up_the_time_to_clean_up() -> None:
    async def tidy_in_a_stalled_loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(time.sleep, 0.2)
            for _ in range(5):
                await asyncio.sleep(0)

    with pytest.raises(DeadlinePassed) as passed:
        asyncio.run(run_with_deadline(tidy_in_a_stalled_loop(), 0.01))
    assert not passed.value.abandoned


def test_calls_beside_one_that_ended_the_rollout_are_stopped() -> None:
    class Watched(Echo):
        async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
            try:
                return await super().call(arguments)
            except asyncio.CancelledError:
                self.calls.append("stopped")
                raise

    async def episode() -> list[str]:
        tool = Watched()
        with pytest.raises(InfrastructureError, match="the index is gone"):
            await run_episode(
                worded_task(),
                Script(call("hang", "break")),
                [tool],
                AgentConfig(),
                mode="exploration",
            )
        for _ in range(5):
            await asyncio.sleep(0)
        return list(tool.calls)  # as they are while the event loop goes on

    assert asyncio.run(episode()) == ["hang", "break", "stopped"]
