"""The reason-act loop: one question, one policy, real tools, a budget; a Trajectory comes out.

What holds: every reply ends up in the dialogue as it was given; every call gets exactly one response, in call order;
a tool's failure is an observation, a malformed call is answered with what is wrong; when the budget is nearly spent
the agent is asked once for its answer. Infrastructure failures leave as InfrastructureError and never as a
trajectory.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from medr_ray.agent.instructions import opening, wrap_up
from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.agent.protocol import Reply, ToolCall, defuse, parse_reply, render_responses
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.core.records import Message, Question, ToolEvent, Trajectory, Turn, Usage, content_id
from medr_ray.tools.base import Tool, ToolResult

_SIMULATED = "the service is temporarily unavailable, try again or use another tool"


@dataclass(frozen=True)
class FaultPlan:
    """Which tool calls fail on purpose (paper section 4.1): a pure function of seed, question, rollout and call."""

    rate: float = 0.0
    seed: int = 0

    def fails(self, question_id: str, rollout: int, call: int) -> bool:
        digest = hashlib.sha256(f"{self.seed}/{question_id}/{rollout}/{call}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.rate


NO_FAULTS = FaultPlan()


@dataclass
class _Episode:
    """The growing record of one run."""

    messages: list[Message]
    turns: list[Turn] = field(default_factory=list)
    events: list[ToolEvent] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    output_tokens: int = 0
    replies: int = 0

    def add(self, reply: PolicyTurn) -> None:
        self.messages.append(Message("assistant", reply.text))
        if reply.turn.output_ids:
            self.turns.append(reply.turn)
        self.prompt_tokens += reply.prompt_tokens
        self.output_tokens += reply.output_tokens
        self.replies += 1


async def run_episode(
    question: Question, policy: Policy, tools: Sequence[Tool], agent: AgentConfig, *,
    mode: str, rollout: int = 0, faults: FaultPlan = NO_FAULTS,
) -> Trajectory:
    """Run the agent to its answer or the end of its budget.

    Raises InfrastructureError when the deadline ``agent.seconds`` passes or the policy cannot be reached.
    """
    episode = _Episode(opening(question, tools, agent))
    runner = _Runner(question, {tool.name: tool for tool in tools}, agent, rollout, faults, episode)
    try:
        async with asyncio.timeout(agent.seconds):
            answer, stop_reason = await runner.run(policy)
    except TimeoutError:
        raise InfrastructureError(f"{question.question_id}: not done within {agent.seconds:g} s") from None
    return _trajectory(question, mode, rollout, episode, answer, stop_reason)


class _Runner:
    def __init__(
        self, question: Question, tools: dict[str, Tool], agent: AgentConfig, rollout: int, faults: FaultPlan,
        episode: _Episode,
    ) -> None:
        self._question, self._tools, self._agent = question, tools, agent
        self._rollout, self._faults, self._episode = rollout, faults, episode

    async def run(self, policy: Policy) -> tuple[str | None, str]:
        """(answer, stop reason)."""
        while True:
            turn = await policy.respond(self._episode.messages)
            if turn is None:
                return None, "max_tokens"
            self._episode.add(turn)
            reply = parse_reply(turn.text)
            if reply.answer is not None:
                return reply.answer, "answered"
            if not turn.finished:
                return None, "max_tokens"
            spent = len(self._episode.events) >= self._agent.max_tool_calls
            if spent:
                return None, "malformed" if not reply.calls else "max_turns"
            await self._observe(reply)

    async def _observe(self, reply: Reply) -> None:
        """Run the calls of a reply that fit the budget and append their responses."""
        room = self._agent.max_tool_calls - len(self._episode.events)
        first = len(self._episode.events)
        calls = reply.calls[:room]
        results = await asyncio.gather(*(self._call(call, first + i) for i, call in enumerate(calls)))
        responses = [text for text, _, _ in results]
        for _, event, documents in results:
            self._episode.events.append(event)
            self._episode.documents += [one for one in documents if one not in self._episode.documents]
        for problem in reply.problems[:room - len(calls)]:
            self._episode.events.append(ToolEvent("", "", "invalid", 0.0, False))
            responses.append(f"error: {problem}")
        content = render_responses(responses)
        if len(self._episode.events) >= self._agent.max_tool_calls:
            content = f"{content}\n{wrap_up(self._question.language)}"
        self._episode.messages.append(Message("user", content))

    async def _call(self, call: ToolCall, index: int) -> tuple[str, ToolEvent, tuple[str, ...]]:
        arguments = json.dumps(call.arguments, ensure_ascii=False, sort_keys=True)
        started = time.monotonic()
        simulated = self._faults.fails(self._question.question_id, self._rollout, index)
        documents: tuple[str, ...] = ()
        try:
            if simulated:
                raise ToolError(_SIMULATED)
            result = await self._run_tool(call)
            text, documents, status = result.text, result.documents, "ok"
        except ToolError as error:
            text, status = f"error: {error}", "error"
        event = ToolEvent(call.name, arguments, status, round(time.monotonic() - started, 4), simulated)
        return text[:self._agent.observation_chars], event, documents

    async def _run_tool(self, call: ToolCall) -> ToolResult:
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolError(f"no tool named {defuse(call.name)!r}; there are {', '.join(self._tools)}")
        try:
            async with asyncio.timeout(self._agent.tool_seconds):
                return await tool.call(call.arguments)
        except TimeoutError:
            raise ToolError(f"{call.name} did not answer within {self._agent.tool_seconds:g} s") from None


def _trajectory(
    question: Question, mode: str, rollout: int, episode: _Episode, answer: str | None, stop_reason: str,
) -> Trajectory:
    messages = tuple(episode.messages)
    return Trajectory(
        trajectory_id=content_id("traj", question.question_id, mode, rollout, [[m.role, m.content] for m in messages]),
        question_id=question.question_id, mode=mode, rollout=rollout, messages=messages, turns=tuple(episode.turns),
        tool_events=tuple(episode.events), documents=tuple(episode.documents), answer=answer, stop_reason=stop_reason,
        usage=Usage(episode.prompt_tokens, episode.output_tokens, episode.replies), cost=None)
