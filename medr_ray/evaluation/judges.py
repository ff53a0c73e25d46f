"""Deciding whether an answer is right: by rules, or by a language model.

What holds: no answer is incorrect (the model's doing); a judge that cannot be reached or understood
leaves the item unscored, never incorrect.
"""

import json
import re
from dataclasses import dataclass
from typing import Final, Protocol

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, ModelError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Task, Verdict
from medr_ray.core.run import RunDirectory
from medr_ray.llm.roles import ChatCompleter, open_chat_client
from medr_ray.questions.answer_matching import answers_match

CORRECT: Final = "correct"
INCORRECT: Final = "incorrect"
UNSCORED: Final = "unscored"
_ATTEMPTS = 2  # a judge that was not understood is asked once more
_VERDICT = re.compile(r"\bcorrect\b[\"'*\s]*[:=][\"'*\s]*(yes|no|true|false)\b", re.I)
_WORDS = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True)
class Judgement:
    """A verdict; ``judge`` is "rules" or the model's name."""

    verdict: Verdict
    judge: str
    reason: str = ""


class AnswerJudge(Protocol):
    """Judges one answer; never raises for a failing judge."""

    async def judge(self, task: Task, prediction: str | None) -> Judgement:
        """The verdict on ``prediction``, None when the agent gave no answer."""
        ...


class RulesAnswerJudge:
    """Equality with the answer or an alias after normalisation (``questions.answer_matching``)."""

    async def judge(self, task: Task, prediction: str | None) -> Judgement:
        if prediction is None:
            return Judgement(INCORRECT, "rules", "no answer")
        same = answers_match(prediction, task.answer, task.aliases)
        return Judgement(CORRECT if same else INCORRECT, "rules")


class LLMAnswerJudge:
    """A language model called ``name`` decides."""

    def __init__(self, client: ChatCompleter, name: str) -> None:
        self._client, self._name = client, name

    async def judge(self, task: Task, prediction: str | None) -> Judgement:
        if prediction is None:
            return Judgement(INCORRECT, self._name, "no answer")
        messages = [{"role": "user", "content": judge_prompt(task, prediction)}]
        problem = ""
        for attempt in range(_ATTEMPTS):
            try:
                reply = (await self._client.complete(messages, temperature=0.0, seed=attempt)).text
            except (InfrastructureError, ModelError) as error:
                return Judgement(UNSCORED, self._name, str(error))
            verdict = parse_verdict(reply)
            if verdict is not None:
                return Judgement(CORRECT if verdict else INCORRECT, self._name, reply)
            problem = f"the judge's reply has no verdict: {reply[:200]!r}"
        return Judgement(UNSCORED, self._name, problem)


def judge_prompt(task: Task, prediction: str) -> str:
    """The instructions to the judging model, in the task's language."""
    values = {
        "question": task.text,
        "answer": task.answer,
        "prediction": prediction,
        "aliases": "; ".join(task.aliases) or "-",
    }
    template = read_prompt("medr_ray.evaluation", "judge", task.language)
    return re.sub(
        r"\{(question|answer|aliases|prediction)\}", lambda match: values[match[1]], template
    )


def parse_verdict(reply: str) -> bool | None:
    """The verdict in a judge's reply: its JSON field ``correct``, else its last ``correct:
    yes|no``, else None."""
    start, end = reply.find("{"), reply.rfind("}")
    if 0 <= start < end:
        try:
            value = json.loads(reply[start : end + 1]).get("correct")
        except (json.JSONDecodeError, AttributeError):
            value = None
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in _WORDS:
            return _WORDS[value.strip().lower()]
    found = _VERDICT.findall(reply)
    return _WORDS[found[-1].lower()] if found else None


def build_judge(config: PipelineConfig, run: RunDirectory) -> AnswerJudge:
    """The judge ``evaluation.judge`` names."""
    if config.evaluation.judge == "rules":
        return RulesAnswerJudge()
    return LLMAnswerJudge(open_chat_client(config.llm, run), config.llm.model)
