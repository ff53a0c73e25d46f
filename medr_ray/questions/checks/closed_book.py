"""Asking a language model questions without tools: what it answers from memory, and how often it is
right.

What holds: an attempt is right when its final answer matches by ``questions.answer_matching`` and
wrong otherwise, also when it gives none; an endpoint that fails, or a spent budget, ends the
examination as an error and is never a wrong answer. A reply that was cut off is asked for again
with more room; cut off with that as well, it is wrong. What was examined before is found in the
ledger and not asked again.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

import numpy as np

from medr_ray.core.config import EndpointConfig
from medr_ray.core.parts import digest
from medr_ray.core.progress import Bar
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Calibration, Language, Task
from medr_ray.core.run import Directory
from medr_ray.entities.rarity import clopper_pearson
from medr_ray.llm.completions import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.llm.roles import ChatCompleter
from medr_ray.questions.answer_matching import answers_match

TEMPERATURE = 0.7  # of several attempts where the endpoint says 0: attempts that cannot differ measure nothing
ENOUGH_TOKENS = 4096  # room for a model that reasons at length; endpoints with less get it when a reply is cut off
PART_SIZE = (
    128  # examinations per part of a ledger: what a kill loses, unless the response cache has it
)
_CUT_OFF = "length"
_THOUGHT = re.compile(r"<think>.*?</think>", re.S)
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.S | re.I)
_MARKED = re.compile(
    r"^[\s>*_#`-]*(?:(?:(?:the|my)\s+)?(?:final\s+|correct\s+|best\s+)?answer|(?:最终|最后|正确)?答案)[*_\s]*"
    r"(?:[:：]|is\b\s*:?|是[:：]?|为[:：]?)[*_\s]*(\S[^\n]*)",
    re.I | re.M,
)
_MARKUP = " \t\r\n*_`\"'“”‘’「」"


# --- one reply ------------------------------------------------------------------------


def parse_answer(reply: str) -> str | None:
    """The final answer of a reply: what its last "Answer: ..." says (also "The answer is ...",
    "答案：..." and ``<answer>`` tags), or the reply itself when it is a single line; None when there
    is none. Thoughts do not count."""
    body = _THOUGHT.sub("", reply).rpartition("</think>")[2].partition("<think>")[0]
    marked = [
        (one.start(), one[1]) for pattern in (_MARKED, _TAGGED) for one in pattern.finditer(body)
    ]
    lines = [line for line in body.splitlines() if line.strip()]
    alone = (
        lines[0] if len(lines) == 1 and not lines[0].rstrip(_MARKUP).endswith((":", "：")) else ""
    )
    return _bare(max(marked)[1] if marked else alone) or None


def _bare(answer: str) -> str:
    """Without quotation marks, emphasis and the brackets of a copied ``<...>``."""
    answer = answer.strip(_MARKUP)
    return (
        answer[1:-1].strip(_MARKUP) if answer.startswith("<") and answer.endswith(">") else answer
    )


def closed_book_prompt(text: str, language: Language) -> str:
    """The message that asks ``text`` (in "en" or "zh")."""
    template = Template(read_prompt("medr_ray.questions", "closed_book", language))
    return template.substitute(question=text)


# --- one model ------------------------------------------------------------------------


@dataclass(frozen=True)
class Examination:
    """``model`` answered ``correct`` of ``attempts`` right; ``unanswered`` replies held no answer
    and count as wrong. ``tokens`` read and sampled, as the endpoint counted them when it
    replied."""

    model: str
    attempts: int
    correct: int
    unanswered: int
    tokens: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.attempts

    def calibration(self, rounds: int) -> Calibration:
        """The record of it, after ``rounds`` of regeneration, with its 95 % interval."""
        lower, upper = clopper_pearson(np.array([self.correct]), self.attempts)
        return Calibration(
            self.model,
            self.attempts,
            self.correct,
            self.accuracy,
            float(lower[0]),
            float(upper[0]),
            rounds,
            self.tokens,
        )


@dataclass(frozen=True)
class _Attempt:
    correct: bool
    answered: bool
    tokens: int


class Examiner:
    """Puts questions to the model of ``endpoint`` through ``client``, ``attempts`` times each.
    Several attempts are sampled with the seeds 0, 1, ..., so that they differ and can be cached."""

    def __init__(self, endpoint: EndpointConfig, client: ChatCompleter, attempts: int) -> None:
        self.model, self.concurrency, self.attempts = endpoint.model, endpoint.concurrency, attempts
        self._endpoint, self._client = endpoint, client
        self._temperature = (
            (endpoint.temperature or TEMPERATURE) if attempts > 1 else endpoint.temperature
        )

    def key(self, task: Task) -> str:
        """What an examination follows from: equal keys need no second one."""
        return digest(
            closed_book_prompt(task.text, task.language),
            task.answer,
            task.aliases,
            self._endpoint.identity() | {"temperature": self._temperature},
            self.attempts,
        )

    async def examine(self, task: Task) -> Examination:
        """The model's attempts at one task, judged.

        Raises what ``ChatClient.complete`` raises: InfrastructureError when the endpoint stays
        unreachable, ConfigError when it refuses the key or the model, BudgetExceeded when the
        budget is spent.
        """
        made = await asyncio.gather(*(self._attempt(task, seed) for seed in range(self.attempts)))
        return Examination(
            self.model,
            self.attempts,
            sum(one.correct for one in made),
            sum(not one.answered for one in made),
            sum(one.tokens for one in made),
        )

    async def _attempt(self, task: Task, seed: int) -> _Attempt:
        result = await self._ask(task, seed, self._endpoint.max_tokens)
        tokens = result.prompt_tokens + result.output_tokens
        if result.finish_reason == _CUT_OFF and self._endpoint.max_tokens < ENOUGH_TOKENS:
            try:
                result = await self._ask(task, seed, ENOUGH_TOKENS)
                tokens += result.prompt_tokens + result.output_tokens
            except ContextLengthExceeded:  # the model takes no more: the reply stays cut off
                return _Attempt(False, False, tokens)
        answer = None if result.finish_reason == _CUT_OFF else parse_answer(result.text)
        correct = answer is not None and answers_match(answer, task.answer, task.aliases)
        return _Attempt(correct, answer is not None, tokens)

    async def _ask(self, task: Task, seed: int, max_tokens: int) -> ChatResult:
        messages = [{"role": "user", "content": closed_book_prompt(task.text, task.language)}]
        return await self._client.complete(
            messages, temperature=self._temperature, max_tokens=max_tokens, seed=seed
        )


# --- many questions -------------------------------------------------------------------


@dataclass(frozen=True)
class LedgerRow:
    """A finished examination under the key of its examiner and question."""

    key: str
    question_id: str
    examination: Examination


class ExaminationLedger:
    """Finished examinations in parts of ``directory``; a part appears whole or not at all."""

    def __init__(self, directory: Directory, part_size: int = PART_SIZE) -> None:
        self._directory, self._part_size = directory, part_size
        self._parts = len(directory.list_files())
        self._open: list[LedgerRow] = []
        self._found = {
            row.key: row.examination
            for name in directory.list_files()
            for row in directory.read_records(name, LedgerRow)
        }

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __getitem__(self, key: str) -> Examination:
        """The finished examination of that key."""
        return self._found[key]

    def add(self, key: str, question_id: str, examination: Examination) -> None:
        """Keep a finished examination; written with the part that it completes."""
        self._found[key] = examination
        self._open.append(LedgerRow(key, question_id, examination))
        if len(self._open) >= self._part_size:
            self.flush()

    def flush(self) -> None:
        """Write what is not yet written."""
        if self._open:
            self._directory.write_records(f"part-{self._parts:05d}.parquet", LedgerRow, self._open)
            self._parts, self._open = self._parts + 1, []


def examine_all(
    tasks: Sequence[Task],
    examiners: Sequence[Examiner],
    ledger: ExaminationLedger,
    bar: Bar,
) -> list[tuple[Examination, ...]]:
    """For each task what each examiner found, in their order. All missing ones are asked at
    once, as far as the endpoints' limits allow. What was finished before an error is kept in the
    ledger."""
    keyed = [[(one, who, who.key(one)) for who in examiners] for one in tasks]
    missing = {key: (one, who) for row in keyed for one, who, key in row if key not in ledger}
    bar.resume(len(tasks) * len(examiners) - len(missing))
    try:
        asyncio.run(_examine(missing, ledger, bar))
    finally:
        ledger.flush()
    return [tuple(ledger[key] for _, _, key in row) for row in keyed]


async def _examine(
    missing: dict[str, tuple[Task, Examiner]], ledger: ExaminationLedger, bar: Bar
) -> None:
    """Tasks enter as others leave: requests that only wait would hold tokens of the budget."""
    doors = {id(who): asyncio.Semaphore(who.concurrency) for _, who in missing.values()}
    tokens = 0

    async def one(key: str, task: Task, who: Examiner) -> None:
        nonlocal tokens
        async with doors[id(who)]:
            examination = await who.examine(task)
        ledger.add(key, task.task_id, examination)
        tokens += examination.tokens
        bar.advance(note=f"{tokens:,} tokens")

    await asyncio.gather(*(one(key, task, who) for key, (task, who) in missing.items()))
