"""The whole application on Ray Serve with a tiny model, asked over HTTP as users ask it."""

import json
import logging
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel
from support.drawn_bodies import DrawnRequest, draw_request
from support.tiny_model import build_tiny_model

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.serving import app
from medr_ray.serving.app import (
    ServedApplication,
    check_port,
    find_free_port,
    find_served_directories,
    serve_application,
)

KEY = "a-key-for-this-test"
ASK = [{"role": "user", "content": "what is the inheritance of Marfan syndrome"}]
_QUEUED = 12  # requests that may wait
_SECONDS = 60  # for a reply on a busy machine; the default of 5 is for a person who waits
# Goal: 5 seconds for an answer to what cannot be done; three times as much on a busy machine.
_ANSWER_SECONDS = 15
# Goal: a quarter of a second between two pieces of a stream, whatever others send; as much slack.
_GAP_SECONDS = 0.75


def make_config(root: Path, model: Path, *more: str) -> PipelineConfig:
    return load_config(
        None,
        [
            f"run.root={root}",
            "run.name=served",
            f"models.policy={model}",
            "engine.dtype=float32",
            "engine.threads=1",
            f"serving.port={find_free_port()}",
            "serving.max_tokens=48",
            *more,
        ],
    )


@pytest.fixture(scope="module")
def served(
    ray_local: None,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApplication]:
    root = tmp_path_factory.mktemp("runs")
    # Its context has room for the agent's instructions, which the first model's has not.
    build_tiny_model(root / "served" / "grpo" / "model", context=2_048, seed=1)
    # Eight requests are answered at a time.
    config = make_config(root, tiny_model, "serving.max_batch=4", f"serving.max_queued={_QUEUED}")
    with serve_application(config, open_run(config), api_key=KEY) as application:
        yield application


@pytest.fixture
def client(served: ServedApplication) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.base_url, api_key=KEY, max_retries=0, timeout=_SECONDS)


@pytest.mark.slow
def test_the_openai_client_gets_the_same_answer_streamed_and_not(client: openai.OpenAI) -> None:
    request = {"model": "medr-model", "messages": ASK, "temperature": 0.0, "max_tokens": 24}
    whole = client.chat.completions.create(**request)  # type: ignore[call-overload]
    assert whole.usage.prompt_tokens > 10
    assert whole.usage.completion_tokens <= 24
    pieces = ""
    usage = None
    for chunk in client.chat.completions.create(  # type: ignore[call-overload]
        **request, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        pieces += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert pieces == whole.choices[0].message.content
    assert usage is not None
    assert usage.prompt_tokens == whole.usage.prompt_tokens


@pytest.mark.slow
def test_base_and_trained_weights_are_different_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["medr-model", "base", "grpo"]

    def ask(model: str) -> str | None:
        completion = client.chat.completions.create(
            model=model, messages=ASK, temperature=0, max_tokens=24
        )  # type: ignore[arg-type]
        return completion.choices[0].message.content

    assert ask("medr-model") == ask("grpo") != ask("base")


@pytest.mark.slow
def test_concurrent_requests_are_generated_together(
    served: ServedApplication, client: openai.OpenAI
) -> None:
    def ask(_: int) -> object:
        return client.chat.completions.create(
            model="grpo", messages=ASK, temperature=0, max_tokens=16
        )  # type: ignore[arg-type]

    # No more than may wait: on a busy machine all of them do before the first is assigned.
    with ThreadPoolExecutor(_QUEUED) as pool:
        completions = list(pool.map(ask, range(_QUEUED)))
    assert len(completions) == _QUEUED
    key = {"Authorization": f"Bearer {client.api_key}"}
    statistics = httpx.get(f"{served.base_url}/statistics", headers=key, timeout=_SECONDS)
    assert statistics.json()["model"]["most_running"] > 1
    root = served.base_url.removesuffix("/v1")
    assert httpx.get(f"{root}/healthz", timeout=_SECONDS).json() == {"status": "ok"}
    # On a busy machine the model does not always reply in the time that readiness gives it.
    patience = time.monotonic() + _SECONDS
    while (readiness := httpx.get(f"{root}/readyz", timeout=_SECONDS)).status_code == 503:
        assert time.monotonic() < patience, readiness.text
        time.sleep(0.1)
    assert readiness.json() == {"status": "ready"}


@pytest.mark.slow
def test_a_stream_that_a_full_queue_refuses_is_a_429_and_the_others_go_on(
    served: ServedApplication,
) -> None:
    body = {"model": "grpo", "messages": ASK, "max_tokens": 48, "stream": True, "temperature": 0}
    key = {"Authorization": f"Bearer {KEY}"}
    together = threading.Barrier(64)
    # One client for all: each that is built takes so long that the queue might empty meanwhile.
    limits = httpx.Limits(max_connections=64)

    with httpx.Client(headers=key, timeout=120, limits=limits) as client:

        def ask(_: int) -> httpx.Response:
            together.wait(60)
            return client.post(f"{served.base_url}/chat/completions", json=body)

        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(ask, range(64)))
    refused = [answer for answer in answers if answer.status_code == 429]
    streamed = [answer for answer in answers if answer.status_code == 200]
    assert len(refused) + len(streamed) == 64
    assert refused
    assert {answer.json()["error"]["code"] for answer in refused} == {"overloaded"}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert streamed
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in streamed)
    assert not any('"error"' in answer.text for answer in streamed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "gpt-4"}, 404),
        ({"n": 17}, 422),
        ({"max_tokens": 49}, 422),
        ({"messages": [{"role": "user", "content": "word " * 600}]}, 400),
        ({"messages": [{"role": "user", "content": "word " * 600}], "stream": True}, 400),
    ],
)
def test_errors_over_http_have_openais_envelope(
    served: ServedApplication, change: dict, status: int
) -> None:
    body = {"model": "base", "messages": ASK, **change}
    response = httpx.post(
        f"{served.base_url}/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=_SECONDS,
    )
    assert response.status_code == status
    assert response.json()["error"]["message"]


@pytest.mark.slow
def test_several_answers_have_seeds_of_their_own_and_come_again(client: openai.OpenAI) -> None:
    def ask(**more: Any) -> list[str | None]:
        answer = client.chat.completions.create(
            model="grpo", messages=ASK, max_tokens=12, n=3, **more
        )  # type: ignore[call-overload]
        assert answer.usage.completion_tokens <= 36
        return [choice.message.content for choice in answer.choices]

    first = ask(seed=5)
    assert len(set(first)) > 1
    assert ask(seed=5) == first
    # The largest seed that is taken, of which each answer needs its own.
    assert len(ask(seed=2**63 - 1)) == 3
    assert len(set(ask(temperature=0))) == 1
    # The likeliest token alone is left, so that chance has no choice.
    assert ask(seed=1, extra_body={"top_k": 1}) == ask(temperature=0)


@pytest.mark.slow
def test_log_probabilities_are_those_of_the_answer_streamed_and_not(client: openai.OpenAI) -> None:
    request = {"model": "grpo", "messages": ASK, "max_tokens": 8, "temperature": 0}
    request |= {"logprobs": True, "top_logprobs": 3}
    (choice,) = client.chat.completions.create(**request).choices  # type: ignore[call-overload]
    tokens = choice.logprobs.content
    text = b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace")
    assert text.startswith(choice.message.content)
    for token in tokens:
        # Greedy: the token is the likeliest of all.
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob, abs=1e-4)
        assert len(token.top_logprobs) == 3
        assert token.logprob < 0
    streamed = []
    for chunk in client.chat.completions.create(**request, stream=True):  # type: ignore[call-overload]
        logprobs = chunk.choices[0].logprobs
        streamed += [] if logprobs is None else logprobs.content
    assert [token.token for token in streamed] == [token.token for token in tokens]
    assert [token.logprob for token in streamed] == pytest.approx(
        [token.logprob for token in tokens], abs=1e-4
    )


@pytest.mark.slow
def test_an_evaluation_harness_can_score_a_continuation(client: openai.OpenAI) -> None:
    ids = [[20, 30, 40, 50], [20, 30]]
    answer = client.completions.create(
        model="grpo", prompt=ids, max_tokens=1, temperature=0, logprobs=1, echo=True
    )
    for prompt, choice in zip(ids, answer.choices, strict=True):
        logprobs = choice.logprobs
        assert logprobs is not None
        assert len(logprobs.tokens) == len(prompt) + 1
        assert logprobs.token_logprobs[0] is None
        assert all(value < 0 for value in logprobs.token_logprobs[1:])
        assert "".join(logprobs.tokens).startswith(choice.text)
    # What a token is worth does not depend on what stands behind it.
    long, short = [choice.logprobs.token_logprobs[1] for choice in answer.choices]
    assert long == pytest.approx(short, abs=1e-4)
    text = client.completions.create(model="grpo", prompt="Marfan", max_tokens=8, temperature=0)
    pieces = client.completions.create(
        model="grpo", prompt="Marfan", max_tokens=8, temperature=0, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in pieces) == text.choices[0].text


@pytest.mark.slow
def test_a_bias_decides_which_token_comes(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="grpo", prompt="Marfan", max_tokens=4, logit_bias={"65": 100}, logprobs=0
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert len(set(logprobs.tokens)) == 1


@pytest.mark.slow
def test_a_tool_that_must_be_called_is_and_the_dialogue_goes_on(client: openai.OpenAI) -> None:
    tool: Any = {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search",
            "parameters": {
                "type": "object",
                "properties": {"sure": {"type": "boolean"}},
                "required": ["sure"],
                "additionalProperties": False,
            },
        },
    }
    request: dict[str, Any] = {"model": "grpo", "tools": [tool], "parallel_tool_calls": False}
    question = [{"role": "user", "content": "hi"}]
    answer = client.chat.completions.create(
        **request, messages=question, tool_choice="required", max_tokens=48, n=16, seed=1
    )
    # A model that knows nothing thinks without an end in some of them.
    assert {choice.finish_reason for choice in answer.choices} <= {"tool_calls", "length"}
    choice = next(choice for choice in answer.choices if choice.finish_reason == "tool_calls")
    (call,) = choice.message.tool_calls
    assert call.function.name == "search"
    assert set(json.loads(call.function.arguments)) == {"sure"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "nothing"}
    more = client.chat.completions.create(
        **request, messages=[*question, choice.message, result], max_tokens=4, tool_choice="none"
    )
    assert more.usage.prompt_tokens > answer.usage.prompt_tokens


@pytest.mark.slow
def test_an_answer_has_the_form_that_its_schema_asks_for(client: openai.OpenAI) -> None:
    class Verdict(BaseModel):
        sure: bool

    answer = client.chat.completions.parse(
        model="grpo", messages=ASK, response_format=Verdict, max_tokens=48
    )  # type: ignore[type-var]
    assert isinstance(answer.choices[0].message.parsed, Verdict)


@pytest.mark.slow
@pytest.mark.parametrize("bodies", [300, pytest.param(1_000, marks=pytest.mark.soak)])
def test_whatever_is_sent_is_answered_and_streams_beside_it_finish(
    served: ServedApplication, bodies: int
) -> None:
    root = served.base_url.removesuffix("/v1")
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    chance = random.Random(bodies)
    drawn = [draw_request(chance, "grpo") for _ in range(bodies)]
    healthy = {"model": "grpo", "messages": ASK, "max_tokens": 48, "temperature": 0, "stream": True}
    is_over = threading.Event()

    with httpx.Client(headers=headers, timeout=_SECONDS, limits=httpx.Limits()) as client:

        def stream_again_and_again(_: int) -> list[str]:
            texts = []
            while not is_over.is_set():
                texts.append(client.post(f"{root}/v1/chat/completions", json=healthy).text)
            return texts

        def send(request: DrawnRequest) -> tuple[int, float, str]:
            started = time.monotonic()
            response = client.post(root + request.path, content=request.content)
            return response.status_code, time.monotonic() - started, response.text

        with ThreadPoolExecutor(8) as streamers, ThreadPoolExecutor(2) as senders:
            streams = [streamers.submit(stream_again_and_again, i) for i in range(8)]
            try:
                answers = list(senders.map(send, drawn))
            finally:
                is_over.set()
        texts = [text for stream in streams for text in stream.result()]

    for request, (status, seconds, text) in zip(drawn, answers, strict=True):
        # 429: the request asks for more at once than the model has places for.
        assert status in (200, 400, 404, 422, 429), (request, status, text[:300])
        assert seconds < _ANSWER_SECONDS, (request, seconds)
        if status != 200:
            assert json.loads(text)["error"]["message"]
    # Most are wrong, and not all.
    assert bodies / 2 < sum(status != 200 for status, _, _ in answers) < bodies
    # Greedy, so that all are the same but for their ids.
    assert len(texts) >= 8
    assert len({_read_stream(text) for text in texts}) == 1


@pytest.mark.slow
def test_large_prompts_and_poisoned_requests_hold_up_no_stream(served: ServedApplication) -> None:
    url = f"{served.base_url}/chat/completions"
    headers = {"Authorization": f"Bearer {KEY}"}
    ask = {"model": "grpo", "messages": ASK, "max_tokens": 4}
    requests: list[tuple[dict[str, Any], set[int]]] = [
        ({**ask, "messages": [{"role": "user", "content": "a " * 3_500_000}]}, {400}),
        ({**ask, "messages": [{"role": "user", "content": "a " * 5_000_000}]}, {413}),
        ({**ask, "messages": [{"role": "user", "content": "a"}] * 100_000}, {422}),
        ({**ask, "seed": 2**64}, {400, 422}),
        ({**ask, "temperature": 1e-40}, {200}),
        ({**ask, "logit_bias": {str(10**9): 1.0}}, {400, 422}),
    ]
    is_over = threading.Event()
    gaps: list[float] = []

    def stream_again_and_again() -> None:
        healthy = {**ask, "max_tokens": 48, "temperature": 0, "stream": True}
        with httpx.Client(headers=headers, timeout=_SECONDS) as client:
            while not is_over.is_set():
                with client.stream("POST", url, json=healthy) as response:
                    last = time.monotonic()
                    for _ in response.iter_lines():
                        now = time.monotonic()
                        gaps.append(now - last)
                        last = now

    with (
        ThreadPoolExecutor(1) as streamer,
        httpx.Client(headers=headers, timeout=_SECONDS) as client,
    ):
        streams = streamer.submit(stream_again_and_again)
        try:
            for body, statuses in requests * 2:
                started = time.monotonic()
                response = client.post(url, json=body)
                assert response.status_code in statuses, response.text[:300]
                assert time.monotonic() - started < _ANSWER_SECONDS
        finally:
            is_over.set()
        streams.result()
    print(f"longest gap of {len(gaps)} in the streams: {max(gaps):.3f} s")
    assert max(gaps) < _GAP_SECONDS


def _read_stream(text: str) -> tuple[str, str]:
    """(content, finish reason) of a stream that came to its end."""
    *events, last = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert last == "[DONE]", text[-300:]
    choices = [json.loads(event)["choices"][0] for event in events]
    content = "".join(choice["delta"].get("content", "") for choice in choices)
    return content, choices[-1]["finish_reason"]


@pytest.mark.slow
def test_a_wrong_key_is_refused_and_the_right_one_appears_nowhere(
    served: ServedApplication,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=served.base_url, api_key="wrong", max_retries=0).models.list()
    assert KEY not in caplog.text
    import ray

    context = ray.get_runtime_context()
    session = Path(context.get_temp_dir()) / context.get_session_name()
    logs = [path for path in (session / "logs").rglob("*") if path.is_file()]
    assert logs
    assert [path for path in logs if KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_a_client_that_leaves_does_not_keep_the_model_busy(
    served: ServedApplication,
    client: openai.OpenAI,
) -> None:
    body = {"model": "base", "messages": ASK, "stream": True, "max_tokens": 48, "temperature": 0}
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{served.base_url}/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=_SECONDS) as response:
        first = next(line for line in response.iter_lines() if line.startswith("data: "))
    assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["role"] == "assistant"
    again = client.chat.completions.create(model="base", messages=ASK, max_tokens=2)  # type: ignore[arg-type]
    assert again.usage is not None


@pytest.mark.slow
def test_without_an_index_search_says_so(served: ServedApplication) -> None:
    response = httpx.get(
        f"{served.base_url}/search?query=a",
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=_SECONDS,
    )
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "no_index"


def test_missing_weights_are_named_before_anything_starts(tiny_model: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, tiny_model, "serving.weights=sft")
    with pytest.raises(MedrError, match="no sft model yet"):
        find_served_directories(config, open_run(config))


def test_a_free_port_is_none_that_a_starting_ray_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    port = find_free_port()
    assert 19_999 < port < 30_000
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        free = find_free_port()
        monkeypatch.setattr(app, "_FREE_PORTS", [port, free])
        monkeypatch.setattr(app, "_PORT_ATTEMPTS", 2)
        assert {find_free_port() for _ in range(10)} == {free}
        monkeypatch.setattr(app, "_FREE_PORTS", [port])
        monkeypatch.setattr(app, "_PORT_ATTEMPTS", 1)
        with pytest.raises(MedrError, match=r"no free port on 127\.0\.0\.1: 1 were tried"):
            find_free_port()


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(MedrError, match=f"{port}.*serving.port"):
            check_port("127.0.0.1", port)
