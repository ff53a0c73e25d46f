"""The HTTP side over a stand-in backend: envelopes, keys, streams, search."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from medr_ray.serving.errors import Overloaded
from medr_ray.serving.http import build_http
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.messages import ChatJob, Completion, Delta, Opening, Refusal, StreamItem
from medr_ray.serving.schemas import SearchRequest

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
        return Completion("hello", 3, 2, "stop")

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        reply = await self.complete(job)
        if isinstance(reply, Refusal):
            yield reply
            return
        yield Opening(3)
        for text in ("hel", "lo"):
            yield Delta(text)
        yield Completion("", 3, 2, "stop")

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
    assert set(error) == {"message", "type", "param", "code"}
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
        {"n": 2},
        {"messages": []},
        {"temperature": 3},
        {"max_tokens": 0},
        {"tools": [{"type": "function"}]},
        {"top_p": 0.5},
        {"frobnicate": 1},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"stop": [""]},
        {"logprobs": True},
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
    assert TestClient(app).post("/v1/chat/completions", json=body).status_code == 200
    assert backend.jobs == [
        ChatJob("agent", (("system", "be brief"), ("user", "ab")), 7, 0.0, ("x",), 3)
    ]


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
