"""The dialogue as an endpoint with native tool calls sees it, and its replies in the text protocol.

What is recorded is the text protocol whichever way the endpoint was called, so all dialogues train
alike. Every native call becomes exactly one ``<tool_call>``, even one whose arguments cannot be
read, and gets its response back under its own id.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from medr_ray.agent.call_styles import render_call
from medr_ray.agent.instructions import EpisodePrompt
from medr_ray.agent.protocol import (
    canonical_reply,
    parse_reply,
    parse_responses,
    unpack_arguments,
)
from medr_ray.core.json_text import InvalidJson, replace_surrogates
from medr_ray.core.records import Message
from medr_ray.llm.completions import ChatResult, FunctionCall
from medr_ray.llm.thoughts import escape_thought, split_thought, use_think_tags
from medr_ray.tools.base import Tool

_CALL_TAG = re.compile(r"<(/?tool_(?:call|response))>")


@dataclass(frozen=True)
class _NativeReply:
    """A reply as the endpoint gave it, every call with an id. ``thought`` is the field of the
    thought, if there was one: models that think between calls want it back."""

    content: str
    calls: tuple[FunctionCall, ...] = ()
    thought: Mapping[str, str] = field(default_factory=dict)


class NativeDialogue:
    """One episode's dialogue with an endpoint that is given the tools as ``schemas`` (OpenAI's
    ``tools``)."""

    def __init__(self, prompt: EpisodePrompt) -> None:
        self._system = prompt.opening_messages(native=True)[0].content
        self._replies: list[_NativeReply] = []
        self.schemas = describe_tools(prompt.tools)

    def render_messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The recorded dialogue as the endpoint is to see it."""
        rendered: list[dict[str, Any]] = [{"role": "system", "content": self._system}]
        replies = iter(self._replies)
        calls: Sequence[FunctionCall] = ()
        for message in messages[1:]:
            if message.role == "assistant":
                # The endpoint's own form and not the recorded text: it expects its ids back.
                reply = next(replies)
                calls = reply.calls
                rendered.append(_render_assistant(reply))
            else:
                rendered += render_tool_messages(message.content, [call.id for call in calls])
        return rendered

    def record_reply(self, result: ChatResult) -> str:
        """The reply in the text protocol. It is kept as the endpoint gave it."""
        turn = len(self._replies)
        calls = tuple(
            # Some endpoints leave out ids, or the arguments of a call that has none.
            replace(call, id=call.id or f"call-{turn}-{number}", arguments=call.arguments or "{}")
            for number, call in enumerate(result.tool_calls)
        )
        thought = {result.reasoning_field: result.reasoning} if result.reasoning_field else {}
        self._replies.append(_NativeReply(result.text, calls, thought))
        return render_native_reply(result.text, calls, result.reasoning)


def describe_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """The tools as OpenAI's ``tools`` and the chat templates of Hugging Face have them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in tools
    ]


def render_native_reply(content: str, calls: Sequence[FunctionCall], thought: str = "") -> str:
    """A native reply in the text protocol. The text beside calls becomes the thought, behind what
    the endpoint gave as ``thought``."""
    if not calls:
        return canonical_reply(content, thought)
    # A call written in the text is broken up, or it would count beside the native ones.
    content = use_think_tags(_CALL_TAG.sub(r"‹\1›", replace_surrogates(content)))
    answer = parse_reply(content).answer
    split = split_thought(content)
    parts = [thought.strip(), split.thought]
    if answer is None:
        parts.append(split.rest.strip())
    rendered = [render_call(_call_json(call)) for call in calls]
    if answer is not None:
        rendered.append(f"<answer>{answer}</answer>")
    thought = escape_thought("\n".join(filter(None, parts)))
    if thought:
        rendered.insert(0, f"<think>{thought}</think>")
    return "\n".join(rendered)


def _call_json(call: FunctionCall) -> str:
    """The call as JSON. Arguments that are no JSON stay the text they are, which the protocol then
    names as the problem."""
    try:
        arguments = unpack_arguments(call.arguments, "the arguments")
    except InvalidJson:
        arguments = call.arguments
    value = {"name": call.name, "arguments": arguments}
    unescaped = json.dumps(value, ensure_ascii=False)
    if unescaped == replace_surrogates(unescaped):
        return unescaped
    return json.dumps(value)  # lone surrogates stay escaped


def _render_assistant(reply: _NativeReply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if reply.calls:
        message |= reply.thought
        message["tool_calls"] = [
            render_native_call(call.id, call.name, call.arguments) for call in reply.calls
        ]
    return message


def render_native_call(
    call_id: str, name: str, arguments: str | Mapping[str, Any]
) -> dict[str, Any]:
    """An entry of ``tool_calls``. Endpoints take ``arguments`` as JSON text, chat templates as an
    object."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def render_tool_messages(content: str, call_ids: Sequence[str]) -> list[dict[str, Any]]:
    """A recorded user message: a tool message for each call, and what follows as the user's."""
    if not call_ids:
        return [{"role": "user", "content": content}]
    texts, rest = parse_responses(content)
    rendered = [
        {"role": "tool", "tool_call_id": call_id, "content": text}
        for call_id, text in zip(call_ids, texts, strict=True)
    ]
    if rest:
        rendered.append({"role": "user", "content": rest})
    return rendered
