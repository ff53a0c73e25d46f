"""Environments for rollouts in which waiting, failing and dying are all there is: the pool, its
workers and the agent's loop are the real ones.

A ``Script`` says what an episode does, chosen by the request's mode. What is to happen once leaves
a mark in a folder, because the worker it happened to is gone. Workers of a cluster cannot import
tests: what goes there travels by value.
"""

import asyncio
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import cloudpickle
from support.questions import make_question

from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Message, Trajectory, Usage
from medr_ray.rollouts.worker import Environment, RolloutRequest
from medr_ray.tools.base import ToolResult

cloudpickle.register_pickle_by_value(sys.modules[__name__])
ANSWER = "as asked"


@dataclass(frozen=True)
class Script:
    """``turns`` replies with ``calls`` tool calls each and then the answer; a reply takes ``think``
    seconds, a call ``wait``, each times a factor up to 1 + ``spread`` that the request's key
    decides. ``failing``: the share of tool calls whose service breaks. What ``happens`` does so at
    the first turn: always, or where ``marks`` is a folder, once for each rollout."""

    turns: int = 1
    calls: int = 1
    think: float = 0.0
    wait: float = 0.0
    spread: float = 0.0
    failing: float = 0.0
    happens: str = ""
    marks: str = ""

    def factor(self, request: RolloutRequest) -> float:
        return 1 + self.spread * share("factor", request.key)

    def seconds(self, request: RolloutRequest) -> float:
        """What an episode cannot be quicker than: calls of one reply wait together."""
        return self.factor(request) * ((self.turns + 1) * self.think + self.turns * self.wait)


def share(*parts: Any) -> float:
    """A number in [0, 1) that the parts decide."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") / 2**64


class LookingUp:
    """A policy that searches for its question and answers with the whole tool response."""

    def __init__(self, request: RolloutRequest) -> None:
        self._question, self._asked = request.task.text, False

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        if self._asked:
            return PolicyTurn(
                render_reply("This is it.", answer=messages[-1].content.replace("<", "("))
            )
        self._asked = True
        return PolicyTurn(
            render_reply("I search.", [ToolCall("search", {"query": self._question})])
        )


class WaitingTool:
    """Waits for the given time; ``broken`` calls find their service down."""

    name, description = "wait", "Wait."
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "seconds": {"type": "number"},
            "broken": {"type": "boolean"},
            "number": {"type": "integer"},
        },
    }

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        if arguments["broken"]:
            raise InfrastructureError("the tool's service is down")
        await asyncio.sleep(float(arguments["seconds"]))
        return ToolResult("waited")


class WaitingPolicy:
    """Plays a script for one request."""

    def __init__(self, script: Script, request: RolloutRequest) -> None:
        self._script = script
        self._request = request
        self._turn = 0
        self._factor = script.factor(request)

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        self._turn += 1
        if self._turn == 1 and self._script.happens and self._is_due():
            await _FAULTS[self._script.happens]()
        await asyncio.sleep(self._script.think * self._factor)
        if self._turn > self._script.turns:
            return PolicyTurn(render_reply("All is done.", answer=ANSWER))
        return PolicyTurn(
            render_reply("I wait.", [self._call(number) for number in range(self._script.calls)])
        )

    def _call(self, number: int) -> ToolCall:
        number += self._turn * 100  # no two calls are the same
        broken = random.random() < self._script.failing  # another attempt has other luck
        return ToolCall(
            "wait",
            {"seconds": self._script.wait * self._factor, "number": number, "broken": broken},
        )

    def _is_due(self) -> bool:
        if not self._script.marks:
            return True
        mark = Path(self._script.marks) / self._request.key.replace("/", "-")
        due = not mark.exists()
        mark.touch()
        return due


async def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _block() -> None:
    time.sleep(3600)


async def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


async def _hang() -> None:
    await asyncio.sleep(3600)


async def _be_unreachable() -> None:
    raise InfrastructureError("endpoint down")


async def _err() -> None:
    raise ZeroDivisionError("bug")


_FAULTS = {
    "die": _die,
    "block": _block,
    "freeze": _freeze,
    "hang": _hang,
    "unreachable": _be_unreachable,
    "bug": _err,
}


@dataclass(frozen=True)
class WaitingEnvironment:
    """Tasks play the script of their mode."""

    scripts: Mapping[str, Script]

    def __call__(self) -> Environment:
        return Environment([WaitingTool()], self._policy)

    def _policy(self, request: RolloutRequest) -> Policy:
        return WaitingPolicy(self.scripts[request.mode], request)


def make_requests(count: int, mode: str = "plain", question: int = 0) -> list[RolloutRequest]:
    """So many rollouts of one question."""
    return [RolloutRequest(make_question(question).task, mode, rollout) for rollout in range(count)]


def trajectory_of(request: RolloutRequest, mark: str = "") -> Trajectory:
    """What an episode of the request might have come to, with an id of its own for whatever is
    ``mark``."""
    return Trajectory(
        f"traj-{share(request.key, mark)}",
        request.task.task_id,
        request.mode,
        request.rollout,
        (),
        (),
        (),
        (),
        ANSWER,
        "answered",
        Usage(0, 0, 0),
        None,
    )
