"""Classifies failed requests to a language model.

A failure is one that may pass when the same request is sent again, an error in the user's
configuration, an account without money, an error of the model, or an endpoint that is down. What
an endpoint says is read the same way whether it comes with a status of its own or inside a 200.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ModelError
from medr_ray.core.json_text import InvalidJson, parse_json, replace_surrogates
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, CircuitOpen, parse_retry_after

if TYPE_CHECKING:  # it takes most of a second to import, which a model in this process never needs
    import openai

# Statuses below 500 that may pass: time-out, conflict, too early, too many requests.
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_PAYMENT_REQUIRED = 402
_KEY_STATUSES = frozenset({401, 403})
_NOT_FOUND = 404
_TOO_MANY = 429
_UNAVAILABLE = 503
_QUOTED_CHARACTERS = 300  # of an endpoint's message, in an error
_READ_CHARACTERS = 4_000  # of an endpoint's message, in which its words are looked for


def _compile_words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Each line is the words or the code of the endpoints behind it; in the text every run of white
# space is one space.
_TOO_LONG = _compile_words(
    r"context_length_exceeded|context_window_exceeded|contextwindowexceeded",  # OpenAI, litellm
    r"string_above_max_length",  # OpenAI, for one message
    r"maximum context length|max(?:imum)? model len(?:gth)?",  # OpenAI, vLLM, DeepSeek, Mistral
    r"maximum prompt length|maximum input length|maximum sequence length",  # xAI, TensorRT-LLM
    r"exceeds? (?:the )?(?:model'?s? )?(?:maximum |max |available )?context"
    r"(?: (?:length|size|window|limit))",  # Ollama, llama.cpp, Anthropic, OpenAI's Responses
    r"(?:longer|larger|greater) than the (?:model'?s? )?(?:max(?:imum)? )?context",  # sglang
    r"exceed_context_size|context size (?:has been )?exceeded|context (?:length|window) exceeded",
    r"(?:prompt|input|request)(?: is)? too long",  # Anthropic, Ollama, Bedrock
    r"context limit: ",  # Anthropic, for input and max_tokens together
    r"(?:prompt|input)[^.]{0,60} too large (?:for model|to process)",  # Mistral, llama.cpp
    r"inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than",  # TGI, Together
    r"input token count[^.]{0,60}exceeds|exceeds the maximum number of tokens",  # Google
    r"range of input length should be|input token length (?:is )?too long",  # Qwen
    r"exceeded model token limit",  # Moonshot
    r"context shift is disabled",  # llama.cpp, whose context is full
    r"context the overflows|context overflow|reached context length",  # LM Studio
    r"tokens to keep from the initial prompt is greater than the context",  # LM Studio
    r"number of tokens in the prompt cannot exceed",  # Cohere
    r"reduce the length of the (?:messages|input|prompt)|reduce your message size",  # Groq, vLLM
    r"less than max_seq_len|greater than max_seq_len|exceeds? session_len",  # SiliconFlow, LMDeploy
    r"exceed max message tokens",  # Volcengine
    r"prompt tokens? too long|tokens? limit exceeded|exceeds the context window",  # Baidu, MiniMax
    r"(?:输入|上下文|prompt)\s?(?:长度|内容)?[^。]{0,20}(?:超长|过长|超过|超出)",  # in Chinese
)
_QUOTA = _compile_words(
    r"insufficient[_ ](?:quota|balance|credits?|funds|user[_ ]quota)",  # OpenAI, DeepSeek, proxies
    r"exceeded your current quota|exceeded_current_quota",  # OpenAI, Moonshot, Google
    r"billing_hard_limit|billing_not_active|billing hard limit",  # OpenAI
    r"credit balance is too low",  # Anthropic
    r"requires more credits|out of credits|credit limit exceeded",  # OpenRouter, Together
    r"used all available credits|monthly (?:included credits|spending limit)",  # xAI, Hugging Face
    r"spend(?:ing)? (?:limit|cap)[^.]{0,30}(?:reached|exceeded)",
    r"arrearage|account is in good standing|allocationquota|overdue",  # Qwen, Volcengine
    r"free (?:tier|quota)[^.]{0,40} exhausted",  # Qwen
    r"balance is (?:insufficient|not enough|too low)",  # SiliconFlow
    r"reached your (?:specified )?(?:api )?usage limits?",  # Anthropic
    r"budget[_ ](?:has been )?exceeded|exceededbudget",  # litellm
    r"out of call volume quota",  # Azure
    r"余额不足|余额不够|欠费|额度不足|额度已用完|额度已用尽|请充值|资源包",  # Zhipu and others
)
# The words of a quota, but of one that fills again within minutes: Google's limits of rates.
_QUOTA_PER_MINUTE = _compile_words(r"per[_ ]?minute", r"retry in \d", r"retrydelay")
_WRONG_PARAMETER = _compile_words(
    r"unsupported[_ ](?:parameter|value)",  # OpenAI's models that think
    r"(?:parameter|field|argument)s?[^.]{0,60}(?:not supported|not permitted|unsupported)",
    r"extra inputs? (?:are|is) not permitted|extra_forbidden|unrecognized request argument",
    r"is deprecated for this model|unknown (?:parameter|field|name)",
    r"max_tokens.{0,80}(?:supports at most|less than or equal to|maximum (?:value|allowed))",
    r"valid range of max_tokens|range of max_tokens should be",  # DeepSeek, Qwen
    r"property '\w{1,40}' is (?:not supported|unsupported)",  # Groq
    r"response_format[^.]{0,60}(?:unavailable|not (?:available|supported))",  # DeepSeek
)
# Of a status that says nothing about the key: Google, gateways.
_WRONG_KEY = _compile_words(
    r"api[ _]key (?:not valid|(?:is )?(?:invalid|expired))|invalid api[ _]key|api_key_invalid"
)
_UNKNOWN_MODEL = _compile_words(
    r"model_not_found|(?:invalid|unknown) model(?: id| name)?\b",
    r"model[^.]{0,80}(?:does not exist|not found)",
)
_NO_TOOLS = _compile_words(
    r"does not support (?:tools|function)|tools? (?:is|are) not supported",  # Ollama
    r"tool choice requires|support tool use",  # vLLM, OpenRouter
)
_OVERLOADED = _compile_words(
    r"overloaded|rate.?limit|too many requests|try again|temporarily|timed? ?out|busy|unavailable"
)
_FILTERED = _compile_words(
    r"content_filter|content management policy|content_policy|data_inspection_failed"
    r"|inappropriate content|responsibleai"
)
# Fields in which endpoints put a message, and a code.
_MESSAGE_FIELDS = ("message", "msg", "error_msg", "status_msg", "detail", "error", "errmsg")
_CODE_FIELDS = ("code", "status", "status_code", "type", "error_code", "error", "detail")


class ContextLengthExceeded(ModelError):
    """The messages and the requested tokens do not fit into the model's context."""


class UnreadableReply(Exception):
    """The endpoint answered with something that is not a chat completion."""


class ReportedError(Exception):
    """A failure that the endpoint reports inside a reply of status 200. ``status`` is the code that
    it gives, where that is an HTTP status, else None."""

    def __init__(self, message: str, status: int | None = None, codes: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are unpickled from their message alone.
        return ReportedError, (str(self), self.status, self.codes)


@dataclass(frozen=True)
class _Report:
    """What an endpoint said about a failure: its status, its message and all its words, in one
    line, and the seconds to wait, where it says so."""

    status: int | None
    message: str
    words: str
    pause: float | None = None

    @property
    def is_too_long(self) -> bool:
        if self.status in _KEY_STATUSES:
            return False
        if self.status == _TOO_MANY:  # of tokens a minute, unless one request has more than that
            return "request too large" in self.words.lower()
        return bool(_TOO_LONG.search(self.words)) or self.status == 413

    @property
    def is_unpaid(self) -> bool:
        if self.status == _PAYMENT_REQUIRED:
            return True
        return bool(_QUOTA.search(self.words)) and not _QUOTA_PER_MINUTE.search(self.words)

    @property
    def is_final(self) -> bool:
        """Whether its words say that no other try will succeed, whatever the status."""
        return self.is_unpaid or self.is_too_long


def find_reported_error(body: Mapping[str, Any]) -> ReportedError | None:
    """The failure that a JSON object reports, None where it reports none."""
    error = body.get("error") or body.get("errors")
    if not error and body.get("object") == "error":  # vLLM
        error = body
    if not error and not body.get("choices"):
        # Each of some providers' own envelopes: MiniMax, Qwen, Baidu, FastAPI.
        base = body.get("base_resp")
        error = base if isinstance(base, Mapping) and base.get("status_code") else None
        if error is None and any(isinstance(body.get(name), str) for name in _MESSAGE_FIELDS):
            error = body
    if not error:
        return None
    texts = list(_iterate_texts(error, _MESSAGE_FIELDS))
    codes = list(_iterate_texts(error, _CODE_FIELDS))
    message = "; ".join(dict.fromkeys(texts or codes)) or "an error without a message"
    status = next((int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)), None)
    return ReportedError(replace_surrogates(message), status, " ".join(codes))


def _iterate_texts(value: Any, names: Iterable[str]) -> Iterable[str]:
    """The texts and numbers under these names, in objects and lists of any form."""
    if isinstance(value, list):
        for member in value:
            yield from _iterate_texts(member, names)
    elif isinstance(value, Mapping):
        for name in names:
            yield from _iterate_texts(value.get(name), names)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return not _read_report(error).is_final and _is_transient_status(error)
    if isinstance(error, ReportedError):
        return not _read_report(error).is_final and _may_pass(error)
    return isinstance(
        error, CircuitOpen | openai.APIConnectionError | UnreadableReply | TimeoutError
    )


def is_refused_for_rate(error: BaseException) -> bool:
    """Whether the endpoint asks to send less for a while: a rate limit, and not an account that has
    nothing left, which no pause of other callers would mend."""
    import openai

    if not isinstance(error, openai.APIStatusError | ReportedError):
        return False
    report = _read_report(error)
    if report.is_final:
        return False
    has_pause = report.pause is not None
    return report.status == _TOO_MANY or (report.status == _UNAVAILABLE and has_pause)


def _is_transient_status(error: "openai.APIStatusError") -> bool:
    # An endpoint that asks for a very long pause is as good as down: waiting would block the run.
    pause = parse_retry_after(error.response.headers)
    if pause is not None and pause > MAX_PAUSE_SECONDS:
        return False
    return error.status_code in _TRANSIENT_STATUSES or error.status_code >= 500


def _may_pass(error: ReportedError) -> bool:
    """By the code that the endpoint gives. Without one it may pass, as any unreadable reply."""
    if error.status is None or error.status in _TRANSIENT_STATUSES or error.status >= 500:
        return True
    return bool(_OVERLOADED.search(_read_report(error).words))


def _read_report(error: "openai.APIStatusError | ReportedError") -> _Report:
    if isinstance(error, ReportedError):
        return _Report(error.status, str(error), _to_line(f"{error} {error.codes}"))
    pause = parse_retry_after(error.response.headers)
    body = error.response.content
    try:
        value = parse_json(body, "the reply", finite=False, whole_characters=False)
    except InvalidJson:
        words = _to_line(body[:_READ_CHARACTERS].decode(errors="replace"))
        return _Report(error.status_code, str(error), words, pause)
    # Only the fields of the message: some endpoints quote the whole request beside it.
    reported = find_reported_error({"error": value})
    if reported is None:
        return _Report(error.status_code, str(error), "", pause)
    words = _to_line(f"{reported} {reported.codes}")
    return _Report(error.status_code, f"{error.status_code} {reported}", words, pause)


def _to_line(text: str) -> str:
    return " ".join(text[:_READ_CHARACTERS].split())


def explain_failure(
    error: BaseException,
    base_url: str,
    key_name: str,
    secret: str | Sequence[str],
    attempts: int,
) -> MedrError:
    """The error to raise for a request that failed for good.

    ``key_name`` is the environment variable of the key. The key itself (``secret``, or several
    secrets) is removed from whatever the endpoint said, for some endpoints quote it.
    """
    import openai

    report = None
    if isinstance(error, openai.APIStatusError | ReportedError):
        report = _read_report(error)
    message = " ".join((report.message if report is not None else str(error)).split())
    for key in filter(None, [secret] if isinstance(secret, str) else secret):
        message = message.replace(key, "[key]")
    message = message[:_QUOTED_CHARACTERS]
    if report is not None:
        named = _explain_report(report, base_url, key_name, message)
        if named is not None:
            return named
        if not is_transient(error):
            return InfrastructureError(
                f"{base_url} refused the request ({report.status}): {message}"
            )
    return InfrastructureError(
        f"{base_url} failed {attempts} times, last with {type(error).__name__}: {message}"
    )


def _explain_report(
    report: _Report, base_url: str, key_name: str, message: str
) -> MedrError | None:
    """The error of a report whose reason is understood, else None."""
    # Money first: some providers say it with the status of a refused key or of too many requests.
    if report.is_unpaid:
        return ConfigError(
            f"the account of the key in ${key_name} has nothing left to spend at {base_url}: "
            f"{message}; add credit there, or name another endpoint"
        )
    if report.is_too_long:
        return ContextLengthExceeded(f"{base_url}: {message}")
    is_refused = report.status in (400, 422)
    if report.status in _KEY_STATUSES or (is_refused and _WRONG_KEY.search(report.words)):
        return ConfigError(f"{base_url} refuses the key in ${key_name}: {message}")
    if (is_refused or report.status == _NOT_FOUND) and _NO_TOOLS.search(report.words):
        return ConfigError(
            f"{base_url} takes no native tool calls (agent.tool_calls: text, or start the server "
            f"with a parser for them): {message}"
        )
    is_unknown = is_refused and _UNKNOWN_MODEL.search(report.words)
    if report.status == _NOT_FOUND or is_unknown:
        return ConfigError(
            f"{base_url} does not know the model or the path (model, base_url): {message}"
        )
    if is_refused and _FILTERED.search(report.words):
        return InfrastructureError(f"{base_url} filtered the request by its content: {message}")
    if is_refused and _WRONG_PARAMETER.search(report.words):
        return ConfigError(
            f"{base_url} refuses a parameter of the request (what may help: max_tokens_parameter: "
            f"max_completion_tokens, a lower max_tokens, temperature: null, structured_replies: "
            f"false, extra_body): {message}"
        )
    return None
