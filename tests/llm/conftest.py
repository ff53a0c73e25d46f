"""A client of a loopback endpoint with its own governor and no waiting between attempts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig
from medr_ray.core.run import Directory
from medr_ray.governor import actor as governor_actor
from medr_ray.governor.actor import LocalGovernorClient
from medr_ray.llm import client as client_module
from medr_ray.llm.client import ChatClient

SECRET = "sk-very-secret-1234567890"
Make = Callable[..., ChatClient]


@pytest.fixture(autouse=True)
def _use_own_governor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A governor that no other test has spoken to, also where one has Ray up."""
    monkeypatch.setattr(governor_actor, "_local_client", LocalGovernorClient())
    if "ray_local" not in request.fixturenames:
        monkeypatch.setattr(governor_actor, "_current_ray_session", lambda: None)
    monkeypatch.setattr(client_module, "_BACKOFF_SECONDS", 0.0)
    monkeypatch.setenv("SERVICE_TEST_KEY", SECRET)


@pytest.fixture
def make(httpserver: HTTPServer, tmp_path: Path) -> Make:
    """A client of the test server; ``run=None`` for one without a run directory, other arguments as
    in the config."""

    default_run = Directory(str(tmp_path))

    def build(run: Directory | None = default_run, **settings: Any) -> ChatClient:
        defaults = {
            "model": "tiny",
            "api_key_env": "SERVICE_TEST_KEY",
            "requests_per_minute": 1e6,
            "retries": 3,
        }
        config = EndpointConfig(base_url=httpserver.url_for("/v1"), **{**defaults, **settings})
        return ChatClient(config, run)

    return build


def completion(text: str, prompt_tokens: int = 7, output_tokens: int = 3) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": prompt_tokens + output_tokens,
        },
    }


class Script:
    """A server that answers with each of its lines in turn, and then with the last one for ever."""

    def __init__(self, server: HTTPServer, *lines: Response | dict[str, Any]) -> None:
        self._lines = list(lines)
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.headers: list[dict[str, str]] = []
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(
            self._send_next_line
        )

    def _send_next_line(self, request: Request) -> Response:
        self.bodies.append(json.loads(request.data))
        self.keys.append(request.headers["Authorization"])
        self.headers.append(dict(request.headers))
        line = self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]
        return (
            line
            if isinstance(line, Response)
            else Response(json.dumps(line), content_type="application/json")
        )
