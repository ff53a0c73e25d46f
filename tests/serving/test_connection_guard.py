"""What Serve's proxy answers itself, in OpenAI's form."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from medr_ray.serving.connection_guard import ProxyErrorMiddleware


def ask(app: ASGIApp, path: str = "/v1/models", **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        guarded = ProxyErrorMiddleware(app, max_bytes=1_000)
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(path, **options)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("proxy_status", "status", "code", "retries"),
    [
        (429, 429, "overloaded", True),
        (503, 503, "unavailable", True),
        # No gateway is there, so none of its paths is.
        (404, 503, "unavailable", True),
        (500, 503, "unavailable", True),
        (408, 504, "timeout", False),
    ],
)
def test_a_line_of_text_becomes_an_error_in_openais_form(
    proxy_status: int, status: int, code: str, retries: bool
) -> None:
    headers = {"X-Request-Id": "r1"}
    response = ask(PlainTextResponse("Request dropped", proxy_status, headers))
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["code"] == code
    assert "dropped" not in response.text
    assert ("retry-after" in response.headers) is retries
    assert response.headers["x-request-id"] == "r1"


@pytest.mark.parametrize(
    "answer",
    [JSONResponse({"error": {}}, 429), JSONResponse({"a": 1}), PlainTextResponse("fine")],
)
def test_the_gateways_own_answers_pass_as_they_are(answer: Response) -> None:
    response = ask(answer)
    assert (response.status_code, response.content) == (answer.status_code, answer.body)


def test_serves_own_pages_pass_as_they_are() -> None:
    assert ask(PlainTextResponse("no routes", 503), "/-/healthz").text == "no routes"


def test_a_gateway_that_ends_without_an_answer_is_an_error_that_says_when_to_come_again() -> None:
    async def say_nothing(scope: Scope, receive: Receive, send: Send) -> None:
        return

    response = ask(say_nothing)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.json()["error"]["code"] == "unavailable"


def test_a_body_that_is_too_large_is_refused_by_its_header() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    response = ask(fail, content=b"x" * 1_001)
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert response.json()["error"]["code"] == "request_too_large"
