"""A chat endpoint that knows half of the answers, judges, counts what it is asked, and fails as it
is told.

``weather`` says what comes of the request with this number (from 1): None for an answer, or a
``Response`` in its place.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from support.loopback import server
from werkzeug import Request, Response

QUESTIONS = [f"What is the number of thing {number}?" for number in range(12)]
JUDGE = "judge"  # the name of the model that judges, or how it begins
Weather = Callable[[int], Response | None]


def answer_of(question: str) -> str:
    """The right answer."""
    return f"N{hashlib.sha256(question.encode()).hexdigest()[:6]}"


def write_questions(path: Path, count: int = len(QUESTIONS)) -> Path:
    """A benchmark of the first questions."""
    rows = [
        {"question": question, "answer": answer_of(question), "category": "ab"[number % 2]}
        for number, question in enumerate(QUESTIONS[:count])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sunny(number: int) -> None:
    """Nothing fails."""


def half_fails(number: int) -> Response | None:
    """Every second request fails, each in its own way."""
    if number % 2 == 0:
        return None
    failures = (
        Response("out of memory", status=500),
        Response("<html>Your proxy welcomes you</html>", content_type="text/html"),
        Response("slow down", status=429, headers={"Retry-After": "0"}),
        Response('{"choices": []}', content_type="application/json"),
    )
    return failures[number // 2 % len(failures)]


def only_pages(number: int) -> Response:
    """A proxy's page in place of every answer, with status 200."""
    return Response("<html>Please log in</html>", content_type="text/html")


class AskedEndpoint:
    """``asked`` has the bodies of the questions, ``judged`` those of the judgements."""

    def __init__(self, server: HTTPServer, weather: Weather, seconds: float) -> None:
        self.weather = weather
        self.asked: list[dict[str, Any]] = []
        self.judged: list[dict[str, Any]] = []
        self.url = server.url_for("/asked/v1")
        self._seconds = seconds
        self._number = 0
        self._lock = threading.Lock()
        server.expect_request("/asked/v1/chat/completions", method="POST").respond_with_handler(
            self._respond
        )

    def _respond(self, request: Request) -> Response:
        body = json.loads(request.data)
        with self._lock:
            self._number += 1
            number = self._number
        failure = self.weather(number)
        if failure is not None:
            return failure
        time.sleep(self._seconds)
        prompt = str(body["messages"][-1]["content"])
        is_judge = body["model"].startswith(JUDGE)
        with self._lock:
            (self.judged if is_judge else self.asked).append(body)
        text = _judge(prompt) if is_judge else _answer(prompt, body.get("seed", 0))
        message = {"role": "assistant", "content": text}
        completion = {
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        }
        return Response(json.dumps(completion), content_type="application/json")


def _answer(prompt: str, seed: int) -> str:
    """What the model says: right or wrong by its seed."""
    question = next(question for question in QUESTIONS if question in prompt)
    answer = answer_of(question) if seed % 2 else "N0"
    return f"<think>Let me see.</think>I believe so.\nAnswer: {answer}"


def _judge(prompt: str) -> str:
    question = next(question for question in QUESTIONS if question in prompt)
    given = prompt.split("<given_answer>")[1].split("</given_answer>")[0]
    is_correct = str(given == answer_of(question)).lower()
    return f'{{"reason": "compared", "correct": {is_correct}}}'


@contextmanager
def asked_endpoint(weather: Weather = sunny, seconds: float = 0.0) -> Iterator[AskedEndpoint]:
    """The endpoint while it is up; an answer takes it ``seconds``."""
    try:
        yield AskedEndpoint(server(), weather, seconds)
    finally:
        server().clear()
