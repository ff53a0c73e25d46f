"""Running what a reply calls for.

What holds: every attempt gets exactly one response, in order; calls of one reply run concurrently
and one's failure does not touch the others; a tool's failure, its deadline included, is an
observation, a tool that breaks ends the rollout as InfrastructureError; a call that was made before
with the same arguments and succeeded is answered from what it returned, without running again,
while one that failed may be tried again.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medr_ray.agent.deadlines import Clock, DeadlinePassed, bounded
from medr_ray.agent.faults import SIMULATED, FaultPlan
from medr_ray.agent.instructions import repeat_note
from medr_ray.agent.protocol import ToolCall
from medr_ray.agent.transcript import Observed
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError, MedrError, ModelError, ToolError
from medr_ray.core.records import Task, ToolEvent, ToolStatus, canonical_json
from medr_ray.tools.base import Tool, ToolResult

NO_CALLS_LEFT, NO_TIME_LEFT, CUT_OFF = (
    "no tool calls are left",
    "the time is nearly spent",
    "the reply was cut off",
)
Attempt = ToolCall | str
_Key = tuple[str, str]


@dataclass(frozen=True)
class CallSettings:
    """What the calls of one episode are run under."""

    task: Task
    rollout: int
    agent: AgentConfig
    faults: FaultPlan
    clock: Clock


class Calls:
    """The calls of one episode."""

    def __init__(self, tools: Sequence[Tool], settings: CallSettings) -> None:
        self._tools, self._settings = {tool.name: tool for tool in tools}, settings
        self._returned: dict[_Key, Observed] = {}
        self.made = 0
        self.repeats = 0

    async def answer(self, attempts: Sequence[Attempt]) -> list[Observed]:
        """Run the attempts that fit the budget; one response each, in order. Raises
        InfrastructureError."""
        settings = self._settings
        room = max(0, settings.agent.max_tool_calls - self.made)
        why = NO_CALLS_LEFT
        if settings.clock.for_tool() <= 0:
            room, why = 0, NO_TIME_LEFT
        results = await self._run_new(attempts[:room])
        answered = [self._answered(one, results) for one in attempts[:room]]
        self.made += len(answered)
        return answered + [skipped(one, why) for one in attempts[room:]]

    async def _run_new(self, attempts: Sequence[Attempt]) -> dict[_Key, Observed]:
        """Those that were not answered before, each once, all at the same time."""
        new: dict[_Key, asyncio.Task[Observed]] = {}
        for index, one in enumerate(attempts):
            if (
                isinstance(one, ToolCall)
                and (key := call_key(one)) not in self._returned
                and key not in new
            ):
                new[key] = asyncio.create_task(self._call(one, self.made + index))
        try:
            return dict(zip(new, await asyncio.gather(*new.values()), strict=True))
        finally:
            for task in new.values():
                task.cancel()  # when one ended the rollout; nothing to those that are done

    def _answered(self, attempt: Attempt, results: dict[_Key, Observed]) -> Observed:
        if isinstance(attempt, str):
            return Observed(ToolEvent("", "", "invalid", 0.0, False), f"error: {attempt}")
        key = call_key(attempt)
        if key in self._returned:
            return self._again(self._returned[key])
        if results[key].event.status == "ok":
            self._returned[key] = results[key]
        return results[key]

    def _again(self, before: Observed) -> Observed:
        self.repeats += 1
        event = replace(before.event, seconds=0.0, simulated_failure=False, repeated=True)
        return Observed(event, f"{repeat_note(self._settings.task.language)}\n{before.text}")

    async def _call(self, call: ToolCall, index: int) -> Observed:
        """One call, as it is answered."""
        settings, started = self._settings, time.monotonic()
        simulated = settings.faults.fails(settings.task.task_id, settings.rollout, index)
        status: ToolStatus = "error"
        documents: tuple[str, ...] = ()
        abandoned = False
        limit = settings.clock.for_tool()
        try:
            result = await self._run_tool(call, simulated, limit)
            text, documents, status = result.text, tuple(result.documents), "ok"
        except DeadlinePassed as passed:
            text, abandoned = (
                f"error: {call.name} did not answer within {limit:.3g} s",
                passed.abandoned,
            )
        except (ToolError, ModelError) as error:
            text = f"error: {error}"
        event = ToolEvent(
            call.name,
            _written(call.arguments),
            status,
            round(time.monotonic() - started, 4),
            simulated,
            abandoned=abandoned,
            documents=documents,
        )
        return Observed(event, text[: settings.agent.observation_chars])

    async def _run_tool(self, call: ToolCall, simulated: bool, limit: float) -> ToolResult:
        tool = self._tools.get(call.name)
        if simulated:
            raise ToolError(SIMULATED)
        if tool is None:
            raise ToolError(f"no tool named {call.name!r}; there are {', '.join(self._tools)}")
        try:
            return await bounded(tool.call(call.arguments), limit)
        except TimeoutError:
            raise ToolError(f"{call.name} timed out") from None
        except (MedrError, DeadlinePassed):
            raise
        except (
            Exception
        ) as error:  # a tool may be anybody's code; what breaks in it is never the agent's doing
            raise InfrastructureError(
                f"the tool {call.name} broke: {type(error).__name__}: {error}"
            ) from error


def skipped(attempt: Attempt, why: str) -> Observed:
    """An attempt that is not run."""
    name, arguments = (
        (attempt.name, _written(attempt.arguments)) if isinstance(attempt, ToolCall) else ("", "")
    )
    return Observed(ToolEvent(name, arguments, "skipped", 0.0, False), f"error: not run: {why}")


def call_key(call: ToolCall) -> _Key:
    """What makes two calls identical: the tool and its arguments, whatever their order and
    spacing."""
    return call.name, canonical_json(_spaced(call.arguments))


def _spaced(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {name: _spaced(one) for name, one in value.items()}
    return [_spaced(one) for one in value] if isinstance(value, list) else value


def _written(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True)
