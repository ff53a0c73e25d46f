"""``POST /v1/completions``: the response, whole and in chunks."""

from collections.abc import Sequence
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from medr_ray.serving.http.schemas.chat_responses import UsageBody, bound_logprob
from medr_ray.serving.messages import FinishReason, TokenLogprob


class TextLogprobsBody(TypedDict):
    """Parallel lists, one entry a token. The first token of an echoed prompt has no
    log-probability. ``text_offset`` is where the token begins in the text."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class TextChoiceBody(TypedDict):
    """The continuation of a prompt; those of prompt i have the indices i*n to i*n + n - 1."""

    index: int
    text: str
    logprobs: TextLogprobsBody | None
    finish_reason: FinishReason | None


class TextCompletionBody(TypedDict):
    """The response, and a chunk of one that streams."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoiceBody]
    usage: NotRequired[UsageBody | None]


def build_text_completion(
    completion_id: str, created: int, model: str, choices: list[TextChoiceBody]
) -> TextCompletionBody:
    """A response or a chunk, without its usage."""
    return {
        "id": completion_id,
        "object": "text_completion",
        "created": created,
        "model": model,
        "choices": choices,
    }


def build_text_choice(
    index: int,
    text: str,
    tokens: Sequence[TokenLogprob] | None,
    finish_reason: FinishReason | None,
    offset: int = 0,
) -> TextChoiceBody:
    """A choice. ``offset`` is how much of its text was sent before."""
    logprobs = None if tokens is None else _build_text_logprobs(tokens, offset)
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def _build_text_logprobs(tokens: Sequence[TokenLogprob], offset: int) -> TextLogprobsBody:
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [
            None if token.logprob is None else bound_logprob(token.logprob) for token in tokens
        ],
        "top_logprobs": [_build_alternatives(token) for token in tokens],
        "text_offset": offsets,
    }


def _build_alternatives(token: TokenLogprob) -> dict[str, float] | None:
    """The likeliest tokens at a place by their text, and the token itself. Of tokens with the same
    text, such as halves of characters, the likeliest stands for all."""
    if token.logprob is None:
        return None
    alternatives: dict[str, float] = {}
    for alternative in token.alternatives:
        if alternative.logprob is not None:
            alternatives.setdefault(alternative.text, bound_logprob(alternative.logprob))
    alternatives.setdefault(token.text, bound_logprob(token.logprob))
    return alternatives
