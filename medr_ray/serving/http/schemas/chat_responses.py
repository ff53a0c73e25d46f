"""``POST /v1/chat/completions``: the response, whole and in chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from medr_ray.llm.completions import FunctionCall
from medr_ray.serving.messages import (
    CallDelta,
    Choice,
    Completion,
    Delta,
    FinishReason,
    TokenLogprob,
)

_IMPOSSIBLE = -9999.0  # log-probability


class UsageBody(TypedDict):
    """Token counts under OpenAI's names."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprobBody(TypedDict):
    """A token, its natural log-probability and its UTF-8 bytes."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprobBody(TopLogprobBody):
    """A token of the answer, and the likeliest ones at its place."""

    top_logprobs: list[TopLogprobBody]


class LogprobsBody(TypedDict):
    """The tokens of an answer."""

    content: list[TokenLogprobBody]
    refusal: None


class FunctionBody(TypedDict):
    """A called function; ``arguments`` is JSON text, as the model wrote it."""

    name: str
    arguments: str


class CallBody(TypedDict):
    """A call."""

    id: str
    type: Literal["function"]
    function: FunctionBody


class MessageBody(TypedDict):
    """An answer. ``content`` is null when there are calls and no text."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[CallBody]]


class ChoiceBody(TypedDict):
    """One of the ``n`` answers."""

    index: int
    message: MessageBody
    logprobs: LogprobsBody | None
    finish_reason: FinishReason


class ChatCompletionBody(TypedDict):
    """The response of a request that does not stream."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChoiceBody]
    usage: UsageBody


def build_usage(prompt_tokens: int, output_tokens: int) -> UsageBody:
    """Token counts under OpenAI's names."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
    }


def build_completion(
    completion_id: str, created: int, model: str, completion: Completion
) -> ChatCompletionBody:
    """The response of a request that does not stream."""
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_build_choice(choice) for choice in completion.choices],
        "usage": build_usage(completion.prompt_tokens, completion.output_tokens),
    }


def _build_choice(choice: Choice) -> ChoiceBody:
    content = choice.text if choice.text or not choice.tool_calls else None
    message: MessageBody = {"role": "assistant", "content": content, "refusal": None}
    if choice.thought:
        message["reasoning_content"] = choice.thought
    if choice.tool_calls:
        message["tool_calls"] = [_build_call(call) for call in choice.tool_calls]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None if choice.logprobs is None else _build_logprobs(choice.logprobs),
        "finish_reason": choice.finish_reason,
    }


def _build_call(call: FunctionCall) -> CallBody:
    function: FunctionBody = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _build_logprobs(tokens: Sequence[TokenLogprob]) -> LogprobsBody:
    content: list[TokenLogprobBody] = [
        {
            **_build_token(token),
            "top_logprobs": [_build_token(alternative) for alternative in token.alternatives],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _build_token(token: TokenLogprob) -> TopLogprobBody:
    # Only the first token of an echoed prompt has none, and a dialogue is not echoed.
    logprob = 0.0 if token.logprob is None else bound_logprob(token.logprob)
    return {"token": token.text, "logprob": logprob, "bytes": list(token.content)}


def bound_logprob(logprob: float) -> float:
    """The log-probability, of an impossible token the number that OpenAI gives: JSON has no
    infinity."""
    return max(logprob, _IMPOSSIBLE)


@dataclass(frozen=True)
class ChunkBuilder:
    """Builds the chunks of one stream. With ``includes_usage`` every chunk has a usage, which is
    null in all but the last."""

    completion_id: str
    created: int
    model: str
    includes_usage: bool = False

    def build_opening(self, index: int) -> dict[str, Any]:
        """The first chunk of a choice."""
        return self._build_chunk(index, {"role": "assistant", "content": ""})

    def build_delta(self, item: Delta) -> dict[str, Any]:
        """A chunk with what came of a choice."""
        delta: dict[str, Any] = {}
        if item.text:
            delta["content"] = item.text
        if item.thought:
            delta["reasoning_content"] = item.thought
        if item.tool_calls:
            delta["tool_calls"] = [_build_call_delta(call) for call in item.tool_calls]
        logprobs = _build_logprobs(item.logprobs) if item.logprobs else None
        return self._build_chunk(item.index, delta, logprobs)

    def build_end(self, choice: Choice) -> dict[str, Any]:
        """The last chunk of a choice."""
        return self._build_chunk(choice.index, {}, None, choice.finish_reason)

    def build_usage(self, completion: Completion) -> dict[str, Any]:
        """The last chunk of a stream that asked for its usage."""
        usage = build_usage(completion.prompt_tokens, completion.output_tokens)
        return {**self._build_frame([]), "usage": usage}

    def _build_chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: LogprobsBody | None = None,
        finish_reason: FinishReason | None = None,
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return self._build_frame([choice])

    def _build_frame(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        frame: dict[str, Any] = {
            "id": self.completion_id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        if self.includes_usage:
            frame["usage"] = None
        return frame


def _build_call_delta(call: CallDelta) -> dict[str, Any]:
    if call.id:
        function = {"name": call.name, "arguments": call.arguments}
        return {"index": call.index, "id": call.id, "type": "function", "function": function}
    return {"index": call.index, "function": {"arguments": call.arguments}}
