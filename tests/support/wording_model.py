"""A loopback chat model that words and reads a run's questions, and falls silent when it is told
to."""

import json
import threading
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from pytest_httpserver import HTTPServer
from support.examinee import Examinee, prompt_of
from werkzeug import Response

from medr_ray.questions.plans import NAMED, list_places
from medr_ray.questions.wording.grammar import ReadQuestion, read_question
from medr_ray.questions.wording.mentions import Mentions

# No two replies of a model that is asked again need be the same: the first reply opens with the
# first of these, the second with the second.
_OPENINGS = ("A colleague asks: ", "Please look this up: ")


class WordingModel:
    """Words each of the ``plain`` questions, in other words when it is asked again, and reads what
    it has worded.

    ``answered`` and ``held`` count the requests by the question in them: the answered ones and
    those to which it was silent.
    """

    def __init__(self, server: HTTPServer, plain: Iterable[str], mentions: Mentions) -> None:
        self._examinee = Examinee(server, self._answer)
        self._worded: dict[str, list[str]] = {}
        self._readings: dict[str, str] = {}
        for text in plain:
            (meaning,) = read_question(text, mentions, "en")
            self._worded[text] = [opening + text for opening in _OPENINGS]
            for worded in self._worded[text]:
                self._readings[worded] = _describe_plan(meaning, mentions)
        self.answered: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self._silent_about: Collection[str] = ()
        self._left = 0
        self._speaks = threading.Event()
        self._lock = threading.Lock()

    @property
    def plain(self) -> Collection[str]:
        """The questions that it words."""
        return self._worded.keys()

    @property
    def worded(self) -> Collection[str]:
        """The texts that it reads: all that it may have worded."""
        return self._readings.keys()

    def fall_silent(self, about: Collection[str], after: int) -> None:
        """Answer ``after`` more requests with one of these questions in it, and then none of them
        until ``speak``."""
        with self._lock:
            self._silent_about, self._left = about, after
            self._speaks.clear()

    def speak(self) -> None:
        """Answer again, but for those who are waiting: they are sent away."""
        with self._lock:
            self._silent_about = ()
            self._speaks.set()

    def _answer(self, body: dict[str, Any]) -> str | Response:
        question = self._find_question(prompt_of(body))
        with self._lock:
            if question in self._silent_about:
                self._left -= 1
            is_silent = question in self._silent_about and self._left < 0
            counts = self.held if is_silent else self.answered
            counts[question] += 1
            times_answered = self.answered[question]
        if is_silent:
            self._speaks.wait()
            return Response("too late", status=503)
        if question in self._readings:
            return self._readings[question]
        return json.dumps({"question": self._worded[question][times_answered - 1]})

    def _find_question(self, prompt: str) -> str:
        """The line of a prompt that is a question of the run."""
        (question,) = (
            line for line in prompt.splitlines() if line in self._worded or line in self._readings
        )
        return question


def _describe_plan(meaning: ReadQuestion, mentions: Mentions) -> str:
    """A model's reply that says what a question means."""
    named = []
    steps = []
    ids: list[str] = []
    for node, inputs in list_places(meaning.plan):
        ids.append(f"{'n' if node.kind == NAMED else 's'}{len(ids)}")
        if node.kind == NAMED:
            named.append({"id": ids[-1], "text": mentions.word(node.value)})
        else:
            given = [ids[place] for place in inputs]
            steps.append({"id": ids[-1], "kind": node.kind, "inputs": given})
    return json.dumps({"named": named, "steps": steps, "as_of": meaning.as_of, "left_over": []})
