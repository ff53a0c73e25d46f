"""The result of a chat request (text, native tool calls, usage), and an estimate of its tokens
before it is sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.core.json_text import replace_surrogates
from medr_ray.llm.failures import UnreadableReply, read_reported_error

_QUOTED_CHARACTERS = 200  # of a body that is not JSON, in an error
_MAX_TOKEN_COUNT = 10**9  # of one request; more is no count
# Parts of a message's content that hold a thought: Anthropic's and Mistral's, OpenAI's.
_THOUGHT_PARTS = frozenset({"thinking", "reasoning", "redacted_thinking"})
# DeepSeek, vLLM and SGLang; vLLM since 0.12, OpenRouter and Groq; OpenRouter; Ollama.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
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

    ``reasoning`` is what the endpoint delivered as the model's thought, apart from the text. Token
    counts are the endpoint's own, or the estimate where it reports none. ``usd`` is the price of
    the request when it was sent, None where the endpoint's prices are not configured.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str
    tool_calls: tuple[FunctionCall, ...] = ()
    usd: float | None = None
    reasoning: str = ""


def restore_result(stored: Mapping[str, Any]) -> ChatResult:
    """A completion from the response cache."""
    calls = tuple(FunctionCall(**call) for call in stored.get("tool_calls", ()))
    return ChatResult(**{**stored, "tool_calls": calls})


def read_completion(completion: Any, payload: Mapping[str, Any]) -> ChatResult:
    """The endpoint's answer to ``payload``, an ``openai`` chat completion.

    The library accepts all kinds of JSON unchecked, so every field is looked at. Raises
    ReportedError when the endpoint answered with an error under status 200, and UnreadableReply
    when the answer is not a chat completion.
    """
    message, finish_reason = _read_choice(completion)
    text, reasoning_parts = _read_content(_get(message, "content"))
    # A refusal stands in a field of its own, and is all that the model said.
    text = text or _read_text(_get(message, "refusal"))
    reasoning = reasoning_parts or _read_reasoning(message)
    calls = _read_tool_calls(message)
    usage = _get(completion, "usage")
    prompt_tokens = _read_count(_get(usage, "prompt_tokens"))
    if prompt_tokens is None:
        prompt_tokens = estimate_prompt_tokens(payload)
    # Some servers report no usage, or only a part of it.
    output_tokens = _read_count(_get(usage, "completion_tokens"))
    if output_tokens is None:
        output_tokens = _estimate_tokens(
            reasoning + text + "".join(call.name + call.arguments for call in calls)
        )
    return ChatResult(text, prompt_tokens, output_tokens, finish_reason, calls, reasoning=reasoning)


def _read_choice(completion: Any) -> tuple[Any, str]:
    """(message, finish reason) of the first choice."""
    if isinstance(completion, str):
        # The library hands on the text of a body that is not JSON by its header.
        quoted_text = " ".join(completion.split())[:_QUOTED_CHARACTERS]
        raise UnreadableReply(f"the endpoint answered with text and not JSON: {quoted_text!r}")
    error = _get(completion, "error")
    if error:
        raise read_reported_error(error)
    choices = _get(completion, "choices")
    if not isinstance(choices, list) or not choices:
        raise UnreadableReply("the reply is not a chat completion: it has no choices")
    error = _get(choices[0], "error")
    if error:
        raise read_reported_error(error)
    message = _get(choices[0], "message")
    if message is None or isinstance(message, str | int | float | list):
        raise UnreadableReply("the reply is not a chat completion: its choice has no message")
    return message, _read_text(_get(choices[0], "finish_reason"))


def _get(container: Any, name: str) -> Any:
    """A field of an object of the library, or of a dict where the library left one."""
    if isinstance(container, Mapping):
        return container.get(name)
    return getattr(container, name, None)


def _read_text(value: Any) -> str:
    """A text field; "" where it is null. Raises UnreadableReply for another type."""
    if value is None:
        return ""
    if isinstance(value, str):
        return replace_surrogates(value)
    raise UnreadableReply(f"the reply holds {type(value).__name__} where text is meant")


def _read_content(content: Any) -> tuple[str, str]:
    """(text, thought) of a message's content: a text, nothing, or a list of parts."""
    if not isinstance(content, list):
        return _read_text(content), ""
    texts = []
    thoughts = []
    for part in content:
        if isinstance(part, str):
            texts.append(_read_text(part))
        elif _get(part, "type") in _THOUGHT_PARTS:
            thoughts.append(_read_part(part, ("thinking", "reasoning", "text", "summary")))
        else:
            texts.append(_read_part(part, ("text", "refusal", "content")))
    return "".join(texts), "\n".join(filter(None, thoughts))


def _read_part(part: Any, names: Sequence[str]) -> str:
    """The text of a part of a message: the first of the fields that has one."""
    for name in names:
        value = _get(part, name)
        if isinstance(value, list):
            # Mistral's thoughts are lists of parts again.
            return "".join(_read_part(inner, names) for inner in value)
        if value:
            return _read_text(value)
    return ""


def _read_reasoning(message: Any) -> str:
    """The thought in a field beside the content, under the names that servers give it."""
    for name in _REASONING_FIELDS:
        value = _get(message, name)
        if isinstance(value, str) and value:
            return _read_text(value)
        if isinstance(value, list):
            parts = [_read_part(part, ("text", "thinking", "summary")) for part in value]
            if any(parts):
                return "\n".join(filter(None, parts))
    return ""


def _read_count(value: Any) -> int | None:
    """A number of tokens; None where it is missing or none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        count = int(float(value))
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count < _MAX_TOKEN_COUNT else None


def _read_tool_calls(message: Any) -> tuple[FunctionCall, ...]:
    """The native calls, also one in the field that came before ``tool_calls``."""
    calls = []
    listed = _get(message, "tool_calls")
    for call in listed if isinstance(listed, list) else ():
        function = _get(call, "function")
        if function is not None:
            calls.append(_read_function(function, _get(call, "id")))
    legacy = _get(message, "function_call")
    if not calls and legacy:
        calls.append(_read_function(legacy, None))
    return tuple(calls)


def _read_function(function: Any, call_id: Any) -> FunctionCall:
    arguments = _get(function, "arguments")
    if arguments is not None and not isinstance(arguments, str):
        # Some servers give the value and not its text.
        arguments = json.dumps(arguments, ensure_ascii=False)
    name = _read_text(_get(function, "name"))
    return FunctionCall("" if call_id is None else str(call_id), name, _read_text(arguments))


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
    return len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN
