"""A loopback endpoint that answers each question as a test says, whatever the order they come
in."""

import json
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig

Answer = Callable[[dict[str, Any]], "str | Response"]
PROMPT_TOKENS, OUTPUT_TOKENS = 7, 3


class Examinee:
    """``answer`` is given the request's body and returns a reply's text or a whole response."""

    def __init__(self, server: HTTPServer, answer: Answer) -> None:
        self._server, self.answer = server, answer
        self.bodies: list[dict[str, Any]] = []
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(
            self._respond
        )

    def _respond(self, request: Request) -> Response:
        body = json.loads(request.data)
        self.bodies.append(body)
        reply = self.answer(body)
        return reply if isinstance(reply, Response) else completion(reply)

    def endpoint(self, model: str = "tiny", **settings: Any) -> EndpointConfig:
        return EndpointConfig(
            base_url=self._server.url_for("/v1"),
            model=model,
            **{"requests_per_minute": 1e6, "retries": 1, **settings},
        )

    def count_requests(self, text: str, model: str = "tiny") -> int:
        """How many requests asked ``model`` for this text."""
        return sum(text in prompt_of(body) and body["model"] == model for body in self.bodies)


def prompt_of(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"])


def completion(text: str, finish_reason: str = "stop") -> Response:
    message = {"role": "assistant", "content": text}
    return Response(
        json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": "tiny",
                "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
                "usage": {
                    "prompt_tokens": PROMPT_TOKENS,
                    "completion_tokens": OUTPUT_TOKENS,
                    "total_tokens": PROMPT_TOKENS + OUTPUT_TOKENS,
                },
            }
        ),
        content_type="application/json",
    )
