"""Requests and responses of the HTTP side, in OpenAI's shapes for chat and in our own for search.

What holds: a parameter that is accepted has its effect; one that would be ignored is refused
(unless its value asks for what happens anyway, as SDKs send ``top_p: 1``).
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medr_ray.retrieval.authority import KINDS
from medr_ray.serving.messages import ChatJob, Completion

_NEUTRAL: dict[str, tuple[Any, ...]] = {  # values that ask for nothing
    "n": (1,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "parallel_tool_calls": (True, False),
    "store": (False,),
}
_LABELS = ("user", "metadata")  # name the caller, and change no answer
SearchMode = Literal["text", "vector", "hybrid"]


class TextPart(BaseModel):
    """A piece of a message given in parts."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message; ``developer`` is read as ``system``."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def as_pair(self) -> tuple[str, str]:
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        return ("system" if self.role == "developer" else self.role), text


class StreamOptions(BaseModel):
    """``include_usage`` adds a last chunk with the token counts."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """``POST /v1/chat/completions``."""

    model_config = ConfigDict(extra="forbid")
    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_what_has_effect(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kept = {}
        for name, value in values.items():
            if name in _NEUTRAL:
                if value is not None and value not in _NEUTRAL[name]:
                    raise ValueError(f"{name} is not supported, only {_NEUTRAL[name][0]!r}")
            elif name not in _LABELS:
                kept[name] = value
        return kept

    @field_validator("stop")
    @classmethod
    def _stop_texts(cls, value: str | list[str] | None) -> list[str]:
        texts = [value] if isinstance(value, str) else value or []
        if len(texts) > 4 or any(not text for text in texts):
            raise ValueError("at most 4 stop sequences, none of them empty")
        return texts

    def job(self) -> ChatJob:
        limit = (
            self.max_completion_tokens
            if self.max_completion_tokens is not None
            else self.max_tokens
        )
        messages = tuple(message.as_pair() for message in self.messages)
        return ChatJob(
            self.model, messages, limit, self.temperature, tuple(self.stop or ()), self.seed
        )


class SearchRequest(BaseModel):
    """``POST /v1/search``; ``results`` and ``mode`` default to the configuration, ``sources`` and
    ``types`` (kinds of evidence) to all; ``since`` and ``until`` are years, inclusive."""

    model_config = ConfigDict(extra="forbid")
    query: str = Field(min_length=1, max_length=4000)
    results: int | None = Field(None, ge=1, le=100)
    sources: list[str] | None = None
    mode: SearchMode | None = None
    since: int | None = None
    until: int | None = None
    types: list[str] | None = None

    @field_validator("types")
    @classmethod
    def _types_are_known(cls, types: list[str] | None) -> list[str] | None:
        unknown = [one for one in types or () if one not in KINDS]
        if unknown:
            raise ValueError(f"no kind of evidence: {unknown[0]!r}; there are {', '.join(KINDS)}")
        return types


def usage_of(done: Completion) -> dict[str, int]:
    total = done.prompt_tokens + done.output_tokens
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.output_tokens,
        "total_tokens": total,
    }


def completion_body(identity: str, created: int, model: str, done: Completion) -> dict[str, Any]:
    """The response of a request that does not stream."""
    message = {"role": "assistant", "content": done.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}
    return {
        "id": identity,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_of(done),
    }


def chunk_body(
    identity: str,
    created: int,
    model: str,
    delta: dict[str, Any],
    finish: str | None = None,
) -> dict[str, Any]:
    """One server-sent event of a stream."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [choice],
    }


def usage_chunk(identity: str, created: int, model: str, done: Completion) -> dict[str, Any]:
    """The last event of a stream that asked for its usage."""
    return {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [],
        "usage": usage_of(done),
    }


def model_list(names: Sequence[str], created: int) -> dict[str, Any]:
    """The response of ``GET /v1/models``."""
    models = [
        {"id": name, "object": "model", "created": created, "owned_by": "medr_ray"}
        for name in names
    ]
    return {"object": "list", "data": models}
