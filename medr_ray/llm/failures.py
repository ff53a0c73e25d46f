"""Classifies failed requests to a language model.

A failure is one that may pass when the same request is sent again, an error in the user's
configuration, an error of the model, or an endpoint that is down.
"""

import json

import openai

from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ModelError
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, CircuitOpen, parse_retry_after

# Statuses below 500 that may pass: time-out, conflict, too early, too many requests.
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_QUOTED_CHARACTERS = 300  # of an endpoint's message, in an error


class ContextLengthExceeded(ModelError):
    """The messages and the requested tokens do not fit into the model's context."""


class UnreadableReply(Exception):
    """The endpoint answered with something that is not a chat completion."""


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, openai.APIStatusError):
        return _is_transient_status(error)
    return isinstance(
        error,
        CircuitOpen
        | openai.APIConnectionError
        | UnreadableReply
        | json.JSONDecodeError
        | TimeoutError,
    )


def _is_transient_status(error: openai.APIStatusError) -> bool:
    # An endpoint that asks for a very long pause is as good as down: waiting would block the run.
    pause = parse_retry_after(error.response.headers)
    if pause is not None and pause > MAX_PAUSE_SECONDS:
        return False
    return error.status_code in _TRANSIENT_STATUSES or error.status_code >= 500


def explain_failure(
    error: BaseException, base_url: str, key_name: str, secret: str, attempts: int
) -> MedrError:
    """The error to raise for a request that failed for good.

    ``key_name`` is the environment variable of the key. The key itself (``secret``) is removed from
    whatever the endpoint said, for some endpoints quote it.
    """
    message = " ".join(str(error).split())[:_QUOTED_CHARACTERS]
    if secret:
        message = message.replace(secret, "[key]")
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ConfigError(f"{base_url} refuses the key in ${key_name}: {message}")
    if isinstance(error, openai.NotFoundError):
        return ConfigError(
            f"{base_url} does not know the model or the path (model, base_url): {message}"
        )
    # Before the general case: the agent can shorten its messages, but can do nothing about the
    # rest.
    if isinstance(error, openai.BadRequestError) and _is_too_long(error):
        return ContextLengthExceeded(f"{base_url}: {message}")
    if isinstance(error, openai.APIStatusError) and not is_transient(error):
        return InfrastructureError(
            f"{base_url} refused the request ({error.status_code}): {message}"
        )
    return InfrastructureError(
        f"{base_url} failed {attempts} times, last with {type(error).__name__}: {message}"
    )


def _is_too_long(error: openai.BadRequestError) -> bool:
    """By OpenAI's error code, or by the message of servers that send no code."""
    return error.code == "context_length_exceeded" or "maximum context length" in str(error)
