"""The reason-act loop: tools, failures, budgets and deadlines, with policies and tools written for the test."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.questions import worded_question

from medr_ray.agent.loop import FaultPlan, run_episode
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.core.records import Message, Trajectory
from medr_ray.tools.base import ToolResult


class Script:
    """Says its lines in order, then answers."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        return PolicyTurn(self.lines.pop(0) if self.lines else render_reply("done", answer="x"))


class Echo:
    name, description, parameters = "search", "repeats the query", {"type": "object"}

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        if arguments["query"] == "fail":
            raise ToolError("index is being rebuilt")
        if arguments["query"] == "hang":
            await asyncio.Event().wait()
        return ToolResult(f"found {arguments['query']}", (f"PMID:{arguments['query']}",))


def run(*lines: str, faults: FaultPlan | None = None, **agent: Any) -> Trajectory:
    return asyncio.run(run_episode(
        worded_question(), Script(*lines), [Echo()], AgentConfig(**agent), mode="exploration",
        faults=faults or FaultPlan()))


def call(*queries: str, name: str = "search") -> str:
    return render_reply("look", [ToolCall(name, {"query": one}) for one in queries])


def responses(trajectory: Trajectory) -> list[str]:
    return [m.content for m in trajectory.messages[2:] if m.role == "user"]


def test_calls_are_answered_in_call_order_and_their_documents_kept() -> None:
    trajectory = run(call("b", "a"))
    assert responses(trajectory) == [
        "<tool_response>found b</tool_response>\n<tool_response>found a</tool_response>"]
    assert trajectory.documents == ("PMID:b", "PMID:a")
    assert (trajectory.answer, trajectory.stop_reason) == ("x", "answered")


def test_a_tool_failure_is_an_observation_and_the_run_goes_on() -> None:
    trajectory = run(call("fail"), call("ok"))
    assert "error: index is being rebuilt" in responses(trajectory)[0]
    assert [event.status for event in trajectory.tool_events] == ["error", "ok"]
    assert trajectory.stop_reason == "answered"


def test_a_hanging_tool_is_cut_off_at_its_deadline() -> None:
    trajectory = run(call("hang"), tool_seconds=0.05)
    assert "did not answer within" in responses(trajectory)[0]
    assert trajectory.stop_reason == "answered"


def test_an_unknown_tool_and_a_malformed_call_say_what_is_wrong() -> None:
    trajectory = run(call("a", name="browse"), "<think>x</think><tool_call>{oops</tool_call>")
    assert "no tool named 'browse'; there are search" in responses(trajectory)[0]
    assert "not JSON" in responses(trajectory)[1]
    assert [event.status for event in trajectory.tool_events] == ["error", "invalid"]


def test_when_the_calls_are_spent_the_agent_is_asked_once_for_its_answer() -> None:
    asked = run(call("a"), call("b"), max_tool_calls=2)
    assert "Give your answer now" in responses(asked)[1]
    assert asked.answer == "x"
    stubborn = run(call("a"), call("b"), call("c"), max_tool_calls=2)
    assert (stubborn.answer, stubborn.stop_reason) == (None, "max_turns")
    assert len(stubborn.tool_events) == 2


def test_a_missed_deadline_is_an_infrastructure_failure_not_a_trajectory() -> None:
    class Silent:
        async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
            await asyncio.Event().wait()
            return None

    with pytest.raises(InfrastructureError, match="not done within"):
        asyncio.run(run_episode(worded_question(), Silent(), [Echo()], AgentConfig(seconds=0.05), mode="exploration"))


def test_simulated_failures_are_marked_and_repeatable() -> None:
    first, second = (run(call("a"), call("b"), faults=FaultPlan(rate=0.5, seed=3)) for _ in range(2))
    assert [e.simulated_failure for e in first.tool_events] == [e.simulated_failure for e in second.tool_events]
    everything = run(call("a"), faults=FaultPlan(rate=1.0))
    assert everything.tool_events[0].simulated_failure
    assert "temporarily unavailable" in responses(everything)[0]


def test_equal_dialogues_have_equal_ids() -> None:
    assert run(call("a")).trajectory_id == run(call("a")).trajectory_id != run(call("b")).trajectory_id
    assert json.loads(run(call("a")).tool_events[0].arguments) == {"query": "a"}
