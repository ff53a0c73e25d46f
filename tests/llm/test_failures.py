"""What endpoints say about failures: known by the words and codes of many providers."""

import json
from typing import Any

import httpx
import openai
import pytest

from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError
from medr_ray.llm.failures import (
    ContextLengthExceeded,
    ReportedError,
    explain_failure,
    find_reported_error,
    is_transient,
)

REQUEST = httpx.Request("POST", "http://x/v1/chat/completions")


def status_error(status: int, body: Any, **headers: str) -> openai.APIStatusError:
    """The error that the client of the ``openai`` package raises for such an answer."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    response = httpx.Response(status, text=text, headers=headers, request=REQUEST)
    client = openai.OpenAI(api_key="k", base_url="http://x/v1")
    return client._make_status_error_from_response(response)


def explain(error: BaseException) -> MedrError:
    return explain_failure(error, "http://x/v1", "MEDR_KEY", "sk-secret", 5)


def message(text: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": text, **fields}}


TOO_LONG = [
    ("openai", 400, message("This model's maximum context length is 8192 tokens. However, your "
                            "messages resulted in 9000 tokens.", code="context_length_exceeded")),
    ("openai code", 400, message("Too many.", code="context_length_exceeded")),
    ("openai responses", 400, message("Your input exceeds the context window of this model.")),
    ("openai one message", 400, message("Invalid 'messages[0].content': string too long.",
                                        code="string_above_max_length")),
    ("azure", 400, message("This model's maximum context length is 4096 tokens.", type=None)),
    ("vllm", 400, {"object": "error", "message": "This model's maximum context length is 2048 "
                   "tokens. However, you requested 3000.", "code": 400}),
    ("vllm max_tokens", 400, message("'max_tokens' or 'max_completion_tokens' is too large: 900. "
                                     "This model's maximum context length is 1024 tokens.")),
    ("vllm engine", 400, message("The decoder prompt (length 5000) is longer than the maximum "
                                 "model length of 4096.")),
    ("sglang", 400, {"object": "error", "message": "The input (5000 tokens) is longer than the "
                     "model's context length (4096 tokens).", "code": 400}),
    ("sglang total", 400, message("Requested token count exceeds the model's maximum context "
                                  "length of 4096 tokens.")),
    ("anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error",
                        "message": "prompt is too long: 210000 tokens > 200000 maximum"}}),
    ("anthropic sum", 400, message("input length and `max_tokens` exceed context limit: 190000 + "
                                   "20000 > 200000")),
    ("anthropic size", 413, message("Request exceeds the maximum size", type="request_too_large")),
    ("llama.cpp", 400, message("the request exceeds the available context size, try increasing it",
                               type="exceed_context_size_error")),
    ("llama.cpp tokens", 400, message("request (5000 tokens) exceeds the available context size "
                                      "(4096 tokens), try increasing it")),
    ("llama.cpp batch", 500, message("input is too large to process. increase the physical batch "
                                     "size")),
    ("tgi", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= "
                  "4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`"}),
    ("litellm", 400, message("litellm.ContextWindowExceededError: OpenAIException - too many")),
    ("ollama", 400, {"error": "the input length exceeds the context length"}),
    ("ollama chat", 500, message("prompt too long; exceeded max context length by 12 tokens")),
    ("google", 400, [message("The input token count (1200000) exceeds the maximum number of tokens "
                             "allowed (1048576).", status="INVALID_ARGUMENT")]),
    ("mistral", 400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft "
                      "tokens, too large for model with 32768 maximum context length"}),
    ("deepseek", 400, message("This model's maximum context length is 65536 tokens.",
                              type="invalid_request_error")),
    ("qwen", 400, {"code": "InvalidParameter", "message": "Range of input length should be "
                   "[1, 30720]"}),
    ("lm studio", 400, {"error": "Trying to keep the first 5000 tokens when context the overflows. "
                        "However, the model is loaded with context length of only 4096 tokens"}),
    ("lm studio keep", 400, {"error": "The number of tokens to keep from the initial prompt is "
                             "greater than the context length."}),
    ("groq", 400, message("Please reduce the length of the messages or completion.")),
    ("groq minute", 413, message("Request too large for model on tokens per minute (TPM): Limit "
                                 "6000, Requested 7000, please reduce your message size")),
    ("openai minute", 429, message("Request too large for gpt-4 on tokens per min (TPM): Limit "
                                   "10000, Requested 20000.", code="rate_limit_exceeded")),
    ("bedrock", 400, {"message": "Input is too long for requested model."}),
    ("xai", 400, {"error": "This model's maximum prompt length is 131072 but the request contains "
                  "537812 tokens."}),
    ("moonshot", 400, message("Invalid request: Your request exceeded model token limit: 8192")),
    ("zhipu", 400, message("Prompt 超长", code="1261")),
    ("chinese", 400, message("输入内容长度超过模型最大限制")),
    ("llama.cpp full", 500, message("context shift is disabled")),
    ("cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot "
                     "exceed 4081"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body"), [row[1:] for row in TOO_LONG], ids=[row[0] for row in TOO_LONG]
)
def test_a_dialogue_that_is_too_long_is_known_by_every_providers_words(
    status: int, body: Any
) -> None:
    error = status_error(status, body)
    assert not is_transient(error)
    assert isinstance(explain(error), ContextLengthExceeded)


UNPAID = [
    ("openai", 429, message("You exceeded your current quota, please check your plan and billing "
                            "details.", type="insufficient_quota", code="insufficient_quota")),
    ("openai code", 429, message("no", code="insufficient_quota")),
    ("openai limit", 400, message("Billing hard limit has been reached",
                                  code="billing_hard_limit_reached")),
    ("anthropic", 400, message("Your credit balance is too low to access the Anthropic API.")),
    ("deepseek", 402, message("Insufficient Balance")),
    ("openrouter", 402, message("This request requires more credits, or fewer max_tokens.")),
    ("hugging face", 402, {"error": "You have exceeded your monthly included credits"}),
    ("moonshot", 429, message("Your account is suspended, please check your plan and billing "
                              "details", type="exceeded_current_quota_error")),
    ("zhipu", 429, message("余额不足或无可用资源包,请充值。", code="1113")),
    ("qwen", 400, {"code": "Arrearage", "message": "Access denied, please make sure your account "
                   "is in good standing."}),
    ("qwen free", 403, message("The free tier of the model has been exhausted.",
                               code="AllocationQuota.FreeTierOnly")),
    ("siliconflow", 403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}),
    ("volcengine", 403, message("The request failed because your account has an overdue balance.",
                                code="AccountOverdueError")),
    ("xai", 429, {"error": "Your team has used all available credits or reached its monthly "
                  "spending limit."}),
    ("anthropic limit", 400, message("You have reached your specified API usage limits. You will "
                                     "regain access on 2026-12-01.")),
    ("litellm", 400, message("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0",
                             type="budget_exceeded")),
    ("azure", 403, message("Out of call volume quota. Quota will be replenished in 12 days.")),
    ("one-api", 403, message("用户额度不足", code="insufficient_user_quota")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body"), [row[1:] for row in UNPAID], ids=[row[0] for row in UNPAID]
)
def test_an_account_without_money_is_not_asked_again(status: int, body: Any) -> None:
    error = status_error(status, body)
    explained = explain(error)
    assert not is_transient(error)
    assert isinstance(explained, ConfigError)
    assert "nothing left to spend" in str(explained)
    assert "MEDR_KEY" in str(explained)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, message("Rate limit reached for gpt-4 in organization on tokens per min.",
                      code="rate_limit_exceeded")),
        (429, [message("You exceeded your current quota, please check your plan and billing "
                       "details. Please retry in 36.5s.", status="RESOURCE_EXHAUSTED")]),
        (429, message("您当前使用该API的并发数过高，请降低并发", code="1302")),
        (429, message("free-models-per-day exceeded")),
        (429, "slow down"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (503, message("The engine is currently overloaded, please try again later")),
        (500, "<html>oops</html>"),
        (408, ""),
        (425, "too early"),
    ],
)  # fmt: skip
def test_what_passes_is_tried_again(status: int, body: Any) -> None:
    error = status_error(status, body)
    assert is_transient(error)
    assert type(explain(error)) is InfrastructureError


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (401, message("Incorrect API key: sk-secret"), ConfigError, "refuses the key in $MEDR_KEY"),
        (403, message("denied"), ConfigError, "refuses the key"),
        (404, message("The model `x` does not exist"), ConfigError, "the model or the path"),
        (404, "<html>404</html>", ConfigError, "the model or the path"),
        (400, [message("API key not valid. Please pass a valid API key.")], ConfigError,
         "refuses the key in $MEDR_KEY"),
        (400, message("invalid model ID"), ConfigError, "the model or the path"),
        (400, message("litellm.BadRequestError: model=x does not exist"), ConfigError,
         "the model or the path"),
        (400, message('"auto" tool choice requires --enable-auto-tool-choice to be set'),
         ConfigError, "agent.tool_calls: text"),
        (400, message("registry.ollama.ai/library/m does not support tools"), ConfigError,
         "agent.tool_calls: text"),
        (404, message("No endpoints found that support tool use."), ConfigError,
         "agent.tool_calls: text"),
        (400, message("property 'seed' is unsupported"), ConfigError, "extra_body"),
        (400, message("This response_format type is unavailable now"), ConfigError,
         "structured_replies: false"),
        (400, message("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                      "'max_completion_tokens' instead.", code="unsupported_parameter"),
         ConfigError, "max_tokens_parameter"),
        (400, message("Unsupported value: 'temperature' does not support 0 with this model.",
                      code="unsupported_value"), ConfigError, "temperature: null"),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                           "msg": "Extra inputs are not permitted", "input": 0}]},
         ConfigError, "extra_body"),
        (400, message("max_tokens is too large: 9000. This model supports at most 4096 completion "
                      "tokens"), ConfigError, "max_tokens"),
        (400, message("The response was filtered", code="content_filter"), InfrastructureError,
         "by its content"),
        (400, message("bad image"), InfrastructureError, "refused the request (400)"),
    ],
)  # fmt: skip
def test_other_refusals_name_what_to_change_and_never_the_key(
    status: int, body: Any, kind: type[MedrError], says: str
) -> None:
    error = status_error(status, body)
    explained = explain(error)
    assert not is_transient(error)
    assert type(explained) is kind
    assert says in str(explained)
    assert "sk-secret" not in str(explained)


def test_words_of_the_request_that_an_endpoint_quotes_decide_nothing() -> None:
    quoted = "the patient's account was overdue; prompt is too long"
    body = {"detail": [{"type": "missing", "msg": "Field required", "input": quoted}]}
    assert type(explain(status_error(422, body))) is InfrastructureError


@pytest.mark.parametrize(
    ("body", "words", "status"),
    [
        ({"choices": None, "error": {"message": "exceeded", "code": 429}}, "exceeded", 429),
        ({"error": "model is loading"}, "model is loading", None),
        ({"error": {"code": "500", "message": "internal"}}, "internal", 500),
        ({"object": "error", "message": "no such model", "code": 404}, "no such model", 404),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "O"}}, "O", None),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
         "insufficient balance", None),
        ({"error_code": 17, "error_msg": "daily limit"}, "daily limit", None),
        ({"detail": "Not Found"}, "Not Found", None),
        ({"errors": [{"message": "a"}, {"message": "b"}]}, "a; b", None),
        ({"error": True}, "an error without a message", None),
        ({"error": {"message": {"message": ["deep"]}}}, "deep", None),
    ],
)  # fmt: skip
def test_an_error_inside_a_200_is_read_in_the_form_of_many_providers(
    body: dict[str, Any], words: str, status: int | None
) -> None:
    reported = find_reported_error(body)
    assert reported is not None
    assert (str(reported), reported.status) == (words, status)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [1], "message": "hello"}])
def test_a_body_without_an_error_reports_none(body: dict[str, Any]) -> None:
    assert find_reported_error(body) is None


def test_an_error_inside_a_200_is_named_like_one_with_a_status() -> None:
    quota = ReportedError("Insufficient Balance", None)
    assert not is_transient(quota)
    assert "nothing left to spend" in str(explain(quota))
    too_long = ReportedError("prompt is too long: 9 > 8", 400)
    assert isinstance(explain(too_long), ContextLengthExceeded)
    assert is_transient(ReportedError("whatever", None))
    assert is_transient(ReportedError("overloaded", 400))
    assert not is_transient(ReportedError("bad field", 400))
    assert "refuses the key" in str(explain(ReportedError("invalid key", 401)))
