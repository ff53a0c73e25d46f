"""What a chat endpoint answered: text, native tool calls, usage; and how much a request may take
before it is sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.llm.failures import UnreadableReply

_BYTES_PER_TOKEN, _PER_MESSAGE = (
    3,
    8,
)  # an estimate on the high side for English and about right for Chinese


@dataclass(frozen=True)
class FunctionCall:
    """A native tool call as the model wrote it: ``arguments`` is its text, JSON or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ChatResult:
    """A completion. Token counts are the endpoint's own, or the estimate where it reports none;
    ``usd`` is what it cost when it was asked for, None where the endpoint's prices are not
    configured."""

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str
    tool_calls: tuple[FunctionCall, ...] = ()
    usd: float | None = None


def restore_result(stored: Mapping[str, Any]) -> ChatResult:
    """A completion out of the response cache."""
    calls = tuple(FunctionCall(**one) for one in stored.get("tool_calls", ()))
    return ChatResult(**{**stored, "tool_calls": calls})


def read_completion(completion: Any, payload: Mapping[str, Any]) -> ChatResult:
    """An endpoint's answer to ``payload`` (an ``openai`` chat completion). Raises UnreadableReply
    when it is none."""
    choices = getattr(completion, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if not choices or message is None:
        raise UnreadableReply("the reply is no chat completion")
    text, calls = message.content or "", _calls(message)
    usage = getattr(completion, "usage", None)
    prompt = getattr(usage, "prompt_tokens", None)
    output = getattr(usage, "completion_tokens", None)
    written = text + "".join(one.name + one.arguments for one in calls)
    return ChatResult(
        text,
        estimate_prompt_tokens(payload) if prompt is None else prompt,
        _tokens(written) if output is None else output,
        choices[0].finish_reason or "",
        calls,
    )


def _calls(message: Any) -> tuple[FunctionCall, ...]:
    found = [
        (one.id, getattr(one, "function", None))
        for one in getattr(message, "tool_calls", None) or ()
    ]
    return tuple(
        FunctionCall(call_id or "", one.name or "", one.arguments or "")
        for call_id, one in found
        if one is not None
    )


def estimate_prompt_tokens(payload: Mapping[str, Any]) -> int:
    """The most prompt tokens that the messages and tools of ``payload`` should take."""
    messages: Sequence[Mapping[str, Any]] = payload["messages"]
    return sum(_PER_MESSAGE + _message_tokens(message) for message in messages) + _json_tokens(
        payload.get("tools")
    )


def _message_tokens(message: Mapping[str, Any]) -> int:
    content = message.get("content") or ""
    said = _tokens(content) if isinstance(content, str) else _json_tokens(content)
    return said + _json_tokens(message.get("tool_calls"))


def _json_tokens(value: Any) -> int:
    return _tokens(json.dumps(value, ensure_ascii=False)) if value else 0


def _tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN
