"""What a failed request means: worth another try, the user's configuration, or an endpoint that is
down."""

import email.utils
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import openai

from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ModelError

_TRANSIENT = frozenset({408, 409, 425, 429})
_SHOWN = 300  # characters of an endpoint's message quoted in an error
LONGEST_PAUSE = 600.0  # seconds; an endpoint that asks for more is as good as down


class ContextLengthExceeded(ModelError):
    """The messages and the tokens asked for no longer fit the model's context."""


class CircuitOpen(InfrastructureError):
    """The service only failed lately and is left alone; ``seconds`` until it is tried again."""

    def __init__(self, service: str, seconds: float) -> None:
        super().__init__(
            f"{service} only failed lately and is left alone: it will be tried again in {seconds:.1f} s"
        )
        self.service, self.seconds = service, seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return CircuitOpen, (self.service, self.seconds)


class UnreadableReply(Exception):
    """The endpoint answered with something that is no chat completion."""


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, CircuitOpen):
        return True
    if isinstance(error, openai.APIStatusError):
        pause = retry_after(error.response.headers)
        return (error.status_code in _TRANSIENT or error.status_code >= 500) and (
            pause or 0
        ) <= LONGEST_PAUSE
    return isinstance(
        error, openai.APIConnectionError | UnreadableReply | json.JSONDecodeError | TimeoutError
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the endpoint asks to wait (``retry-after-ms``, ``retry-after`` as seconds or date),
    or None."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    try:
        moment = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, OverflowError):
        return None
    return max(
        0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    )


def explained(
    error: BaseException, base_url: str, key_name: str, secret: str, attempts: int
) -> MedrError:
    """The failure under its own name, with the key blotted out of whatever the endpoint said."""
    said = " ".join(str(error).split())[:_SHOWN]
    said = said.replace(secret, "[key]") if secret else said
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ConfigError(f"{base_url} refuses the key in ${key_name}: {said}")
    if isinstance(error, openai.NotFoundError):
        return ConfigError(
            f"{base_url} does not know the model or the path (model, base_url): {said}"
        )
    if isinstance(error, openai.BadRequestError) and _is_too_long(error):
        return ContextLengthExceeded(f"{base_url}: {said}")
    if isinstance(error, openai.APIStatusError) and not is_transient(error):
        return InfrastructureError(f"{base_url} refused the request ({error.status_code}): {said}")
    return InfrastructureError(
        f"{base_url} failed {attempts} times, last with {type(error).__name__}: {said}"
    )


def _is_too_long(error: openai.BadRequestError) -> bool:
    """By OpenAI's error code, or by the words of servers that send none."""
    return error.code == "context_length_exceeded" or "maximum context length" in str(error)
