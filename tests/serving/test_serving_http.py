"""The HTTP side over a stand-in backend: envelopes, keys, streams, search."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from medr_ray.serving.http import MAX_BODY_BYTES, build_http, service_state
from medr_ray.serving.http import app as http_app
from medr_ray.serving.http.errors import Overloaded, build_error_body
from medr_ray.serving.http.schemas import SearchRequest
from medr_ray.serving.http.service_state import ServiceState
from medr_ray.serving.keys import ApiKeyVerifier, ServingKey
from medr_ray.serving.messages import (
    ChatJob,
    ChatTurn,
    Choice,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
)

BODY: dict[str, Any] = {"model": "agent", "messages": [{"role": "user", "content": "hi"}]}
KEY = {"Authorization": "Bearer k"}


class Backend:
    """Echoes the job; refuses model "gone", is overloaded for model "busy", breaks for "broken"."""

    def __init__(self) -> None:
        self.jobs: list[ChatJob] = []

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        self.jobs.append(job)
        if job.model == "gone":
            return Refusal(404, "model_not_found", "no model 'gone'", "model")
        if job.model == "busy":
            raise Overloaded("full")
        if job.model == "broken":
            raise RuntimeError("secret detail")
        return Completion((Choice(0, "hello", "stop"),), 3, 2)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        reply = await self.complete(job)
        if isinstance(reply, Refusal):
            yield reply
            return
        yield Opening(3)
        for text in ("hel", "lo"):
            yield Delta(text)
        yield Completion((Choice(0, "", "stop"),), 3, 2)

    async def statistics(self) -> dict[str, int]:
        return {"requests": len(self.jobs)}

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        options = request.model_dump(exclude={"query"}, exclude_none=True)
        return [{"document_id": "PMID:1", "snippet": request.query, "options": options}]

    async def document(self, document_id: str) -> dict[str, Any] | None:
        return {"document_id": document_id, "text": "t"} if document_id == "PMID:1" else None


@pytest.fixture
def client() -> TestClient:
    backend = Backend()
    verifier = ApiKeyVerifier.for_key("k")
    app = build_http(backend, backend, verifier, ["agent", "base"])  # type: ignore[arg-type]
    return TestClient(app, headers=KEY, raise_server_exceptions=False)


def read_error(response: Any) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    return dict(error)


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/search?query=a", "/v1/chat/completions", "/docs", "/openapi.json"]
)
def test_without_the_key_nothing_is_answered_and_nothing_is_read(
    client: TestClient, path: str
) -> None:
    response = client.post(path, content=b"{not json", headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 401
    assert read_error(response)["code"] == "invalid_api_key"


def test_health_needs_no_key(client: TestClient) -> None:
    response = client.get("/healthz", headers={"Authorization": ""})
    assert response.json()["status"] == "ok"


def test_an_answer_has_openais_shape(client: TestClient) -> None:
    answer = client.post("/v1/chat/completions", json=BODY).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "hello",
        "refusal": None,
    }
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def read_events(client: TestClient, **more: Any) -> list[str]:
    response = client.post("/v1/chat/completions", json={**BODY, "stream": True, **more})
    assert response.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


def test_a_stream_is_chunks_then_done(client: TestClient) -> None:
    *chunks, last = read_events(client)
    assert last == "[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in parsed) == "hello"
    assert parsed[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({chunk["id"] for chunk in parsed}) == 1


def test_usage_is_streamed_when_asked_for(client: TestClient) -> None:
    usage = json.loads(read_events(client, stream_options={"include_usage": True})[-2])
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("gone", 404, "model_not_found"),
        ("busy", 429, "overloaded"),
        ("broken", 500, "internal_error"),
    ],
)
def test_failures_have_their_status_and_envelope(
    client: TestClient,
    model: str,
    status: int,
    code: str,
    stream: bool,
) -> None:
    response = client.post("/v1/chat/completions", json={**BODY, "model": model, "stream": stream})
    assert response.status_code == status
    assert read_error(response)["code"] == code
    assert "secret detail" not in response.text
    assert (response.headers.get("retry-after") == "1") == (status == 429)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 17},
        {"messages": []},
        {"temperature": 3},
        {"max_tokens": 0},
        {"tools": [{"type": "function"}]},
        {"top_p": 1.5},
        {"functions": []},
        {"top_logprobs": 2},
        {"frobnicate": 1},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"stop": [""]},
        {"logprobs": 3},
    ],
)
def test_what_would_be_ignored_is_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    response = client.post("/v1/chat/completions", json={**BODY, **wrong})
    assert response.status_code == 422
    assert next(iter(wrong)) in read_error(response)["message"]


def test_what_asks_for_nothing_is_accepted(client: TestClient) -> None:
    more = {
        "n": 1,
        "top_p": 1.0,
        "presence_penalty": 0,
        "user": "me",
        "response_format": {"type": "text"},
    }
    assert client.post("/v1/chat/completions", json={**BODY, **more}).status_code == 200


def test_parameters_reach_the_model() -> None:
    backend = Backend()
    app = build_http(backend, None, ApiKeyVerifier(None), ["agent"])  # type: ignore[arg-type]
    parts = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    body = {
        "model": "agent",
        "messages": parts,
        "max_tokens": 5,
        "max_completion_tokens": 7,
        "temperature": 0,
        "stop": "x",
        "seed": 3,
    }
    client = TestClient(app, base_url="http://127.0.0.1")
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    turns = (ChatTurn("system", "be brief"), ChatTurn("user", "ab"))
    assert backend.jobs == [ChatJob("agent", turns, 7, 0.0, ("x",), 3)]


def test_search_by_get_and_post_is_the_same(client: TestClient) -> None:
    options = {
        "results": 2,
        "sources": ["pubmed"],
        "mode": "text",
        "since": 1999,
        "until": 2020,
        "types": ["review"],
    }
    response = client.get("/v1/search", params={"query": "marfan", **options})
    assert response.json() == client.post("/v1/search", json={"query": "marfan", **options}).json()
    assert response.json()["hits"][0]["options"] == options


@pytest.mark.parametrize(
    "query", ["query=", "query=a&results=0", "query=a&mode=magic", "query=a&types=magic", ""]
)
def test_wrong_searches_are_refused(client: TestClient, query: str) -> None:
    response = client.get(f"/v1/search?{query}")
    assert response.status_code == 422
    read_error(response)


def test_documents_by_id(client: TestClient) -> None:
    assert client.get("/v1/documents/PMID:1").json()["text"] == "t"
    missing = client.get("/v1/documents/PMID:2")
    assert missing.status_code == 404
    assert read_error(missing)["code"] == "document_not_found"


def test_models_are_listed_and_unknown_paths_have_the_envelope(client: TestClient) -> None:
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["agent", "base"]
    assert client.get("/v1/models/base").json()["object"] == "model"
    assert read_error(client.get("/v1/models/none"))["code"] == "model_not_found"
    assert client.get("/v2/nothing").status_code == 404
    read_error(client.get("/v2/nothing"))


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "stream_options",
        "n",
        "top_p",
    ],
)
def test_null_means_the_default_for_every_optional_field(client: TestClient, name: str) -> None:
    response = client.post("/v1/chat/completions", json={**BODY, name: None})
    assert response.status_code == 200, response.text


def test_a_message_in_text_parts_is_read(client: TestClient) -> None:
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    body = {**BODY, "messages": [{"role": "user", "content": parts}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 2**63),
        ("seed", True),
        ("n", True),
        ("max_tokens", True),
        ("temperature", True),
        ("model", None),
        ("messages", None),
    ],
)
def test_a_value_that_is_none_for_its_field_is_refused(
    client: TestClient, name: str, value: Any
) -> None:
    response = client.post("/v1/chat/completions", json={**BODY, name: value})
    assert response.status_code == 422
    assert name in read_error(response)["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"{not json",
        b"",
        b'{"model": "agent", "messages": [], "seed": 18446744073709551616}',
        b'{"model": "agent", "messages": [], "seed": -9223372036854775809}',
        b'{"model": "agent", "messages": [], "temperature": NaN}',
        b'{"model": "agent", "messages": [], "temperature": 1e400}',
        b'{"model": "agent", "model": "base", "messages": []}',
        b'{"model": "\\ud800", "messages": []}',
        b'{"model": "\xff", "messages": []}',
        b"[" * 100_000,
        b'{"tools": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
def test_a_body_that_is_no_json_is_a_400(client: TestClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/chat/completions", content=content, headers=headers)
    # An empty body lacks its fields; it is no broken one.
    assert response.status_code == (400 if content else 422)
    read_error(response)


def test_a_body_of_another_type_is_a_400_that_names_the_header(client: TestClient) -> None:
    response = client.post(
        "/v1/chat/completions", content=b"{}", headers={"Content-Type": "text/x"}
    )
    assert response.status_code == 400
    assert "Content-Type" in read_error(response)["message"]


def test_what_an_error_quotes_is_short_and_can_be_sent(client: TestClient) -> None:
    for body in ({**BODY, "x" * 10_000: 1}, {**BODY, "stop": [["y" * 10_000]]}):
        response = client.post("/v1/chat/completions", json=body)
        assert response.status_code == 422
        assert len(response.content) < 2_000
    response = client.get(f"/v1/models/{'z' * 10_000}")
    assert (response.status_code, len(response.content) < 2_000) == (404, True)


def test_an_error_can_be_sent_whatever_it_quotes() -> None:
    body = build_error_body(400, "half a character: \ud800", param="\udfff")
    assert json.dumps(body, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/search", "GET, POST"),
        ("TRACE", "/v1/models", "GET"),
        ("PUT", "/healthz", "GET"),
    ],
)
def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.headers["Allow"] == allowed
    assert read_error(response)["code"] == "method_not_allowed"


def test_a_slash_too_many_is_a_404_and_no_redirection(client: TestClient) -> None:
    response = client.post("/v1/chat/completions/", json=BODY, follow_redirects=False)
    assert response.status_code == 404
    assert read_error(response)["code"] == "not_found"


def test_the_documentation_has_the_key_and_the_errors_that_are_sent(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "http", "scheme": "bearer"}
    }
    assert "HTTPValidationError" not in json.dumps(document)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            is_open = path in ("/healthz", "/readyz", "/livez")
            assert operation["security"] == ([] if is_open else [{"key": []}])
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)
    chat = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert set(chat) >= {"200", "400", "401", "403", "404", "413", "422", "429", "500", "503"}
    assert set(chat["200"]["content"]) == {"application/json", "text/event-stream"}


@pytest.mark.parametrize("seed", [2**63 - 1, -(2**63), 0])
def test_every_seed_of_64_bits_is_taken(client: TestClient, seed: int) -> None:
    assert client.post("/v1/chat/completions", json={**BODY, "seed": seed}).status_code == 200


def test_a_body_is_refused_by_its_size(client: TestClient) -> None:
    large = {**BODY, "metadata": {"a": "x" * MAX_BODY_BYTES}}
    response = client.post("/v1/chat/completions", json=large)
    assert response.status_code == 413
    assert read_error(response)["code"] == "request_too_large"

    def pieces() -> Iterator[bytes]:
        # Without a length that could be looked at before.
        for _ in range(10):
            yield b"x" * (MAX_BODY_BYTES // 8)

    response = client.post("/v1/chat/completions", content=pieces())
    assert response.status_code == 413
    assert client.post("/v1/chat/completions", json=BODY).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.7:8000", 403),
        ("", 403),
    ],
)
def test_without_a_key_only_this_machine_is_answered(host: str, status: int) -> None:
    backend = Backend()
    app = build_http(backend, backend, ApiKeyVerifier.for_key(""), ["base"])  # type: ignore[arg-type]
    with TestClient(app, headers={"Host": host}) as client:
        assert client.get("/v1/models").status_code == status
        assert client.get("/healthz").status_code == 200


def wait_for_readiness(client: TestClient, status: int) -> Any:
    patience = time.monotonic() + 20
    while (response := client.get("/readyz")).status_code != status:
        assert time.monotonic() < patience, response.text
        time.sleep(0.01)
    return response


def test_a_model_that_does_not_answer_is_alive_and_not_ready(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: Backend) -> dict[str, int]:
        await asyncio.sleep(60)
        return {}

    monkeypatch.setattr(service_state, "_LOOK_SECONDS", 0.01)
    # Nobody has looked yet, as while the model loads.
    assert client.get("/readyz").status_code == 503
    with client:
        assert wait_for_readiness(client, 200).json() == {"status": "ready"}
        monkeypatch.setattr(http_app, "_READY_SECONDS", 0.05)
        monkeypatch.setattr(Backend, "statistics", hang)
        response = wait_for_readiness(client, 503)
        assert response.headers["Retry-After"] == "1"
        assert read_error(response)["code"] == "not_ready"
        for probe in ("/livez", "/healthz"):
            assert client.get(probe, headers={"Authorization": ""}).json() == {"status": "ok"}


def test_a_full_or_ending_service_refuses_before_it_reads(client: TestClient) -> None:
    backend = Backend()
    state = ServiceState(places_per_replica=1, running=1)
    keys = ApiKeyVerifier.for_key("k")
    app = build_http(backend, backend, keys, ["agent"], state=state)  # type: ignore[arg-type]
    client = TestClient(app, headers=KEY)
    path = "/v1/chat/completions"
    full = client.post(path, content=b"{no json")
    assert (full.status_code, full.headers["Retry-After"]) == (429, "1")
    assert read_error(full)["code"] == "overloaded"
    # What costs the model nothing is answered.
    assert client.get("/v1/models").status_code == 200
    state.running = 0
    assert client.post(path, json=BODY).status_code == 200
    assert state.running == 0
    state.is_draining = True
    ending = client.post(path, json={**BODY, "stream": True})
    assert (ending.status_code, ending.headers["Retry-After"]) == (503, "5")
    assert read_error(ending)["code"] == "draining"
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_takes_too_long_ends_as_an_error(
    monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async def hang(_: Backend, job: ChatJob) -> Completion | Refusal:
        await asyncio.sleep(60)
        raise AssertionError

    async def stall(_: Backend, job: ChatJob) -> AsyncIterator[StreamItem]:
        yield Opening(3)
        await asyncio.sleep(60)

    monkeypatch.setattr(Backend, "complete", hang)
    monkeypatch.setattr(Backend, "stream", stall)
    backend = Backend()
    keys = ApiKeyVerifier.for_key("k")
    app = build_http(backend, backend, keys, ["agent"], request_seconds=0.2)  # type: ignore[arg-type]
    client = TestClient(app, headers=KEY)
    response = client.post("/v1/chat/completions", json={**BODY, "stream": stream})
    if not stream:
        assert response.status_code == 504
        assert read_error(response)["code"] == "timeout"
        return
    last = response.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "timeout"


def test_a_line_of_the_log_has_key_and_tokens_and_no_text(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "medr_ray.serving.requests")
    body = {**BODY, "messages": [{"role": "user", "content": "a secret question"}]}
    for stream in (False, True):
        client.post("/v1/chat/completions", json={**body, "stream": stream})
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all("key default tokens 3 in 2 out" in line for line in lines)
    assert not any("secret" in line or "hello" in line for line in lines)


def test_each_key_has_its_own_limits() -> None:
    backend = Backend()
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("few", "many")}
    keys = ApiKeyVerifier(
        (
            ServingKey(name="few", sha256=digests["few"], rpm=1),
            ServingKey(name="many", sha256=digests["many"]),
        )
    )
    client = TestClient(build_http(backend, backend, keys, ["agent"]))  # type: ignore[arg-type]

    def ask(key: str) -> Any:
        return client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})

    assert ask("few").status_code == 200
    refused = ask("few")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert read_error(refused)["code"] == "rate_limit_exceeded"
    assert {ask("many").status_code for _ in range(5)} == {200}


def test_a_key_read_from_a_file_works() -> None:
    assert ApiKeyVerifier.for_key("k\n").accepts("Bearer k")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/healthz", None, {}),
        ("GET", "/v1/models", None, {}),
        ("GET", "/v1/models", None, {"Authorization": "Bearer wrong"}),
        ("GET", "/nowhere", None, {}),
        ("POST", "/v1/chat/completions", BODY, {}),
        ("POST", "/v1/chat/completions", {**BODY, "stream": True}, {}),
        ("POST", "/v1/chat/completions", {**BODY, "model": "broken"}, {}),
        ("POST", "/v1/chat/completions", {**BODY, "model": "busy"}, {}),
        ("POST", "/v1/chat/completions", {"model": 3}, {}),
        ("POST", "/v1/chat/completions", BODY, {"Content-Length": "9000000"}),
    ],
)
def test_every_response_and_its_log_line_carry_the_clients_id(
    client: TestClient,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str],
) -> None:
    caplog.set_level("INFO", "medr_ray.serving.requests")
    response = client.request(
        method, path, json=body, headers={"X-Request-Id": "client-4711", **headers}
    )
    assert response.headers.get_list("x-request-id") == ["client-4711"]
    (line,) = [record.getMessage() for record in caplog.records if "4711" in record.getMessage()]
    assert line.startswith(f'{method} "{path}" {response.status_code} ')


@pytest.mark.parametrize("header", ["", "a b", "x" * 200, "<script>", "a\tb"])
def test_an_id_that_is_not_well_formed_is_replaced(client: TestClient, header: str) -> None:
    first, second = [
        client.get("/healthz", headers={"X-Request-Id": header}).headers["x-request-id"]
        for _ in range(2)
    ]
    assert first != second
    assert first.isalnum()
    assert first != header
