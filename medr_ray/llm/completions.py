"""The result of a chat request (text, native tool calls, usage), and an estimate of its tokens
before it is sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.llm.failures import UnreadableReply

# An estimate on the high side for English and about right for Chinese.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8  # for the role and the separators around a message


@dataclass(frozen=True)
class FunctionCall:
    """A native tool call as the model wrote it: ``arguments`` is its text, JSON or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ChatResult:
    """A completion.

    Token counts are the endpoint's own, or the estimate where it reports none. ``usd`` is the price
    of the request when it was sent, None where the endpoint's prices are not configured.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str
    tool_calls: tuple[FunctionCall, ...] = ()
    usd: float | None = None


def restore_result(stored: Mapping[str, Any]) -> ChatResult:
    """A completion from the response cache."""
    calls = tuple(FunctionCall(**call) for call in stored.get("tool_calls", ()))
    return ChatResult(**{**stored, "tool_calls": calls})


def read_completion(completion: Any, payload: Mapping[str, Any]) -> ChatResult:
    """The endpoint's answer to ``payload``, an ``openai`` chat completion.

    Raises UnreadableReply when it is not one: servers answer with all kinds of JSON, which the
    library accepts unchecked.
    """
    choices = getattr(completion, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if not choices or message is None:
        raise UnreadableReply("the reply is no chat completion")
    text = message.content or ""
    calls = _read_tool_calls(message)
    usage = getattr(completion, "usage", None)
    prompt_tokens = getattr(usage, "prompt_tokens", None)
    if prompt_tokens is None:
        prompt_tokens = estimate_prompt_tokens(payload)
    # Some servers report no usage, or only a part of it.
    output_tokens = getattr(usage, "completion_tokens", None)
    if output_tokens is None:
        output_tokens = _estimate_tokens(
            text + "".join(call.name + call.arguments for call in calls)
        )
    finish_reason = choices[0].finish_reason or ""
    return ChatResult(text, prompt_tokens, output_tokens, finish_reason, calls)


def _read_tool_calls(message: Any) -> tuple[FunctionCall, ...]:
    calls = []
    for call in getattr(message, "tool_calls", None) or ():
        function = getattr(call, "function", None)
        if function is not None:
            calls.append(FunctionCall(call.id or "", function.name or "", function.arguments or ""))
    return tuple(calls)


def estimate_prompt_tokens(payload: Mapping[str, Any]) -> int:
    """The most prompt tokens that the messages and tools of ``payload`` should take."""
    messages: Sequence[Mapping[str, Any]] = payload["messages"]
    tokens = sum(_TOKENS_PER_MESSAGE + _estimate_message_tokens(message) for message in messages)
    return tokens + _estimate_json_tokens(payload.get("tools"))


def _estimate_message_tokens(message: Mapping[str, Any]) -> int:
    content = message.get("content") or ""
    is_text = isinstance(content, str)  # else a list of parts, as for images
    tokens = _estimate_tokens(content) if is_text else _estimate_json_tokens(content)
    return tokens + _estimate_json_tokens(message.get("tool_calls"))


def _estimate_json_tokens(value: Any) -> int:
    return _estimate_tokens(json.dumps(value, ensure_ascii=False)) if value else 0


def _estimate_tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN
