"""Deciding whether an answer is right: by rules, or by a language model.

No answer is incorrect, because that is the model's doing. A judge that cannot be reached or
understood leaves the answer unscored, never incorrect.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import BaseModel

from medr_ray.agent.untrusted_text import defuse
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, ModelError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import EvaluationResult, Task, Trajectory, Verdict
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.verdicts import parse_verdict
from medr_ray.llm.roles import TextClient, open_chat_client
from medr_ray.questions.answer_matching import answers_match

CORRECT: Final = "correct"
INCORRECT: Final = "incorrect"
UNSCORED: Final = "unscored"

# A judge whose reply has no verdict is asked once more, with another seed.
_JUDGE_ATTEMPTS = 2
# What became of a reply that is not whole, by its finish reason.
_BROKEN_OFF = {"length": "cut off", "content_filter": "refused or filtered"}
# Characters of a reply without a verdict that the reason quotes.
_QUOTED_REPLY_CHARS = 200
# Characters of an answer that the judge is shown. One that is longer is cut: an answer is a name,
# a figure or a sentence.
_SHOWN_ANSWER_CHARS = 4_000
# The beginning of any tag; "p<0.05" has none.
_TAG_OPENING = re.compile(r"<(?=[\s/]*[^\W\d])")
# Characters without width, within which a tag could hide.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PROMPT_FIELD = re.compile(r"\{(question|answer|aliases|prediction)\}")


@dataclass(frozen=True)
class Judgement:
    """A verdict; ``judge`` is "rules" or the model's name."""

    verdict: Verdict
    judge: str
    reason: str = ""


@dataclass(frozen=True)
class JudgedAnswer:
    """What came of an attempt.

    ``trajectory`` is None when infrastructure failed it. ``reason`` is the judge's, or what failed.
    """

    result: EvaluationResult
    trajectory: Trajectory | None
    reason: str = ""


class AnswerJudge(Protocol):
    """Judges one answer. A judge that fails on it leaves it unscored."""

    async def judge(self, task: Task, prediction: str | None) -> Judgement:
        """The verdict on ``prediction``, None when the agent gave no answer.

        Raises ConfigError (a refused key, an account without money) and BudgetExceeded, which
        would leave every other answer unscored too: they end the stage, and what was judged is
        kept.
        """
        ...


class RulesAnswerJudge:
    """Equality with the answer or an alias after normalisation (``questions.answer_matching``)."""

    async def judge(self, task: Task, prediction: str | None) -> Judgement:
        if prediction is None:
            return Judgement(INCORRECT, "rules", "no answer")
        is_correct = answers_match(prediction, task.answer, task.aliases)
        return Judgement(CORRECT if is_correct else INCORRECT, "rules")


class VerdictReply(BaseModel):
    """What the judging model is asked for, where the endpoint can be held to a form."""

    reason: str
    correct: bool


class LLMAnswerJudge:
    """A language model called ``name`` decides."""

    def __init__(self, client: TextClient, name: str) -> None:
        self._client = client
        self._name = name

    async def judge(self, task: Task, prediction: str | None) -> Judgement:
        if prediction is None:
            return Judgement(INCORRECT, self._name, "no answer")
        messages = [{"role": "user", "content": build_judge_prompt(task, prediction)}]
        reason = ""
        for seed in range(_JUDGE_ATTEMPTS):
            try:
                # The seed is part of the key of the response cache: without another one the second
                # attempt would get the first reply again.
                completion = await self._client.complete(
                    messages, temperature=0.0, seed=seed, reply_type=VerdictReply
                )
            except (InfrastructureError, ModelError) as error:
                return Judgement(UNSCORED, self._name, str(error))
            reply = completion.text
            if completion.finish_reason in _BROKEN_OFF:
                # What is left of it may state the opposite of the whole.
                what = _BROKEN_OFF[completion.finish_reason]
                quoted = (completion.refusal or reply)[:_QUOTED_REPLY_CHARS]
                reason = f"the judge's reply was {what}: {quoted!r}"
                continue
            is_correct = parse_verdict(reply)
            if is_correct is not None:
                return Judgement(CORRECT if is_correct else INCORRECT, self._name, reply)
            reason = f"the judge's reply has no verdict: {reply[:_QUOTED_REPLY_CHARS]!r}"
        return Judgement(UNSCORED, self._name, reason)


def build_judge_prompt(task: Task, prediction: str) -> str:
    """The instructions to the judging model, in the task's language.

    The answer stands on one line between tags that it cannot close, and holds no token of a chat
    template.
    """
    visible_text = _INVISIBLE.sub("", prediction[: 2 * _SHOWN_ANSWER_CHARS])
    answer_line = " ".join(defuse(visible_text).split())[:_SHOWN_ANSWER_CHARS]
    values = {
        "question": task.text,
        "answer": task.answer,
        # A look-alike, because what is left after a removal could join to a tag.
        "prediction": _TAG_OPENING.sub("‹", answer_line),
        "aliases": "; ".join(task.aliases) or "-",
    }
    template = read_prompt("medr_ray.evaluation", "judge", task.language)
    # One pass over the template: str.format or repeated replacement would also fill in fields
    # that the answer itself contains.
    return _PROMPT_FIELD.sub(lambda match: values[match[1]], template)


def build_configured_judge(config: PipelineConfig, run: RunDirectory) -> AnswerJudge:
    """The judge that ``evaluation.judge`` names."""
    if config.evaluation.judge == "rules":
        return RulesAnswerJudge()
    return LLMAnswerJudge(open_chat_client(config.llm, run, "judge"), config.llm.model)
