"""An agent written for a test: it says its lines in order, then answers; its tool repeats the
query."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from support.questions import worded_task

from medr_ray.agent.episode_loop import FaultPlan, run_episode
from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.core.records import Message, Trajectory
from medr_ray.tools.base import Tool, ToolResult


class Script:
    """Says its lines in order, a turn as it is, then answers; ``heard`` has the dialogue of each
    turn."""

    def __init__(self, *lines: str | PolicyTurn | None) -> None:
        self.lines = list(lines)
        self.heard: list[list[Message]] = []

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        self.heard.append(list(messages))
        line = self.lines.pop(0) if self.lines else render_reply("done", answer="x")
        return PolicyTurn(line) if isinstance(line, str) else line


class Echo:
    """Finds what it is asked for; ``fail``, ``hang`` and ``break`` do what they say. ``calls`` has
    the queries that ran, ``together`` the most that ran at one time."""

    def __init__(self, name: str = "search") -> None:
        self.name, self.description = name, "repeats the query"
        self.parameters: Mapping[str, Any] = {
            "type": "object",
            "properties": {"query": {"type": "string"}},
        }
        self.calls: list[str] = []
        self._running = self.together = 0

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        query = str(arguments["query"])
        self.calls.append(query)
        self._running += 1
        self.together = max(self.together, self._running)
        try:
            await asyncio.sleep(0)  # others get their turn
            return await self._answer(query)
        finally:
            self._running -= 1

    async def _answer(self, query: str) -> ToolResult:
        if query == "fail":
            raise ToolError("index is being rebuilt")
        if query == "break":
            raise InfrastructureError("the index is gone")
        if query == "hang":
            await asyncio.Event().wait()
        return ToolResult(f"found {query}", (f"PMID:{query}",))


def run(
    *lines: str | PolicyTurn | None,
    policy: Policy | None = None,
    tools: Sequence[Tool] | None = None,
    faults: FaultPlan | None = None,
    text: str = "What is asked?",
    **agent: Any,
) -> Trajectory:
    """One episode of a script, or of ``policy``, with one Echo for a tool where none are given."""
    return asyncio.run(
        run_episode(
            worded_task(text),
            policy or Script(*lines),
            tools if tools is not None else [Echo()],
            AgentConfig(**agent),
            mode="exploration",
            faults=faults or FaultPlan(),
        )
    )


def call(*queries: str, name: str = "search", thought: str = "look") -> str:
    """A reply with a call per query."""
    return render_reply(thought, [ToolCall(name, {"query": query}) for query in queries])


def responses(trajectory: Trajectory) -> list[str]:
    """The tool responses that the agent received after each reply."""
    return [m.content for m in trajectory.messages[2:] if m.role == "user"]
