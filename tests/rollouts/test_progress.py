"""What a worker reports on its episodes, and who is to blame when one breaks."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from medr_ray.agent.policies import PolicyTurn
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Message
from medr_ray.rollouts.episode_monitor import EpisodeMonitor, WatchedPolicy, WatchedTool
from medr_ray.rollouts.failure_kinds import DEADLINE, MODEL, TOOL
from medr_ray.rollouts.stack_dump import task_stacks, thread_stacks
from medr_ray.tools.base import ToolResult


class Service:
    """A policy and a tool that wait for ``answer``, and break if it is false."""

    name, description = "service", ""
    parameters: Mapping[str, Any] = {}
    limit = 7

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def prepare(self) -> None:
        await self.call({})

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        return PolicyTurn(str(await self.call({})))

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        if not await self.answer:
            raise InfrastructureError("down")
        return ToolResult("up")


def test_an_open_episode_tells_its_step_and_a_closed_one_nothing() -> None:
    async def play() -> None:
        monitor = EpisodeMonitor()
        service = Service()
        with monitor.track_episode("q/plain/0") as progress:
            turn = asyncio.create_task(WatchedPolicy(service, progress).respond([]))
            await asyncio.sleep(0)
            [episode] = monitor.open_episodes()
            assert (episode.key, episode.step) == ("q/plain/0", "model, turn 1")
            assert monitor.quiet_seconds() > 0
            service.answer.set_result(True)
            await turn
            assert monitor.open_episodes()[0].step == "after model, turn 1"
        assert monitor.open_episodes() == []
        assert monitor.quiet_seconds() == 0

    asyncio.run(play())


@pytest.mark.parametrize(
    ("breaks", "kind"),
    [
        ("policy", MODEL),
        ("tool", TOOL),
        ("nothing", DEADLINE),
        ("policy's set-up", MODEL),
        ("tool's set-up", TOOL),
    ],
)
def test_who_broke_is_known(breaks: str, kind: str) -> None:
    async def play() -> str:
        monitor = EpisodeMonitor()
        service = Service()
        service.answer.set_result(False)
        with monitor.track_episode("q/plain/0") as progress:
            policy: Any = WatchedPolicy(service, progress)
            tool: Any = WatchedTool(service, progress)
            if breaks != "nothing":
                calls = {
                    "policy": lambda: policy.respond([]),
                    "tool": lambda: tool.call({}),
                    "policy's set-up": policy.prepare,
                    "tool's set-up": tool.prepare,
                }
                with pytest.raises(InfrastructureError):
                    await calls[breaks]()
            return progress.failure

    assert asyncio.run(play()) == kind


def test_a_watched_tool_is_else_the_tool_it_watches() -> None:
    async def play() -> None:
        with EpisodeMonitor().track_episode("q/plain/0") as progress:
            tool: Any = WatchedTool(Service(), progress)
            assert (tool.name, tool.limit, tool.for_episode()) == ("service", 7, tool)

    asyncio.run(play())


async def outer(gate: asyncio.Event) -> None:
    secret = "hunter2"
    await inner(gate, secret)


async def inner(gate: asyncio.Event, secret: str) -> None:
    await gate.wait()


def test_stacks_name_every_call_and_no_value() -> None:
    async def play() -> str:
        gate = asyncio.Event()
        task = asyncio.create_task(outer(gate), name="episode")
        await asyncio.sleep(0)
        stacks = await asyncio.to_thread(lambda: task_stacks(loop) + thread_stacks())
        gate.set()
        await task
        return stacks

    loop = asyncio.new_event_loop()
    stacks = loop.run_until_complete(play())
    loop.close()
    episode = stacks[stacks.index("task episode") :]
    assert episode.index("in outer") < episode.index("in inner") < episode.index("in wait")
    assert "thread MainThread" in stacks
    assert "hunter2" not in stacks
