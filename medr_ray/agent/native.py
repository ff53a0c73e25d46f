"""The dialogue as an endpoint with native tool calls sees it, and its replies in the text protocol.

What holds: what is recorded is the text protocol whichever way the endpoint was asked, so all
dialogues train alike; every native call becomes exactly one ``<tool_call>``, arguments that cannot
be read included, and gets its response back under its own id.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medr_ray.agent.foreign_text import well_formed
from medr_ray.agent.instructions import Briefing
from medr_ray.agent.protocol import parse_responses, render_call
from medr_ray.core.records import Message
from medr_ray.llm.completions import ChatResult, FunctionCall

_TAGS = ("<think>", "<answer>")
_CALL_TAG = re.compile(r"<(/?tool_(?:call|response))>")


@dataclass(frozen=True)
class _Said:
    """A reply as the endpoint gave it, every call with an id."""

    content: str
    calls: tuple[FunctionCall, ...] = ()


class NativeDialogue:
    """One episode's dialogue with an endpoint that is given the tools as ``schemas`` (OpenAI's
    ``tools``)."""

    def __init__(self, briefing: Briefing) -> None:
        self._system = briefing.opening(native=True)[0].content
        self._said: list[_Said] = []
        self.schemas: list[dict[str, Any]] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in briefing.tools
        ]

    def sent(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The recorded dialogue as the endpoint is to see it."""
        sent: list[dict[str, Any]] = [{"role": "system", "content": self._system}]
        replies = iter(self._said)
        calls: Sequence[FunctionCall] = ()
        for message in messages[1:]:
            if message.role == "assistant":
                said = next(replies)
                calls = said.calls
                sent.append(_assistant(said))
            else:
                sent += _responses(message.content, calls)
        return sent

    def received(self, result: ChatResult) -> str:
        """The reply in the text protocol; remembered as it was given."""
        turn = len(self._said)
        calls = tuple(
            replace(one, id=one.id or f"call-{turn}-{number}", arguments=one.arguments or "{}")
            for number, one in enumerate(result.tool_calls)
        )
        self._said.append(_Said(result.text, calls))
        return in_text(result.text, calls)


def in_text(content: str, calls: Sequence[FunctionCall]) -> str:
    """A native reply in the text protocol: what is said beside calls is the thought."""
    if not calls:
        return content
    said = _CALL_TAG.sub(r"‹\1›", well_formed(content)).strip()
    thought = said if not said or any(tag in said for tag in _TAGS) else f"<think>{said}</think>"
    return "\n".join(filter(None, [thought, *(render_call(_call_in_json(one)) for one in calls)]))


def _call_in_json(call: FunctionCall) -> str:
    """Arguments that are no JSON stay the text they are, which the protocol then names as the
    fault."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    value = {"name": call.name, "arguments": arguments}
    readable = json.dumps(value, ensure_ascii=False)
    return readable if readable == well_formed(readable) else json.dumps(value)


def _assistant(said: _Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.content}
    if said.calls:
        message["tool_calls"] = [
            {
                "id": one.id,
                "type": "function",
                "function": {"name": one.name, "arguments": one.arguments},
            }
            for one in said.calls
        ]
    return message


def _responses(content: str, calls: Sequence[FunctionCall]) -> list[dict[str, Any]]:
    """A recorded user message: a tool message for each call, and what follows as the user's."""
    if not calls:
        return [{"role": "user", "content": content}]
    texts, rest = parse_responses(content)
    answered = [
        {"role": "tool", "tool_call_id": one.id, "content": text}
        for one, text in zip(calls, texts, strict=True)
    ]
    return answered + ([{"role": "user", "content": rest}] if rest else [])
