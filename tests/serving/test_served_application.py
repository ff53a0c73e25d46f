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

import httpx
import openai
import pytest
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
    build_tiny_model(root / "served" / "grpo" / "model", seed=1)
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
