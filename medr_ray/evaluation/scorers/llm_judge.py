"""A language model that judges: it is shown question, right answer and given answer, and replies
with a verdict.

The given answer stands between tags that it cannot close. A reply that is cut off, refused or
without a verdict is asked for once more, and then leaves the answer unscored, never incorrect.
"""

import functools
import hashlib
import json
import re
from typing import Final

from pydantic import BaseModel

from medr_ray.agent.untrusted_text import defuse
from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import InfrastructureError, ModelError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Task, Verdict
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers import verdicts
from medr_ray.evaluation.scorers.base import (
    CORRECT,
    INCORRECT,
    UNSCORED,
    Score,
    build_identity,
    identify_code,
)
from medr_ray.evaluation.scorers.verdicts import parse_verdict
from medr_ray.llm.roles import TextClient, open_chat_client

_PACKAGE = "medr_ray.evaluation"
_LANGUAGES: Final = ("en", "zh")  # of every judging prompt
# Rises when the same reply may get another verdict for a reason outside the digests of
# ``LLMJudge.identity``: how the prompt is filled in, or which replies count as whole.
_CODE_VERSION = "1"
# A judge whose reply has no verdict is asked once more, with another seed.
_JUDGE_ATTEMPTS = 2
# What became of a reply that is not whole, by its finish reason.
_BROKEN_OFF = {"length": "cut off", "content_filter": "refused or filtered"}
# Characters of a reply without a verdict that the reason quotes.
_QUOTED_REPLY_CHARS = 200
# Characters of an answer that the judge is shown. One that is longer is cut: an answer is a name,
# a figure or a sentence.
_SHOWN_ANSWER_CHARS = 4_000
# Hexadecimal digits of a prompt's digest in a score: 48 bits.
_DIGEST_CHARACTERS = 12
# The beginning of any tag; "p<0.05" has none.
_TAG_OPENING = re.compile(r"<(?=[\s/]*[^\W\d])")
# Characters without width, within which a tag could hide.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PROMPT_FIELD = re.compile(r"\{(question|answer|aliases|prediction)\}")


class VerdictReply(BaseModel):
    """What the judging model is asked for, where the endpoint can be held to a form."""

    reason: str
    correct: bool


class LLMJudge:
    """The language model called ``model`` decides, asked with the prompt files called ``prompt``.

    ``endpoint`` is a text that changes with what else decides the model's replies, such as its
    address. ``name`` is the scorer's: "llm", or a benchmark's whose official scorer is a model.
    """

    def __init__(
        self,
        client: TextClient,
        model: str,
        *,
        endpoint: str = "",
        prompt: str = "judge",
        name: str = "llm",
    ) -> None:
        self.name = name
        self._client = client
        self._model = model
        self._endpoint = endpoint
        self._prompt = prompt

    def identity(self) -> str:
        prompts = (_name_prompt(self._prompt, language) for language in _LANGUAGES)
        return build_identity(
            self.name,
            self._model,
            self._endpoint,
            *prompts,
            # Of the code that reads the replies.
            identify_code("verdicts", verdicts),
            _CODE_VERSION,
        )

    async def score(self, task: Task, prediction: str | None) -> Score:
        if prediction is None:
            return self._build_score(task, INCORRECT, "", "no answer")
        messages = [{"role": "user", "content": build_judge_prompt(task, prediction, self._prompt)}]
        reason = ""
        for seed in range(_JUDGE_ATTEMPTS):
            try:
                # The seed is part of the key of the response cache: without another one the second
                # attempt would get the first reply again.
                completion = await self._client.complete(
                    messages, temperature=0.0, seed=seed, reply_type=VerdictReply
                )
            except (InfrastructureError, ModelError) as error:
                return self._build_score(task, UNSCORED, prediction, str(error))
            reply = completion.text
            if completion.finish_reason in _BROKEN_OFF:
                # What is left of it may state the opposite of the whole.
                what = _BROKEN_OFF[completion.finish_reason]
                quoted = (completion.refusal or reply)[:_QUOTED_REPLY_CHARS]
                reason = f"the judge's reply was {what}: {quoted!r}"
                continue
            is_correct = parse_verdict(reply)
            if is_correct is not None:
                verdict: Verdict = CORRECT if is_correct else INCORRECT
                return self._build_score(task, verdict, prediction, reply)
            reason = f"the judge's reply has no verdict: {reply[:_QUOTED_REPLY_CHARS]!r}"
        return self._build_score(task, UNSCORED, prediction, reason)

    def _build_score(self, task: Task, verdict: Verdict, extracted: str, reason: str) -> Score:
        value = None if verdict == UNSCORED else float(verdict == CORRECT)
        prompt = _name_prompt(self._prompt, task.language)
        return Score(verdict, value, extracted, self.name, self._model, reason, prompt)


def build_judge_prompt(task: Task, prediction: str, prompt: str = "judge") -> str:
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
    template = read_prompt(_PACKAGE, prompt, task.language)
    # One pass over the template: str.format or repeated replacement would also fill in fields
    # that the answer itself contains.
    return _PROMPT_FIELD.sub(lambda match: values[match[1]], template)


def open_judge(
    endpoint: EndpointConfig, run: RunDirectory, *, prompt: str = "judge", name: str = "llm"
) -> LLMJudge:
    """A judge at a configured endpoint, which keeps replies and costs in ``run``.

    Raises ConfigError when the endpoint names no model.
    """
    client = open_chat_client(endpoint, run, "judge")
    identity = json.dumps(endpoint.identity(), sort_keys=True)
    return LLMJudge(client, endpoint.model, endpoint=identity, prompt=prompt, name=name)


@functools.cache
def _name_prompt(prompt: str, language: str) -> str:
    """ "judge.en 3f2a…": the file of a prompt and a digest of its text."""
    text = read_prompt(_PACKAGE, prompt, language)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{prompt}.{language} {digest}"
