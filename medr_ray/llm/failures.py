"""Classifies failed requests to a language model.

A failure is one that may pass when the same request is sent again, an error in the user's
configuration or account, an error of the model, or an endpoint that is down. Providers say the same
thing in different words, so what decides is the status, the error's code where there is one, and
the words of the providers that send no code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ModelError
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, CircuitOpen, parse_retry_after

# Statuses below 500 that may pass: time-out, conflict, too early, too many requests.
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_QUOTED_CHARACTERS = 300  # of an endpoint's message, in an error
_MAX_MATCHED_CHARACTERS = 4_000  # of a message, in which words are looked for

_TOO_LONG_CODES = frozenset({"context_length_exceeded", "context_window_exceeded"})
# How servers say that prompt and reply do not fit the context.
_TOO_LONG = re.compile(
    "|".join(
        (
            # OpenAI, Azure, vLLM, DeepSeek, Together, xAI
            r"(maximum|max(imum)? model|model'?s?) (context|prompt) (length|window)",
            r"(exceed|larger than|longer than|overflow|too (long|large) for|greater than)[^.]{0,80}"
            r"(context|maximum (input|prompt|sequence|number of (input )?tokens))",
            r"(context|prompt|input)[^.]{0,60}(length|window|size|limit|tokens)[^.]{0,40}"
            r"(exceed|too (long|large))",
            # SGLang
            r"input \(\d+ tokens\) is (longer|larger)",
            r"(input|requested) token count[^.]{0,40}exceed",
            # LM Studio
            r"context length of only \d+ tokens",
            # Anthropic
            r"prompt is too long",
            r"input length and `?max_tokens`? exceed",
            # litellm
            r"ContextWindowExceeded",
            # TGI
            r"`inputs` tokens \+ `max_new_tokens` must be",
            # Google
            r"input token count \(?\d+\)? exceeds",
            # Mistral, Cohere, Bedrock
            r"too many tokens\b(?! per)",
            r"input is too long for requested model",
            r"too large for model with \d+ maximum context",
            r"reduce the length of (the|your) (messages|prompt|input)",
            # DashScope, Zhipu, Moonshot, MiniMax
            r"range of input length should be",
            r"(输入|上下文|提示词|prompt|tokens?)[^。]{0,20}(过长|超长|超出|超过)",
            r"exceeded model token limit",
            r"context window exceeds limit",
        )
    ),
    re.IGNORECASE,
)

_NO_QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "access_terminated",
        "insufficient_balance",
        "insufficientquota",
        "exceeded_current_quota_error",  # Moonshot
        "arrearage",  # DashScope
        "1113",  # Zhipu: the account is in arrears
    }
)
_NO_QUOTA = re.compile(
    "|".join(
        (
            r"exceeded your current quota",
            r"(insufficient|not enough|out of|run out of|low|negative)\b[^.]{0,30}"
            r"\b(balance|credits?|funds)",
            r"(balance|credits?)\b[^.]{0,40}(too low|insufficient|exhausted|depleted|used up)",
            r"billing (hard )?limit",
            r"(add|purchase|buy) (more )?credits",
            r"payment required",
            r"余额不足|欠费|额度(不足|已用)|账户已?(欠|冻结)",
        )
    ),
    re.IGNORECASE,
)
# Google's message for a rate limit speaks of quota too, and says when to come back.
_TRY_AGAIN = re.compile(r"(please )?(retry|try again) (in|after) [\d.]+ ?(ms|s|m)", re.IGNORECASE)
# A parameter that newer models refuse, and the setting for it.
_REFUSED_PARAMETER = re.compile(
    r"(unsupported|not support|does not support|is not supported|unrecognized|deprecated)",
    re.IGNORECASE,
)
_PARAMETER_REMEDIES = (
    ("max_tokens", "set max_tokens_parameter: max_completion_tokens at the endpoint"),
    ("temperature", "set temperature: null at the endpoint"),
)


class ContextLengthExceeded(ModelError):
    """The messages and the requested tokens do not fit into the model's context."""


class UnreadableReply(Exception):
    """The endpoint answered with something that is not a chat completion."""


class ReportedError(Exception):
    """An error that the endpoint reported inside an answer of status 200.

    ``status`` is the status that it stands for, None where the report names none.
    """

    def __init__(self, message: str, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are unpickled from their message alone.
        return ReportedError, (str(self), self.status, self.code)


@dataclass(frozen=True)
class _Report:
    """What an endpoint said of a failure. ``pause``: seconds to wait, where it says so."""

    message: str
    status: int | None
    code: str
    pause: float | None = None


def read_reported_error(error: Any) -> ReportedError:
    """The error of a body: an object with a message and a code, or a text."""
    if not isinstance(error, Mapping):
        return ReportedError(str(error)[:_MAX_MATCHED_CHARACTERS])
    message = str(error.get("message") or error)[:_MAX_MATCHED_CHARACTERS]
    code = error.get("code")
    name = str(code if code is not None else error.get("type") or "")
    is_status = name.isascii() and name.isdigit() and 400 <= int(name[:4]) < 600 and len(name) == 3
    return ReportedError(message, int(name) if is_status else None, name)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    report = _read_report(error)
    if report is not None:
        return _is_transient_report(report)
    return isinstance(
        error, CircuitOpen | openai.APIConnectionError | UnreadableReply | TimeoutError
    )


def is_refused_for_rate(error: BaseException) -> bool:
    """Whether the endpoint asks to send less for a while: a rate limit, and not an account that has
    nothing left, which no pause of other callers would mend."""
    report = _read_report(error)
    if report is None or _has_no_quota(report):
        return False
    return report.status == 429 or (report.status == 503 and report.pause is not None)


def _read_report(error: BaseException) -> _Report | None:
    """What the endpoint said; None for a failure without an answer."""
    if isinstance(error, ReportedError):
        return _Report(str(error), error.status, error.code)
    if isinstance(error, openai.APIStatusError):
        pause = parse_retry_after(error.response.headers)
        codes = [str(value) for value in (error.code, error.type) if value]
        message = str(error)[:_MAX_MATCHED_CHARACTERS]
        return _Report(message, error.status_code, " ".join(codes), pause)
    return None


def _is_transient_report(report: _Report) -> bool:
    if _has_no_quota(report):
        return False
    # An endpoint that asks for a very long pause is as good as down: waiting would block the run.
    if report.pause is not None and report.pause > MAX_PAUSE_SECONDS:
        return False
    # A report without a status says nothing about the request: most are overloads.
    if report.status is None:
        return not _is_too_long(report)
    return report.status in _TRANSIENT_STATUSES or report.status >= 500


def _has_no_quota(report: _Report) -> bool:
    """Whether the account behind the key has nothing left to spend."""
    if report.status == 402 or _NO_QUOTA_CODES & set(report.code.lower().split()):
        return True
    if report.pause is not None or _TRY_AGAIN.search(report.message):
        return False
    return report.status in (400, 403, 429, None) and bool(_NO_QUOTA.search(report.message))


def _is_too_long(report: _Report) -> bool:
    """By the error's code, or by the message of servers that send no code."""
    if _TOO_LONG_CODES & set(report.code.lower().split()):
        return True
    # Some proxies answer with 500 for every error of the server behind them; 413 and 422 are TGI's.
    is_about_request = report.status in (400, 413, 422, 500, None)
    return is_about_request and bool(_TOO_LONG.search(report.message))


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
    report = _read_report(error)
    # Before the general cases: the agent can shorten its messages, but can do nothing about the
    # rest.
    if report is not None and _is_too_long(report):
        return ContextLengthExceeded(f"{base_url}: {message}")
    if report is not None and _has_no_quota(report):
        return ConfigError(
            f"the account of the key in ${key_name} has nothing left to spend at {base_url}: "
            f"{message}; add credit there, or name another endpoint"
        )
    status = report.status if report is not None else None
    if status in (401, 403):
        return ConfigError(f"{base_url} refuses the key in ${key_name}: {message}")
    if status == 404:
        return ConfigError(
            f"{base_url} does not know the model or the path (model, base_url): {message}"
        )
    if report is not None and not _is_transient_report(report):
        return _explain_refusal(report, base_url, message)
    # What the endpoint said needs no name of ours in front.
    reason = message if status is None and report else f"{type(error).__name__}: {message}"
    return InfrastructureError(f"{base_url} failed {attempts} times, last with {reason}")


def _explain_refusal(report: _Report, base_url: str, message: str) -> MedrError:
    """The error for a request that the endpoint will never take."""
    if report.status == 400 and _REFUSED_PARAMETER.search(report.message):
        for parameter, remedy in _PARAMETER_REMEDIES:
            # The first one named is the refused one; the message may go on to name its successor.
            if re.search(rf"\b{parameter}\b", report.message):
                return ConfigError(f"{base_url} refuses {parameter}: {remedy} ({message})")
    return InfrastructureError(f"{base_url} refused the request ({report.status}): {message}")
