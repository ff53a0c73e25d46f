"""Running the tool calls of a reply.

- Every attempt gets exactly one response, in order.
- Calls of one reply run concurrently, and the failure of one does not touch the others.
- A tool's failure, its deadline included, is an observation. A tool that breaks ends the rollout
  with an InfrastructureError.
- A call that was made before with the same arguments and succeeded is answered from what it
  returned, without running again. One that failed may be tried again.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medr_ray.agent.deadlines import DeadlinePassed, EpisodeClock, run_with_deadline
from medr_ray.agent.faults import SIMULATED, FaultPlan
from medr_ray.agent.instructions import repeat_note
from medr_ray.agent.protocol import ToolCall
from medr_ray.agent.transcript import ToolObservation
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError, MedrError, ModelError, ToolError
from medr_ray.core.records import Task, ToolEvent, ToolStatus, canonical_json
from medr_ray.tools.base import Tool, ToolResult

# Why an attempt is not run, as the agent reads it.
NO_CALLS_LEFT = "no tool calls are left"
NO_TIME_LEFT = "the time is nearly spent"
CUT_OFF = "the reply was cut off"

Attempt = ToolCall | str  # a malformed call is the text that says what is wrong with it
_CallKey = tuple[str, str]
# Called with an attempt's place in its reply and what came back.
OnResult = Callable[[int, ToolObservation], None]


@dataclass(frozen=True)
class CallSettings:
    """The settings and limits of an episode's calls."""

    task: Task
    rollout: int
    agent: AgentConfig
    faults: FaultPlan
    clock: EpisodeClock


class EpisodeCalls:
    """Runs the calls of one episode. ``call_count`` counts the attempts within the budget,
    ``repeat_count`` those among them that were answered from an earlier one."""

    def __init__(self, tools: Sequence[Tool], settings: CallSettings) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._settings = settings
        self._succeeded: dict[_CallKey, ToolObservation] = {}
        self.call_count = 0
        self.repeat_count = 0

    async def run_attempts(
        self, attempts: Sequence[Attempt], on_result: OnResult | None = None
    ) -> list[ToolObservation]:
        """Run the attempts that fit the budget; one observation each, in order. ``on_result`` is
        called with each as soon as it is there. Raises InfrastructureError."""
        settings = self._settings
        allowed = max(0, settings.agent.max_tool_calls - self.call_count)
        skip_reason = NO_CALLS_LEFT
        if settings.clock.tool_seconds() <= 0:
            allowed = 0
            skip_reason = NO_TIME_LEFT
        announced: set[int] = set()

        def announce(place: int, observation: ToolObservation) -> None:
            announced.add(place)
            if on_result is not None:
                on_result(place, observation)

        results = await self._run_new_calls(attempts[:allowed], announce)
        observations = [self._observe_attempt(attempt, results) for attempt in attempts[:allowed]]
        self.call_count += len(observations)
        observations += [skip_attempt(attempt, skip_reason) for attempt in attempts[allowed:]]
        for place, observation in enumerate(observations):
            if place not in announced:
                announce(place, observation)
        return observations

    async def _run_new_calls(
        self, attempts: Sequence[Attempt], announce: OnResult
    ) -> dict[_CallKey, ToolObservation]:
        """The calls that did not succeed before, each once, all at the same time."""
        new: dict[_CallKey, asyncio.Task[ToolObservation]] = {}

        async def run_and_announce(attempt: ToolCall, place: int) -> ToolObservation:
            observation = await self._run_call(attempt, self.call_count + place)
            announce(place, observation)
            return observation

        for index, attempt in enumerate(attempts):
            if isinstance(attempt, str):
                continue
            key = call_key(attempt)
            # The same call twice in one reply runs once.
            if key not in self._succeeded and key not in new:
                new[key] = asyncio.create_task(run_and_announce(attempt, index))
        try:
            observations = await asyncio.gather(*new.values())
            return dict(zip(new, observations, strict=True))
        finally:
            # A tool that broke ends the rollout, so the other calls are stopped. Cancelling a
            # finished task has no effect.
            for task in new.values():
                task.cancel()

    def _observe_attempt(
        self, attempt: Attempt, results: dict[_CallKey, ToolObservation]
    ) -> ToolObservation:
        if isinstance(attempt, str):
            event = ToolEvent("", "", "invalid", 0.0, False)
            return ToolObservation(event, f"error: {attempt}")
        key = call_key(attempt)
        if key in self._succeeded:
            return self._repeat_observation(self._succeeded[key])
        # A failure is not kept: the same call may be tried again.
        if results[key].event.status == "ok":
            self._succeeded[key] = results[key]
        return results[key]

    def _repeat_observation(self, earlier: ToolObservation) -> ToolObservation:
        self.repeat_count += 1
        event = replace(earlier.event, seconds=0.0, simulated_failure=False, repeated=True)
        note = repeat_note(self._settings.task.language)
        return ToolObservation(event, f"{note}\n{earlier.text}")

    async def _run_call(self, call: ToolCall, index: int) -> ToolObservation:
        """One call, and what the agent is shown for it. ``index`` counts the episode's calls."""
        settings = self._settings
        started = time.monotonic()
        simulated = settings.faults.should_fail(settings.task.task_id, settings.rollout, index)
        limit = settings.clock.tool_seconds()
        status: ToolStatus = "error"
        documents: tuple[str, ...] = ()
        abandoned = False
        try:
            result = await self._run_tool(call, simulated, limit)
            text = result.text
            documents = tuple(result.documents)
            status = "ok"
        except DeadlinePassed as passed:
            text = f"error: {call.name} did not answer within {limit:.3g} s"
            abandoned = passed.abandoned
        except (ToolError, ModelError) as error:
            text = f"error: {error}"
        event = ToolEvent(
            call.name,
            _arguments_text(call.arguments),
            status,
            round(time.monotonic() - started, 4),
            simulated,
            abandoned=abandoned,
            documents=documents,
        )
        return ToolObservation(event, text[: settings.agent.observation_chars])

    async def _run_tool(self, call: ToolCall, simulated: bool, limit: float) -> ToolResult:
        tool = self._tools.get(call.name)
        if simulated:
            raise ToolError(SIMULATED)
        if tool is None:
            raise ToolError(f"no tool named {call.name!r}; there are {', '.join(self._tools)}")
        try:
            return await run_with_deadline(tool.call(call.arguments), limit)
        except TimeoutError:  # the tool's own, not this deadline
            raise ToolError(f"{call.name} timed out") from None
        except (MedrError, DeadlinePassed):
            raise
        except Exception as error:
            # A tool may be anybody's code. A bug in it is not the agent's mistake.
            raise InfrastructureError(
                f"the tool {call.name} broke: {type(error).__name__}: {error}"
            ) from error


def skip_attempt(attempt: Attempt, reason: str) -> ToolObservation:
    """The observation of an attempt that is not run."""
    name = ""
    arguments = ""
    if isinstance(attempt, ToolCall):
        name = attempt.name
        arguments = _arguments_text(attempt.arguments)
    event = ToolEvent(name, arguments, "skipped", 0.0, False)
    return ToolObservation(event, f"error: not run: {reason}")


def call_key(call: ToolCall) -> _CallKey:
    """What makes two calls identical: the tool and its arguments, whatever their order and
    spacing."""
    return call.name, canonical_json(_normalise_spaces(call.arguments))


def _normalise_spaces(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {name: _normalise_spaces(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_normalise_spaces(member) for member in value]
    return value


def _arguments_text(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True)
