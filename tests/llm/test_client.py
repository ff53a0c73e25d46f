"""The chat client against an endpoint that misbehaves."""

import asyncio
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pytest_httpserver import HTTPServer
from support.misbehaving_endpoint import Clock
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ModelError
from medr_ray.governor.budget import BudgetExceeded, Spend
from medr_ray.llm.cache import ResponseCache
from medr_ray.llm.client import ChatClient
from medr_ray.llm.completions import ChatResult, FunctionCall
from medr_ray.llm.failures import ContextLengthExceeded

from .conftest import SECRET, Make, Script, completion

_ASK = [{"role": "user", "content": "What is the mode of inheritance of Marfan syndrome?"}]


class _Verdict(BaseModel):
    correct: bool
    reason: str


def _complete(client: ChatClient, **options: Any) -> str:
    return asyncio.run(client.complete(_ASK, **options)).text


def test_a_completion_carries_text_usage_and_the_key_of_the_environment(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("Autosomal dominant"))
    result = asyncio.run(
        make().complete(_ASK, temperature=0.5, max_tokens=9, stop=["</answer>"], seed=4)
    )
    assert (result.text, result.prompt_tokens, result.output_tokens, result.finish_reason) == (
        "Autosomal dominant",
        7,
        3,
        "stop",
    )
    assert script.bodies == [
        {
            "model": "tiny",
            "messages": _ASK,
            "temperature": 0.5,
            "max_tokens": 9,
            "stop": ["</answer>"],
            "seed": 4,
        }
    ]
    assert script.keys == [f"Bearer {SECRET}"]


@pytest.mark.parametrize(
    "bad",
    [
        Response("slow down", status=429, headers={"Retry-After": "0.01"}),
        Response("oops", status=500),
        Response("bad gateway", status=502),
        Response('{"choices": [', content_type="application/json"),
        Response("<html>maintenance</html>", content_type="text/html"),
        Response('{"result": "ok"}', content_type="application/json"),
        Response('{"choices": []}', content_type="application/json"),
    ],
)
def test_one_bad_reply_is_tried_again(httpserver: HTTPServer, make: Make, bad: Response) -> None:
    script = Script(httpserver, bad, completion("yes"))
    assert _complete(make()) == "yes"
    assert len(script.bodies) == 2


def test_an_endpoint_that_stays_down_is_an_infrastructure_error_after_the_retries(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, Response("oops", status=503))
    with pytest.raises(InfrastructureError, match="failed 3 times"):
        _complete(make(retries=2))
    assert len(script.bodies) == 3


def test_nobody_listening_is_an_infrastructure_error(make: Make) -> None:
    client = ChatClient(EndpointConfig(base_url="http://127.0.0.1:9/v1", model="tiny", retries=1))
    with pytest.raises(InfrastructureError, match=r"127\.0\.0\.1:9"):
        _complete(client)


def test_a_hanging_endpoint_ends_at_the_deadline(httpserver: HTTPServer, make: Make) -> None:
    over = threading.Event()

    def hang(_: Request) -> Response:
        over.wait(30)
        return Response("too late")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(hang)
    try:
        with pytest.raises(InfrastructureError, match="failed 1 times"):
            _complete(make(timeout_seconds=0.2, retries=0))
    finally:
        over.set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_repeated_and_never_shows_the_key(
    httpserver: HTTPServer, make: Make, status: int
) -> None:
    script = Script(httpserver, Response(f"no: Bearer {SECRET} is wrong", status=status))
    with pytest.raises(MedrError) as caught:
        _complete(make())
    assert len(script.bodies) == 1
    assert isinstance(
        caught.value, ConfigError if status in (401, 403, 404) else InfrastructureError
    )
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_retry_after_pauses_every_caller_of_the_endpoint(
    httpserver: HTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    script = Script(
        httpserver, Response("slow", status=429, headers={"Retry-After": "7"}), completion("yes")
    )
    assert _complete(make()) == "yes"
    assert _complete(make(), seed=2) == "yes"
    assert len(script.bodies) == 3
    assert min(clock.granted[1:]) >= 7


def test_an_endpoint_that_asks_for_an_hour_is_down(httpserver: HTTPServer, make: Make) -> None:
    script = Script(httpserver, Response("slow", status=429, headers={"Retry-After": "3600"}))
    for tries in (1, 2):  # by callers that know better: nobody waits for an hour in silence
        with pytest.raises(InfrastructureError):
            asyncio.run(asyncio.wait_for(make().complete(_ASK), 20))
        assert len(script.bodies) == tries


def test_the_same_request_is_sent_once_even_by_another_client(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("one"), completion("two"))
    assert [
        _complete(make()),
        _complete(make()),
        _complete(make(), seed=1),
        _complete(make(), seed=1),
    ] == ["one", "one", "two", "two"]
    assert len(script.bodies) == 2


def test_samples_without_a_seed_are_never_served_from_the_cache(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("one"), completion("two"))
    client = make()
    assert [_complete(client, temperature=1.0), _complete(client, temperature=1.0)] == [
        "one",
        "two",
    ]
    assert len(script.bodies) == 2


def test_a_seed_that_is_not_sent_still_tells_samples_apart(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("first"), completion("second"))
    client = make(send_seed=False)
    replies = [_complete(client, temperature=1.0, seed=seed) for seed in (1, 2, 1)]
    assert replies == ["first", "second", "first"]
    assert ["seed" in body for body in script.bodies] == [False, False]


def test_a_key_may_be_in_memory_alone(httpserver: HTTPServer) -> None:
    script = Script(httpserver, completion("yes"))
    endpoint = EndpointConfig(base_url=httpserver.url_for("/v1"), model="tiny")
    assert _complete(ChatClient(endpoint, secret="in memory")) == "yes"
    assert script.keys == ["Bearer in memory"]


def test_the_cache_can_be_switched_off(httpserver: HTTPServer, make: Make, tmp_path: Path) -> None:
    script = Script(httpserver, completion("one"))
    client = make(cache=False)
    _complete(client)
    _complete(client)
    assert len(script.bodies) == 2
    assert list(tmp_path.rglob("*.sqlite")) == []


def test_no_file_of_the_run_holds_the_key(
    httpserver: HTTPServer, make: Make, tmp_path: Path
) -> None:
    Script(httpserver, completion("one"))
    _complete(make())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "responses.sqlite" for path in files)
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


def test_a_budget_stops_before_the_request_and_outlives_a_restart(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("one", prompt_tokens=60, output_tokens=40))
    settings = {"budget_tokens": 240, "max_tokens": 50}
    _complete(make(**settings), seed=1)
    _complete(make(**settings), seed=2)
    with pytest.raises(BudgetExceeded, match="200 tokens are spent"):
        _complete(make(**settings), seed=3)
    assert len(script.bodies) == 2
    assert _complete(make(**settings), seed=1) == "one", "what was answered stays"


def test_a_budget_in_dollars_stops_before_the_request_and_outlives_a_restart(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("one", prompt_tokens=100_000, output_tokens=40_000))
    settings = {
        "usd_per_million_input": 2.0,
        "usd_per_million_output": 10.0,
        "budget_usd": 1.0,
        "max_tokens": 50_000,
    }
    first = asyncio.run(make(**settings).complete(_ASK, seed=1))
    assert first.usd == pytest.approx(0.6)
    with pytest.raises(
        BudgetExceeded, match=r"= 1: 0\.6000 US dollars are spent.*next request costs up to 0\.5"
    ):
        _complete(make(**settings), seed=2)
    assert len(script.bodies) == 1
    assert asyncio.run(make(**settings).complete(_ASK, seed=1)) == first, "what was answered stays"


def test_a_file_of_answers_that_knows_no_prices_is_read_on(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "responses.sqlite")
    db.executescript(
        "CREATE TABLE usage (id INTEGER PRIMARY KEY CHECK (id = 0), tokens INTEGER NOT NULL, "
        "budget TEXT NOT NULL); INSERT INTO usage VALUES (0, 70, 'b')"
    )
    db.close()
    store = ResponseCache(tmp_path)
    store.add_spend(Spend(5, 0.25))
    assert (store.total_spend(), store.budget_name()) == (Spend(75, 0.25), "b")


@pytest.mark.parametrize("settings", [{"budget_usd": 1.0}, {"usd_per_million_input": 1.0}])
def test_prices_come_together_and_before_a_budget(settings: dict[str, float]) -> None:
    with pytest.raises(
        ValueError, match="set both usd_per_million_input and usd_per_million_output"
    ):
        EndpointConfig(model="m", **settings)


def test_native_tool_calls_are_asked_for_and_come_back_as_they_were_written(
    httpserver: HTTPServer, make: Make
) -> None:
    tool = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
    answer = completion("Let me look.")
    answer["choices"][0]["finish_reason"] = "tool_calls"
    answer["choices"][0]["message"]["tool_calls"] = [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "search", "arguments": '{"query": "Marfan'},
        }
    ]
    script = Script(httpserver, answer)
    result, cached = [asyncio.run(make().complete(_ASK, tools=[tool])) for _ in range(2)]
    assert script.bodies[0]["tools"] == [tool]
    assert result.tool_calls == (FunctionCall("c1", "search", '{"query": "Marfan'),)
    assert (result.text, result.finish_reason, result.usd) == ("Let me look.", "tool_calls", None)
    assert (cached, len(script.bodies)) == (result, 1)
    messages = [
        *_ASK,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": answer["choices"][0]["message"]["tool_calls"],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "nothing found"},
    ]
    assert asyncio.run(make().complete(messages, tools=[tool])).text == "Let me look."
    assert script.bodies[1]["messages"] == messages


def test_an_endpoint_that_is_left_alone_is_asked_again_when_its_time_has_come(
    httpserver: HTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    script = Script(httpserver, *[Response("oops", status=500)] * 10, completion("yes"))
    assert _complete(make(retries=11)) == "yes"
    assert len(script.bodies) == 11


def test_no_more_requests_run_at_once_than_allowed() -> None:
    running, peak, state = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=20)

    def answer(_: Request) -> Response:
        nonlocal running, peak
        with state:
            running += 1
            peak = max(peak, running)
        together.wait()  # passes only when three requests are in flight
        with state:
            running -= 1
        return Response(json.dumps(completion("yes")), content_type="application/json")

    async def complete_all(client: ChatClient) -> None:
        await asyncio.gather(*(client.complete(_ASK, seed=n) for n in range(12)))

    with HTTPServer(threaded=True) as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(answer)
        asyncio.run(
            complete_all(
                ChatClient(
                    EndpointConfig(
                        base_url=server.url_for("/v1"),
                        model="tiny",
                        concurrency=3,
                        retries=0,
                        requests_per_minute=1e6,
                    )
                )
            )
        )
    assert peak == 3


@pytest.mark.parametrize(
    "reply",
    [
        '{"correct": true, "reason": "same"}',
        '<think>{"correct": false}</think> Sure: ```json\n{"correct": true, "reason": "same"}\n```',
        'The verdict is {"correct": true, "reason": "same"}, as asked.',
    ],
)
def test_json_is_read_out_of_what_models_write_around_it(
    httpserver: HTTPServer, make: Make, reply: str
) -> None:
    Script(httpserver, completion(reply))
    assert asyncio.run(make().complete_json(_ASK, _Verdict)) == _Verdict(
        correct=True, reason="same"
    )


def test_a_wrong_schema_is_asked_for_once_more_with_the_error(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(
        httpserver,
        completion('{"correct": "perhaps"}'),
        completion('{"correct": false, "reason": "no"}'),
    )
    assert asyncio.run(make().complete_json(_ASK, _Verdict)).correct is False
    complaint = script.bodies[1]["messages"][-1]["content"]
    assert "correct" in complaint
    assert "reason" in complaint


def test_a_second_wrong_reply_is_the_models_error(httpserver: HTTPServer, make: Make) -> None:
    script = Script(httpserver, completion("I cannot say."))
    with pytest.raises(ModelError, match="no JSON"):
        asyncio.run(make().complete_json(_ASK, _Verdict))
    assert len(script.bodies) == 2


def _answer(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A completion whose message has these fields."""
    body = completion("")
    body["choices"][0]["message"] = {"role": "assistant", **message}
    return {**body, **fields}


def _result(httpserver: HTTPServer, make: Make, body: Any) -> ChatResult:
    Script(httpserver, body)
    return asyncio.run(make(cache=False, retries=0).complete(_ASK))


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<answer>FBN1</answer>", "reasoning_content": "It is Marfan."},
        {"content": "<answer>FBN1</answer>", "reasoning": "It is Marfan."},
        {
            "content": "<answer>FBN1</answer>",
            "reasoning_details": [{"type": "reasoning.text", "text": "It is Marfan."}],
        },
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "It is Marfan."}]},
                {"type": "text", "text": "<answer>FBN1</answer>"},
            ]
        },
        {
            "content": [
                {"type": "reasoning", "text": "It is Marfan."},
                {"type": "text", "text": "<answer>"},
                {"type": "text", "text": "FBN1</answer>"},
            ]
        },
    ],
)
def test_a_thought_beside_the_text_is_kept_apart_from_it(
    httpserver: HTTPServer, make: Make, message: dict[str, Any]
) -> None:
    result = _result(httpserver, make, _answer(message))
    assert (result.text, result.reasoning) == ("<answer>FBN1</answer>", "It is Marfan.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"query": "x"}, '{"query": "x"}'),
        ('{"query": "x"}', '{"query": "x"}'),
        (None, ""),
        ("", ""),
    ],
)
def test_native_arguments_may_be_an_object_text_or_nothing(
    httpserver: HTTPServer, make: Make, arguments: Any, expected: str
) -> None:
    call = {"id": 7, "type": "function", "function": {"name": "search", "arguments": arguments}}
    result = _result(httpserver, make, _answer({"content": None, "tool_calls": [call]}))
    assert result.tool_calls == (FunctionCall("7", "search", expected),)
    assert result.text == ""


def test_a_call_in_the_field_of_earlier_servers_is_a_call(
    httpserver: HTTPServer, make: Make
) -> None:
    message = {"content": None, "function_call": {"name": "search", "arguments": "{}"}}
    result = _result(httpserver, make, _answer(message))
    assert result.tool_calls == (FunctionCall("", "search", "{}"),)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        [],
        {"prompt_tokens": "7", "completion_tokens": None},
        {"prompt_tokens": -1, "completion_tokens": [3]},
        {"prompt_tokens": True, "completion_tokens": 1e300},
    ],
)
def test_usage_of_any_type_is_counted_or_estimated(
    httpserver: HTTPServer, make: Make, usage: Any
) -> None:
    result = _result(httpserver, make, _answer({"content": "yes"}, usage=usage))
    assert result.text == "yes"
    assert 0 < result.prompt_tokens < 100
    assert 0 < result.output_tokens < 100


def test_half_a_character_becomes_a_replacement_character(
    httpserver: HTTPServer, make: Make
) -> None:
    body = json.dumps(_answer({"content": "@"})).replace("@", "a\\ud83d")
    result = _result(httpserver, make, Response(body, content_type="application/json"))
    assert result.text == "a\ufffd"


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"choices": ' + "9" * 5000 + "}",
        '{"choices": "none"}',
        '{"choices": {"0": 1}}',
        '{"choices": [7]}',
        '{"choices": [{"message": "hello"}]}',
        '{"choices": [{"message": {"content": 42}}]}',
        '{"choices": [{"message": {"content": true}}]}',
        '{"choices": [{"message": {"content": "x", "tool_calls": [{"function": {"name": 3}}]}}]}',
        "[1, 2]",
        "null",
        '"text"',
        "",
        "data: {}\n\n",
        "\ufeff{",
    ],
)
def test_an_odd_body_is_a_named_failure_and_is_not_cached(
    httpserver: HTTPServer, make: Make, tmp_path: Path, body: str
) -> None:
    Script(httpserver, Response(body, content_type="application/json"), completion("yes"))
    with pytest.raises(InfrastructureError, match="failed 1 times"):
        _complete(make(retries=0))
    assert _complete(make(retries=0)) == "yes"


def test_a_page_of_a_proxy_is_shown_as_what_it_is(httpserver: HTTPServer, make: Make) -> None:
    Script(httpserver, Response("<html>Sign in</html>", content_type="text/html"))
    with pytest.raises(InfrastructureError, match="a page and no JSON: '<html>Sign in</html>'"):
        _complete(make(retries=0))


# --- failures in the words of many providers --------------------------------------------


def _error(status: int, message: str, **fields: Any) -> Response:
    body = {"error": {"message": message, **fields}}
    return Response(json.dumps(body), status=status, content_type="application/json")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000."),
        (400, "The input (40000 tokens) is longer than the model's context length (32768 tokens)."),
        (400, "Requested token count exceeds the model's maximum context length of 4096 tokens."),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
        (400, "the request exceeds the available context size. try increasing the context size"),
        (400, "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException"),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"),
        (400, "The input token count (1300000) exceeds the maximum number of tokens allowed"),
        (400, "Prompt has 40000 tokens, too large for model with 32768 maximum context length"),
        (400, "Range of input length should be [1, 30720]"),
        (400, "Input is too long for requested model."),
        (400, "Please reduce the length of the messages or completion."),
        (400, "Invalid request: Your request exceeded model token limit: 8192"),
        (400, "输入内容过长，超过模型上下文长度限制"),
        (400, "Trying to keep the first 9000 tokens when context the overflows. However, the model "
              "is loaded with context length of only 4096 tokens, which is not enough"),
        (500, "input (9000 tokens) is larger than the max context size (4096 tokens). skipping"),
        (413, "Request too large: prompt exceeds the context window"),
    ],
)  # fmt: skip
def test_a_dialogue_that_is_too_long_is_known_in_everybodys_words(
    httpserver: HTTPServer, make: Make, status: int, message: str
) -> None:
    Script(httpserver, _error(status, message))
    with pytest.raises(ContextLengthExceeded):
        _complete(make(retries=0))


def test_the_code_alone_says_that_a_dialogue_is_too_long(
    httpserver: HTTPServer, make: Make
) -> None:
    Script(httpserver, _error(400, "no", code="context_length_exceeded"))
    with pytest.raises(ContextLengthExceeded):
        _complete(make(retries=0))


@pytest.mark.parametrize(
    "message", ["max_tokens is too large: 9000", "Invalid image", "The model is overloaded"]
)
def test_another_refusal_is_not_a_dialogue_that_is_too_long(
    httpserver: HTTPServer, make: Make, message: str
) -> None:
    Script(httpserver, _error(400, message))
    with pytest.raises(InfrastructureError):
        _complete(make(retries=0))


@pytest.mark.parametrize(
    ("status", "message", "fields"),
    [
        (429, "You exceeded your current quota", {"code": "insufficient_quota"}),
        (429, "You exceeded your current quota, please check your plan and billing details.", {}),
        (402, "Insufficient Balance", {}),
        (400, "Your credit balance is too low to access the Anthropic API.", {}),
        (403, "Your account has run out of credits", {}),
        (429, "x", {"type": "exceeded_current_quota_error"}),
        (400, "Access denied, your account is overdue", {"code": "Arrearage"}),
        (429, "您的账户已欠费，请充值后重试", {"code": "1113"}),
        (429, "账户余额不足", {}),
    ],
)  # fmt: skip
def test_an_account_with_nothing_left_is_asked_once_and_named(
    httpserver: HTTPServer, make: Make, status: int, message: str, fields: dict[str, str]
) -> None:
    script = Script(httpserver, _error(status, message, **fields))
    with pytest.raises(ConfigError, match=r"\$SERVICE_TEST_KEY has nothing left to spend"):
        _complete(make())
    assert len(script.bodies) == 1


@pytest.mark.parametrize(
    "bad",
    [
        _error(429, "Rate limit reached for requests. Please try again in 20ms."),
        _error(429, "You exceeded your current quota. Please retry in 0.1s.", type="EXHAUSTED"),
        _error(429, "Too many tokens per minute"),
        _error(529, "Overloaded"),
        _error(503, "The model is overloaded"),
        _error(425, "too early"),
        _error(408, "timeout"),
    ],
)
def test_a_limit_or_an_overload_passes(httpserver: HTTPServer, make: Make, bad: Response) -> None:
    script = Script(httpserver, bad, completion("yes"))
    assert _complete(make()) == "yes"
    assert len(script.bodies) == 2


@pytest.mark.parametrize(
    ("error", "kind", "requests"),
    [
        ({"message": "free-models-per-day exceeded", "code": 429}, InfrastructureError, 3),
        ({"message": "No auth credentials found", "code": 401}, ConfigError, 1),
        ({"message": "upstream failed", "code": 502}, InfrastructureError, 3),
        ({"message": "prompt is too long: 9 tokens > 8 maximum", "code": 400}, ModelError, 1),
        ({"message": "Insufficient credits", "code": 402}, ConfigError, 1),
        ({"message": "bad", "code": 400}, InfrastructureError, 1),
        ("something broke", InfrastructureError, 3),
    ],
)
@pytest.mark.parametrize("place", ["body", "choice"])
def test_an_error_inside_a_200_is_read_as_the_error_it_is(
    httpserver: HTTPServer, make: Make, error: Any, kind: type, requests: int, place: str
) -> None:
    body = {"choices": None, "error": error}
    if place == "choice":
        body = {"choices": [{"index": 0, "error": error, "message": {"content": ""}}]}
    script = Script(httpserver, body)
    message = error["message"] if isinstance(error, dict) else error
    with pytest.raises(kind, match=message):
        _complete(make(retries=2))
    assert len(script.bodies) == requests


# --- requests as the endpoint wants them ----------------------------------------------


def test_a_model_that_refuses_the_usual_parameters_can_be_asked(
    httpserver: HTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_TEST_PROJECT", "project-7\n")
    script = Script(httpserver, completion("yes"))
    client = make(
        max_tokens_parameter="max_completion_tokens",
        temperature=None,
        extra_body={"reasoning_effort": "low"},
        extra_headers={"X-Project": "MEDR_TEST_PROJECT"},
    )
    assert _complete(client, temperature=1.0, max_tokens=9) == "yes"
    assert script.bodies == [
        {
            "model": "tiny",
            "messages": _ASK,
            "max_completion_tokens": 9,
            "reasoning_effort": "low",
        }
    ]
    assert script.headers[0]["X-Project"] == "project-7"


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "max_tokens_parameter: max_completion_tokens",
        ),
        (
            "Unsupported value: 'temperature' does not support 0 with this model.",
            "temperature: null",
        ),
    ],
)
def test_a_refused_parameter_is_named_with_the_setting_for_it(
    httpserver: HTTPServer, make: Make, message: str, remedy: str
) -> None:
    Script(httpserver, _error(400, message))
    with pytest.raises(ConfigError, match=remedy):
        _complete(make())


def test_fields_that_the_request_sets_itself_are_refused_in_the_configuration() -> None:
    with pytest.raises(ValidationError, match="stream cannot be set here"):
        EndpointConfig(extra_body={"stream": True})


def test_a_header_without_its_variable_is_named(make: Make) -> None:
    with pytest.raises(ConfigError, match="MEDR_NOT_SET"):
        _complete(make(extra_headers={"X-Project": "MEDR_NOT_SET"}))


def test_the_line_break_behind_a_key_is_no_part_of_it(
    httpserver: HTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", f"{SECRET}\n")
    script = Script(httpserver, completion("yes"))
    assert _complete(make()) == "yes"
    assert script.keys == [f"Bearer {SECRET}"]


def test_a_key_that_no_header_can_hold_is_named_and_not_shown(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", "schlüssel-123")
    with pytest.raises(ConfigError, match="SERVICE_TEST_KEY is no key") as caught:
        make()
    assert "schl" not in str(caught.value)


def test_an_overloaded_endpoint_is_asked_again(httpserver: HTTPServer, make: Make) -> None:
    script = Script(httpserver, _error(529, "Overloaded"), completion("hello"))
    assert _complete(make()) == "hello"
    assert len(script.bodies) == 2


def test_an_account_without_quota_gets_one_request_and_pauses_nobody(
    httpserver: HTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    quota = _error(429, "You exceeded your current quota", code="insufficient_quota")
    quota.headers["Retry-After"] = "100"
    script = Script(httpserver, quota, completion("yes"))
    with pytest.raises(ConfigError, match=r"SERVICE_TEST_KEY has nothing left to spend"):
        _complete(make(retries=4))
    assert len(script.bodies) == 1
    assert _complete(make()) == "yes"
    assert max(clock.granted) < 100


@pytest.mark.parametrize("retry_after", ["0.01", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_a_pause_may_be_seconds_a_date_or_nonsense(
    httpserver: HTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch, retry_after: str
) -> None:
    Clock(monkeypatch)
    slow = Response("slow", status=503, headers={"Retry-After": retry_after})
    Script(httpserver, slow, completion("yes"))
    assert _complete(make()) == "yes"


def test_headers_come_from_the_environment_and_stand_nowhere(
    httpserver: HTTPServer, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_TENANT", "tenant-secret-4711\n")
    seen: list[str] = []

    def refuse(request: Request) -> Response:
        seen.append(request.headers["X-Tenant"])
        return Response("no tenant-secret-4711 here", status=400)

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(refuse)
    client = make(extra_headers={"X-Tenant": "MEDR_TENANT"})
    with pytest.raises(InfrastructureError) as caught:
        _complete(client)
    assert seen == ["tenant-secret-4711"]
    assert "4711" not in str(caught.value)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"4711" in path.read_bytes() for path in files)
    with pytest.raises(ConfigError, match="MEDR_NOT_THERE"):
        make(extra_headers={"X-Tenant": "MEDR_NOT_THERE"})
    with pytest.raises(ValueError, match="not the value") as refused:
        EndpointConfig(model="m", extra_headers={"X-Tenant": "Bearer abc-def"})
    assert "abc-def" not in str(refused.value.errors()[0]["msg"])


def test_what_the_body_adds_is_part_of_the_identity_and_headers_are_not() -> None:
    plain = EndpointConfig(model="m").identity()
    assert "extra_body" not in plain
    assert EndpointConfig(model="m", extra_headers={"X-A": "A"}).identity() == plain
    assert EndpointConfig(model="m", max_tokens_parameter="max_completion_tokens").identity() == (
        plain
    )
    thinking = EndpointConfig(model="m", extra_body={"enable_thinking": False}).identity()
    assert thinking["extra_body"] == {"enable_thinking": False}
    with pytest.raises(ValueError, match="stream cannot be set here"):
        EndpointConfig(model="m", extra_body={"stream": True})


def test_broken_bodies_are_passed_over(httpserver: HTTPServer, make: Make) -> None:
    page = Response("<html>bad gateway</html>", status=502, content_type="text/html")
    cut = Response('{"choices": [', content_type="application/json")
    script = Script(httpserver, page, cut, completion("fine"))
    assert _complete(make()) == "fine"
    assert len(script.bodies) == 3


def test_a_thought_beside_the_text_survives_the_cache(httpserver: HTTPServer, make: Make) -> None:
    reply = completion("<answer>FBN1</answer>")
    reply["choices"][0]["message"]["reasoning_content"] = "It is Marfan."
    script = Script(httpserver, reply)
    results = [asyncio.run(make().complete(_ASK)) for _ in range(2)]
    assert [(result.text, result.reasoning) for result in results] == [
        ("<answer>FBN1</answer>", "It is Marfan.")
    ] * 2
    assert len(script.bodies) == 1


def test_replies_that_cannot_be_read_are_not_cached(httpserver: HTTPServer, make: Make) -> None:
    script = Script(
        httpserver,
        completion("I cannot say."),
        completion("[[["),
        completion("no"),
        completion('{"correct": true, "reason": "x"}'),
    )
    with pytest.raises(ModelError):
        asyncio.run(make().complete_json(_ASK, _Verdict))
    for _ in range(2):
        assert asyncio.run(make().complete_json(_ASK, _Verdict)).correct
    assert len(script.bodies) == 4, "both replies of the second try are answered from the cache"


def test_a_refusal_is_no_verdict(httpserver: HTTPServer, make: Make) -> None:
    reply = completion("")
    reply["choices"][0]["message"] = {"content": None, "refusal": "I cannot judge this."}
    script = Script(httpserver, reply)
    with pytest.raises(ModelError, match="I cannot judge this"):
        asyncio.run(make().complete_json(_ASK, _Verdict))
    assert [message["role"] for message in script.bodies[1]["messages"]] == ["user", "user"]


def test_half_characters_in_a_question_are_sent_as_a_sign_for_them(
    httpserver: HTTPServer, make: Make
) -> None:
    script = Script(httpserver, completion("yes"))
    asked = [{"role": "user", "content": "half \ud83d"}]
    assert asyncio.run(make().complete(asked)).text == "yes"
    assert script.bodies[0]["messages"][0]["content"] == "half \ufffd"


def test_a_new_cache_can_be_opened_by_several_at_once(tmp_path: Path) -> None:
    errors: list[MedrError] = []

    def open_cache(folder: Path, start: threading.Barrier) -> None:
        start.wait()
        try:
            ResponseCache(folder).close()
        except MedrError as error:
            errors.append(error)

    for round_number in range(60):
        start = threading.Barrier(5)
        arguments = (tmp_path / str(round_number), start)
        threads = [threading.Thread(target=open_cache, args=arguments) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
