"""A loopback chat endpoint that answers as a test says and counts a token for every four characters
of what it reads and writes."""

import json
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig

_CHARACTERS_PER_TOKEN = 4
Answer = Callable[[dict[str, Any]], "str | Response"]


class MeteredEndpoint:
    """``answer`` is given the body of a request and returns the reply. ``bodies`` are all of
    them, ``keys`` the headers that came with them."""

    def __init__(self, server: HTTPServer, answer: Answer) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = server.url_for("/v1")
        server.expect_request("/v1/models").respond_with_json({"data": []})
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(
            self._respond
        )

    def config(self, **settings: Any) -> EndpointConfig:
        usual = {"model": "m", "requests_per_minute": 1e6, "retries": 0}
        return EndpointConfig(base_url=self.url, **{**usual, **settings})

    def _respond(self, request: Request) -> Response:
        body = json.loads(request.data)
        self.bodies.append(body)
        self.keys.append(request.headers.get("Authorization", ""))
        reply = self.answer(body)
        if isinstance(reply, Response):
            return reply
        message = {"role": "assistant", "content": reply}
        prompt = "".join(str(part["content"]) for part in body["messages"])
        completion = {
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": len(prompt) // _CHARACTERS_PER_TOKEN,
                "completion_tokens": len(reply) // _CHARACTERS_PER_TOKEN,
            },
        }
        return Response(json.dumps(completion), content_type="application/json")
