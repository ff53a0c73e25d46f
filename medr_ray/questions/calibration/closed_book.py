"""Examinations of a language model without tools: how often it answers a question from memory.

An attempt is right when its final answer matches by ``questions.answer_matching`` and wrong
otherwise, also when it has no final answer. An endpoint that fails, or a spent budget, ends the
examination as an error and is never a wrong answer. A reply that was cut off is requested again
with more room; if that is cut off too, the attempt is wrong. Finished examinations are read from
the ledger and not repeated.
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
from medr_ray.entities.rarity import compute_clopper_pearson
from medr_ray.llm.completions import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.llm.roles import TextClient
from medr_ray.llm.thoughts import split_thought
from medr_ray.questions.answer_matching import answers_match

# Sampling temperature of several attempts where the endpoint says 0: attempts that cannot differ
# measure nothing.
SAMPLING_TEMPERATURE = 0.7
# Output tokens for a model that reasons at length. An endpoint with fewer gets them when a reply is
# cut off.
RETRY_TOKENS = 4096
# Examinations per part of a ledger. A killed stage loses the unfinished part, unless the response
# cache has the replies.
EXAMINATIONS_PER_PART = 128
_CUT_OFF = "length"  # the finish reason of a reply that ran out of tokens
_TAG = re.compile(r"</?answer>", re.I)
_MARKED = re.compile(
    r"^(?:[^\S\n]|[>*_#`-])*"
    r"(?:(?:(?:the|my)\s+)?(?:final\s+|correct\s+|best\s+)?answer|(?:最终|最后|正确)?答案)[*_\s]*"
    r"(?:[:：]|is\b\s*:?|是[:：]?|为[:：]?)[*_\s]*(\S[^\n]*)",
    re.I | re.M,
)
_MARKUP = " \t\r\n*_`\"'“”‘’「」"


# --- one reply ------------------------------------------------------------------------


def parse_answer(reply: str) -> str | None:
    """Return the final answer of a reply, or None when it has none.

    It is the text after the last "Answer: ..." (also "The answer is ...", "答案：..." and
    ``<answer>`` tags), or the reply itself when it is a single line. Thoughts do not count.
    """
    body = split_thought(reply).rest
    marked = [(match.start(), match[1]) for match in _MARKED.finditer(body)]
    marked += _find_tagged(body)
    if marked:
        # The last one: a model may correct itself.
        _, answer = max(marked)
        return _strip_markup(answer) or None
    lines = [line for line in body.splitlines() if line.strip()]
    # A line that ends in a colon announces an answer but does not give it.
    if len(lines) != 1 or lines[0].rstrip(_MARKUP).endswith((":", "：")):
        return None
    return _strip_markup(lines[0]) or None


def _find_tagged(body: str) -> list[tuple[int, str]]:
    """(where it begins, text) of what stands between two ``<answer>`` tags."""
    tagged = []
    opening: re.Match[str] | None = None
    for tag in _TAG.finditer(body):
        if not tag.group().startswith("</"):
            opening = tag
        elif opening is not None:
            tagged.append((opening.start(), body[opening.end() : tag.start()]))
            opening = None
    return tagged


def _strip_markup(answer: str) -> str:
    """Return ``answer`` without quotation marks, emphasis and brackets of a copied ``<...>``."""
    answer = answer.strip(_MARKUP)
    if answer.startswith("<") and answer.endswith(">"):
        return answer[1:-1].strip(_MARKUP)
    return answer


def format_closed_book_prompt(text: str, language: Language) -> str:
    """Return the message that asks ``text`` (in "en" or "zh")."""
    template = Template(read_prompt("medr_ray.questions", "closed_book", language))
    return template.substitute(question=text)


# --- one model ------------------------------------------------------------------------


@dataclass(frozen=True)
class Examination:
    """The result of one model on one question.

    ``unanswered`` replies had no answer and count as wrong. ``tokens`` are those read and sampled,
    as the endpoint counted them when it replied.
    """

    model: str
    attempts: int
    correct: int
    unanswered: int
    tokens: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.attempts

    def to_calibration_record(self, replacement_count: int) -> Calibration:
        """Return its record after ``replacement_count`` replacements, with the 95 % interval."""
        lower, upper = compute_clopper_pearson(np.array([self.correct]), self.attempts)
        return Calibration(
            self.model,
            self.attempts,
            self.correct,
            self.accuracy,
            float(lower[0]),
            float(upper[0]),
            replacement_count,
            self.tokens,
        )


@dataclass(frozen=True)
class _Attempt:
    correct: bool
    answered: bool
    tokens: int


class Examiner:
    """Asks the model of ``endpoint`` each question ``attempts`` times through ``client``.

    Several attempts are sampled with the seeds 0, 1, ..., so that they differ and can be cached.
    """

    def __init__(self, endpoint: EndpointConfig, client: TextClient, attempts: int) -> None:
        self.model = endpoint.model
        self.concurrency = endpoint.concurrency
        self.attempts = attempts
        self._endpoint = endpoint
        self._client = client
        self._temperature = endpoint.temperature
        # Several attempts at temperature 0 would all be the same.
        if attempts > 1:
            self._temperature = endpoint.temperature or SAMPLING_TEMPERATURE

    def compute_key(self, task: Task) -> str:
        """Return the digest of everything an examination depends on.

        An examination with an equal key need not be repeated.
        """
        return digest(
            format_closed_book_prompt(task.text, task.language),
            task.answer,
            task.aliases,
            self._endpoint.identity() | {"temperature": self._temperature},
            self.attempts,
        )

    async def examine(self, task: Task) -> Examination:
        """Return the judged attempts of the model at one task.

        Raises what ``ChatClient.complete`` raises: InfrastructureError when the endpoint stays
        unreachable, ConfigError when it refuses the key or the model, BudgetExceeded when the
        budget is spent.
        """
        attempts = await asyncio.gather(
            *(self._attempt(task, seed) for seed in range(self.attempts))
        )
        return Examination(
            self.model,
            self.attempts,
            sum(attempt.correct for attempt in attempts),
            sum(not attempt.answered for attempt in attempts),
            sum(attempt.tokens for attempt in attempts),
        )

    async def _attempt(self, task: Task, seed: int) -> _Attempt:
        result = await self._ask(task, seed, self._endpoint.max_tokens)
        tokens = result.prompt_tokens + result.output_tokens
        if result.finish_reason == _CUT_OFF and self._endpoint.max_tokens < RETRY_TOKENS:
            try:
                result = await self._ask(task, seed, RETRY_TOKENS)
                tokens += result.prompt_tokens + result.output_tokens
            except ContextLengthExceeded:
                # The model takes no more: the reply stays cut off.
                return _Attempt(False, False, tokens)
        # An answer in a reply that was cut off may not be the final one.
        answer = None if result.finish_reason == _CUT_OFF else parse_answer(result.text)
        correct = answer is not None and answers_match(answer, task.answer, task.aliases)
        return _Attempt(correct, answer is not None, tokens)

    async def _ask(self, task: Task, seed: int, max_tokens: int) -> ChatResult:
        messages = [
            {"role": "user", "content": format_closed_book_prompt(task.text, task.language)}
        ]
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

    def __init__(self, directory: Directory, part_size: int = EXAMINATIONS_PER_PART) -> None:
        self._directory = directory
        self._part_size = part_size
        # Parts are numbered from 0, so the number of files is the number of the next part.
        self._part_count = len(directory.list_files())
        self._unwritten_rows: list[LedgerRow] = []
        self._examinations = {
            row.key: row.examination
            for name in directory.list_files()
            for row in directory.read_records(name, LedgerRow)
        }

    def __contains__(self, key: str) -> bool:
        return key in self._examinations

    def __getitem__(self, key: str) -> Examination:
        """Return the finished examination of that key."""
        return self._examinations[key]

    def add(self, key: str, question_id: str, examination: Examination) -> None:
        """Keep a finished examination, and write the part when it is full."""
        self._examinations[key] = examination
        self._unwritten_rows.append(LedgerRow(key, question_id, examination))
        if len(self._unwritten_rows) >= self._part_size:
            self.flush()

    def flush(self) -> None:
        """Write the examinations that are not yet written."""
        if self._unwritten_rows:
            self._directory.write_records(
                f"part-{self._part_count:05d}.parquet", LedgerRow, self._unwritten_rows
            )
            self._part_count += 1
            self._unwritten_rows = []


def examine_all(
    tasks: Sequence[Task],
    examiners: Sequence[Examiner],
    ledger: ExaminationLedger,
    bar: Bar,
) -> list[tuple[Examination, ...]]:
    """Return for each task the examination by each examiner, in their order.

    All missing examinations run at once, as far as the endpoints' limits allow. Those finished
    before an error are kept in the ledger.
    """
    keyed = [
        [(task, examiner, examiner.compute_key(task)) for examiner in examiners] for task in tasks
    ]
    # By key, so that equal examinations run once.
    missing = {
        key: (task, examiner) for row in keyed for task, examiner, key in row if key not in ledger
    }
    bar.resume(len(tasks) * len(examiners) - len(missing))
    try:
        asyncio.run(_examine_missing(missing, ledger, bar))
    finally:
        ledger.flush()
    return [tuple(ledger[key] for _, _, key in row) for row in keyed]


async def _examine_missing(
    missing: dict[str, tuple[Task, Examiner]], ledger: ExaminationLedger, bar: Bar
) -> None:
    """Examine the missing tasks, at most ``concurrency`` of each examiner at a time."""
    # A task starts when another ends: requests that only wait would reserve tokens of the budget.
    semaphores = {
        id(examiner): asyncio.Semaphore(examiner.concurrency) for _, examiner in missing.values()
    }
    tokens = 0

    async def examine_task(key: str, task: Task, examiner: Examiner) -> None:
        nonlocal tokens
        async with semaphores[id(examiner)]:
            examination = await examiner.examine(task)
        ledger.add(key, task.task_id, examination)
        tokens += examination.tokens
        bar.advance(note=f"{tokens:,} tokens")

    await asyncio.gather(
        *(examine_task(key, task, examiner) for key, (task, examiner) in missing.items())
    )
