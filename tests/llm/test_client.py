"""The chat client against an endpoint that misbehaves."""

import asyncio
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pytest_httpserver import HTTPServer
from support.misbehaving_endpoint import Clock
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, MedrError, ModelError
from medr_ray.governor.budget import BudgetExceeded, Spend
from medr_ray.llm.cache import ResponseCache
from medr_ray.llm.client import ChatClient
from medr_ray.llm.completions import FunctionCall

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


def test_credentials_in_the_address_are_refused_without_repeating_them() -> None:
    with pytest.raises(ConfigError) as caught:
        ChatClient(EndpointConfig(base_url=f"http://me:{SECRET}@127.0.0.1/v1", model="tiny"))
    assert SECRET not in str(caught.value)


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
