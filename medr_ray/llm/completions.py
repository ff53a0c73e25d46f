"""The result of a chat request (text, thought, native tool calls, usage), and an estimate of its
tokens before it is sent.

Endpoints that call themselves OpenAI-compatible differ in almost every field. A field of another
type than OpenAI's is read where its meaning is beyond doubt and counts as missing elsewhere; a body
that holds no message is an UnreadableReply or the ReportedError that it reports.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.core.json_text import InvalidJson, parse_json, replace_surrogates
from medr_ray.llm.failures import UnreadableReply, find_reported_error

# An estimate on the high side for English and about right for Chinese.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8  # for the role and the separators around a message
_MAX_TOKEN_COUNT = 10**9  # of one request; more is no count
_QUOTED_CHARACTERS = 120  # of a body that is no completion, in an error
# Where endpoints put what the model thought, the most common name first.
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_details")
_THOUGHT_PARTS = frozenset(
    {"thinking", "reasoning", "thought", "reasoning_text", "reasoning.text", "reasoning.summary"}
)
# Fields of a part that hold its text, or parts of it.
_TEXT_FIELDS = ("text", "thinking", "reasoning", "content", "summary", "value")
# OpenAI's finish reasons by what other providers call them.
_FINISH_REASONS = {
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "spii": "content_filter",
    "sensitive": "content_filter",
}
# What an endpoint says when it broke off by itself: the same request may succeed.
_BROKEN_OFF = frozenset({"error", "abort", "aborted", "insufficient_system_resource"})


@dataclass(frozen=True)
class FunctionCall:
    """A native tool call as the model wrote it: ``arguments`` is its text, JSON or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ChatResult:
    """A completion.

    ``text`` is as the model wrote it and may hold thoughts between tags; ``reasoning`` is what the
    endpoint gave as a thought apart from it, and ``reasoning_field`` the name of its field. Token
    counts are the endpoint's own, or the estimate where it reports none. ``usd`` is the price of
    the request when it was sent, None where the endpoint's prices are not configured. ``refusal``
    is the text of a refusal in a field of its own.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str
    tool_calls: tuple[FunctionCall, ...] = ()
    usd: float | None = None
    reasoning: str = ""
    reasoning_field: str = ""
    refusal: str = ""


def restore_result(stored: Mapping[str, Any]) -> ChatResult:
    """A completion from the response cache."""
    calls = tuple(FunctionCall(**call) for call in stored.get("tool_calls", ()))
    return ChatResult(**{**stored, "tool_calls": calls})


def parse_completion(body: bytes, payload: Mapping[str, Any]) -> ChatResult:
    """The completion in the body of an endpoint's answer to ``payload``.

    Raises UnreadableReply when it holds none, and ReportedError when it reports a failure instead.
    """
    try:
        # A model may cut a character in half, and log-probabilities may be infinite.
        value = parse_json(body, "the reply", finite=False, whole_characters=False)
    except InvalidJson as error:
        raise _explain_foreign_body(body, error) from None
    return read_completion(value, payload)


def read_completion(completion: Any, payload: Mapping[str, Any]) -> ChatResult:
    """The completion in ``completion``, an endpoint's JSON or an object of the ``openai`` package.

    Raises UnreadableReply when it holds none, and ReportedError when it reports a failure instead.
    """
    body = _to_plain_value(completion)
    choice = _find_choice(body)
    message = _as_mapping(choice.get("message"))
    reason = _read_finish_reason(choice)
    if reason in _BROKEN_OFF:
        raise UnreadableReply(f"the endpoint broke off (finish_reason {reason})")
    text = _read_parts(message.get("content"), thoughts=False)
    reasoning_field, reasoning = _find_thought(message)
    calls = _read_tool_calls(message)
    refusal = _read_refusal(message)
    usage = _as_mapping(body.get("usage"))
    prompt_tokens = _read_count(usage, "prompt_tokens", "input_tokens")
    if prompt_tokens is None:
        prompt_tokens = estimate_prompt_tokens(payload)
    # Some servers report no usage, or only a part of it.
    output_tokens = _read_count(usage, "completion_tokens", "output_tokens")
    if output_tokens is None:
        written = "".join(call.name + call.arguments for call in calls)
        output_tokens = _estimate_tokens(text + reasoning + written)
    return ChatResult(
        text,
        prompt_tokens,
        output_tokens,
        "content_filter" if refusal and reason in ("", "stop") else reason,
        calls,
        reasoning=reasoning,
        reasoning_field=reasoning_field,
        refusal=refusal,
    )


def _to_plain_value(completion: Any) -> dict[str, Any]:
    """The completion as JSON gives it. Raises UnreadableReply for anything but an object."""
    if hasattr(completion, "model_dump"):
        # No warnings: the package fills its objects with whatever an endpoint sends.
        completion = completion.model_dump(warnings=False)
    if not isinstance(completion, dict):
        raise UnreadableReply(f"the reply is no chat completion but {type(completion).__name__}")
    return completion


def _find_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first choice. Raises UnreadableReply without one and ReportedError for a reported
    failure."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    choice = _as_mapping(first)
    # Some endpoints put the failure into the choice.
    reported = find_reported_error({"error": choice.get("error")}) or find_reported_error(body)
    if reported is not None:
        raise reported
    if not isinstance(choice.get("message"), dict):
        excerpt = ascii(json.dumps(body, default=str)[:_QUOTED_CHARACTERS])
        raise UnreadableReply(f"the reply is no chat completion: {excerpt}")
    return choice


def _explain_foreign_body(body: bytes, problem: InvalidJson) -> Exception:
    """What a body is that is no JSON: a page, a stream of events, a part, or nothing."""
    start = body[:_QUOTED_CHARACTERS].decode(errors="replace").strip()
    if not start:
        return UnreadableReply("the reply is empty")
    if start.startswith("<"):
        return UnreadableReply(f"the reply is a page and no JSON: {start!a}")
    if not start.startswith(("data:", "event:", ":")):
        return UnreadableReply(f"{problem} ({start!a})")
    for line in body.decode(errors="replace").splitlines():
        try:
            event = parse_json(line.removeprefix("data:"), "the event")
        except InvalidJson:
            continue
        reported = find_reported_error(_as_mapping(event))
        if reported is not None:
            return reported
    return UnreadableReply("the reply is a stream of events, which nobody asked for")


# --- the fields of a message -----------------------------------------------------------


def _read_finish_reason(choice: Mapping[str, Any]) -> str:
    reason = choice.get("finish_reason")
    if not isinstance(reason, str):
        return ""
    return _FINISH_REASONS.get(reason.lower(), reason.lower())


def _read_parts(content: Any, thoughts: bool) -> str:
    """The text of a content that is a text, a part, or a list of them; ``thoughts``: of the parts
    that the model thought, else of those that it said."""
    if isinstance(content, str):
        return "" if thoughts else replace_surrogates(content)
    if isinstance(content, list):
        return "".join(
            _read_parts(part, thoughts) for part in content if isinstance(part, str | list | dict)
        )
    if content is None:
        return ""
    if not isinstance(content, dict):
        raise UnreadableReply(f"the reply holds {type(content).__name__} where text is meant")
    part = _as_mapping(content)
    kind = part.get("type")
    if part.get("thought") is True or (isinstance(kind, str) and kind in _THOUGHT_PARTS):
        return _read_texts(part) if thoughts else ""
    return "" if thoughts or kind == "refusal" else _read_texts(part)


def _read_texts(value: Any) -> str:
    """All that a text, a part or a list of parts says."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, list):
        return "\n".join(filter(None, map(_read_texts, value)))
    if not isinstance(value, dict):
        return ""
    texts = (_read_texts(value.get(name)) for name in _TEXT_FIELDS)
    return next(filter(None, texts), "")


def _find_thought(message: Mapping[str, Any]) -> tuple[str, str]:
    """(name of the field, what the model thought); two empty texts where there is no field."""
    for name in _THOUGHT_FIELDS:
        text = _read_texts(message.get(name)).strip()
        if text:
            return name, text
    return "", _read_parts(message.get("content"), thoughts=True).strip()


def _read_refusal(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    refusals = [part.get("refusal") for part in parts if isinstance(part, dict)]
    return _read_texts([message.get("refusal"), *refusals])


def _read_tool_calls(message: Mapping[str, Any]) -> tuple[FunctionCall, ...]:
    """The native calls, in OpenAI's form, its earlier one (``function_call``), or as parts of the
    content (Anthropic's)."""
    calls = message.get("tool_calls") or message.get("function_call")
    entries = list(calls) if isinstance(calls, list) else [calls]
    content = message.get("content")
    if isinstance(content, list):
        entries += [part for part in content if _as_mapping(part).get("type") == "tool_use"]
    return tuple(_read_call(entry) for entry in entries if isinstance(entry, dict))


def _read_call(entry: Mapping[str, Any]) -> FunctionCall:
    function = _as_mapping(entry.get("function")) or entry
    name = function.get("name")
    if not isinstance(name, str | None):
        raise UnreadableReply(f"the reply holds {type(name).__name__} where a name is meant")
    arguments = function.get("arguments", function.get("input"))
    return FunctionCall(
        _read_word(entry.get("id")),
        _read_word(name),
        arguments_text(arguments),
    )


def arguments_text(arguments: Any) -> str:
    """The arguments of a call as JSON text; "" for none."""
    if arguments is None:
        return ""
    if isinstance(arguments, str):
        return replace_surrogates(arguments)
    return replace_surrogates(json.dumps(arguments, ensure_ascii=False))


def _read_word(value: Any) -> str:
    if isinstance(value, str):
        return replace_surrogates(value)
    return str(value) if isinstance(value, int) else ""


def _read_count(usage: Mapping[str, Any], *names: str) -> int | None:
    """A number of tokens, also where it is a float or a text; None where it is none."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if 0 <= number < _MAX_TOKEN_COUNT:
            return int(number)
    return None


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# --- estimates -------------------------------------------------------------------------


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
    return len(text.encode(errors="replace")) // _BYTES_PER_TOKEN
