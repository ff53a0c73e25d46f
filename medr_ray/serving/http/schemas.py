"""Requests and responses of the HTTP interface: OpenAI's formats for chat, our own for search.

Every accepted parameter has an effect. One that would be ignored is refused, unless its value is
the default behaviour anyway (SDKs send ``top_p: 1``).
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from medr_ray.retrieval.authority import KINDS
from medr_ray.serving.messages import ChatJob, ChatTurn, Completion

# Values that mean the default behaviour. The first is named when another value is refused.
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
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
# They identify the caller and do not change the answer.
_IGNORED_FIELDS = ("user", "metadata")
# As many as OpenAI's own API takes.
_MAX_STOP_TEXTS = 4
# OpenAI's fields that a null leaves at no default.
_REQUIRED_FIELDS = ("model", "messages")


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return value


# As in JSON, where true is no number.
Integer = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool)]
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

    def to_turn(self) -> ChatTurn:
        """The message as the model replica reads it, with the parts of the content joined."""
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, str):
            return ChatTurn(role, self.content)
        return ChatTurn(role, "".join(part.text for part in self.content))


class StreamOptions(BaseModel):
    """``include_usage`` adds a last chunk with the token counts."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """``POST /v1/chat/completions``."""

    model_config = ConfigDict(extra="forbid")
    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: Integer | None = Field(None, ge=1)
    max_completion_tokens: Integer | None = Field(None, ge=1)
    temperature: Number = Field(1.0, ge=0, le=2)
    stop: str | list[str] | None = None
    seed: Integer | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool = False
    stream_options: StreamOptions | None = None

    # Before validation, which would refuse these parameters as unknown.
    @model_validator(mode="before")
    @classmethod
    def _refuse_without_effect(cls, values: Any) -> Any:
        """Drop neutral parameters and labels; refuse others that this server does not heed."""
        if not isinstance(values, dict):
            return values
        kept = {}
        for name, value in values.items():
            if name in _NEUTRAL_VALUES:
                neutral = _NEUTRAL_VALUES[name]
                if value is not None and not _is_neutral(value, neutral):
                    raise ValueError(f"{name} is not supported, only {neutral[0]!r}")
            # Null means the default, as OpenAI documents it for every optional field.
            elif name not in _IGNORED_FIELDS and (value is not None or name in _REQUIRED_FIELDS):
                kept[name] = value
        return kept

    @field_validator("stop")
    @classmethod
    def _check_stop_texts(cls, value: str | list[str] | None) -> list[str]:
        texts = [value] if isinstance(value, str) else value or []
        # An empty text is in every text: the answer would end at its first token.
        if len(texts) > _MAX_STOP_TEXTS or any(not text for text in texts):
            raise ValueError(f"at most {_MAX_STOP_TEXTS} stop sequences, none of them empty")
        return texts

    def to_job(self) -> ChatJob:
        """What the model replica is asked for."""
        # The newer name wins where a client sends both.
        max_tokens = self.max_completion_tokens
        if max_tokens is None:
            max_tokens = self.max_tokens
        return ChatJob(
            model=self.model,
            messages=tuple(message.to_turn() for message in self.messages),
            max_tokens=max_tokens,
            temperature=self.temperature,
            stop=tuple(self.stop or ()),
            seed=self.seed,
        )


def _is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Whether a value is one of the neutral ones. True is not 1, as it is to Python."""
    return any(
        value == option and isinstance(value, bool) == isinstance(option, bool)
        for option in neutral
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
    def _check_types(cls, types: list[str] | None) -> list[str] | None:
        unknown = [kind for kind in types or () if kind not in KINDS]
        if unknown:
            raise ValueError(f"no kind of evidence: {unknown[0]!r}; there are {', '.join(KINDS)}")
        return types


def build_usage(completion: Completion) -> dict[str, int]:
    """Token counts under OpenAI's names."""
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.prompt_tokens + completion.output_tokens,
    }


def build_completion(
    completion_id: str, created: int, model: str, completion: Completion
) -> dict[str, Any]:
    """The response of a request that does not stream."""
    (answer,) = completion.choices
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": build_usage(completion),
    }


def build_chunk(
    completion_id: str,
    created: int,
    model: str,
    delta: dict[str, Any],
    finish_reason: str | None = None,
) -> dict[str, Any]:
    """One server-sent event of a stream."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [choice],
    }


def build_usage_chunk(
    completion_id: str, created: int, model: str, completion: Completion
) -> dict[str, Any]:
    """The last event of a stream that asked for its usage."""
    return {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [],
        "usage": build_usage(completion),
    }


def build_model_list(names: Sequence[str], created: int) -> dict[str, Any]:
    """The response of ``GET /v1/models``."""
    models = [
        {"id": name, "object": "model", "created": created, "owned_by": "medr_ray"}
        for name in names
    ]
    return {"object": "list", "data": models}
