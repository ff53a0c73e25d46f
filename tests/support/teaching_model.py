"""A loopback chat model that teaches and rewrites, and falls silent when it is told to."""

import json
import re
import threading
from collections import Counter
from typing import Any, Literal

from pytest_httpserver import HTTPServer
from support.examinee import Examinee
from werkzeug import Response

from medr_ray.agent.protocol import ToolCall, render_reply

Part = Literal["teaching", "rewriting"]
# What a question asks for, in its text and in a document.
_CASE = re.compile(r"\bcase (\w+)")


def word_question(case: str) -> str:
    return f"Which gene does the report of case {case} name?"


def write_report(case: str) -> str:
    """A document that answers the question of a case."""
    return f"Case {case}. Sequencing found a variant of {name_answer(case)}."


def name_answer(case: str) -> str:
    return f"{case.upper()}1"


class TeachingModel:
    """Searches for the report of the case that a question is about, and answers by it; and words
    the thoughts of a dialogue anew.

    ``answered`` and ``held`` count the requests by (part, text of the request): the answered ones
    and those to which it was silent.
    """

    def __init__(self, server: HTTPServer) -> None:
        self._examinee = Examinee(server, self._answer)
        self.answered: Counter[tuple[Part, str]] = Counter()
        self.held: Counter[tuple[Part, str]] = Counter()
        self._silent_part: Part | None = None
        self._left = 0
        self._speaks = threading.Event()
        self._lock = threading.Lock()

    def count_answers(self, part: Part) -> int:
        return sum(count for (name, _), count in self.answered.items() if name == part)

    def fall_silent(self, part: Part, after: int) -> None:
        """Answer ``after`` more requests of this part, and then none of them until ``speak``."""
        with self._lock:
            self._silent_part, self._left = part, after
            self._speaks.clear()

    def speak(self) -> None:
        """Answer again, but for those who are waiting: they are sent away."""
        with self._lock:
            self._silent_part = None
            self._speaks.set()

    def _answer(self, body: dict[str, Any]) -> str | Response:
        messages = body["messages"]
        part: Part = "teaching" if messages[0]["role"] == "system" else "rewriting"
        with self._lock:
            is_silent = False
            if part == self._silent_part:
                self._left -= 1
                is_silent = self._left < 0
            counts = self.held if is_silent else self.answered
            counts[part, json.dumps(messages)] += 1
        if is_silent:
            self._speaks.wait()
            return Response("too late", status=503)
        return _teach(messages) if part == "teaching" else _rewrite(messages[0]["content"])


def _find_case(text: str) -> str:
    match = _CASE.search(text)
    assert match is not None, text
    return match[1]


def _teach(messages: list[dict[str, Any]]) -> str:
    case = _find_case(messages[1]["content"])
    if len(messages) == 2:
        query = {"query": f"report of case {case}"}
        return render_reply("I look for the report.", [ToolCall("search", query)])
    return render_reply("The report names it.", answer=name_answer(case))


def _rewrite(prompt: str) -> str:
    case = _find_case(prompt)
    return json.dumps({"thoughts": [f"First the report of case {case}.", f"Case {case} is read."]})
