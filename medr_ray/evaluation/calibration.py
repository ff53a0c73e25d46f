"""How well scorers agree with people: verdicts on answers that were judged by hand.

A file of labelled pairs is JSON Lines, JSON or CSV. A row has ``question``, ``answer`` (the right
one), ``prediction`` (the answer that was given) and ``label``: yes or no, true or false, correct or
incorrect, 1 or 0. It may have ``aliases`` (a list, or a text with semicolons) and ``language``
("en" or "zh"; else the question tells).
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.core.errors import DataError
from medr_ray.core.records import Task, content_id
from medr_ray.evaluation.benchmarks.files import (
    BrokenRow,
    detect_language,
    get_answer,
    get_text,
    get_texts,
)
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED, Score, Scorer
from medr_ray.evaluation.statistics import Proportion, wilson_interval
from medr_ray.knowledge.benchmark_files import BenchmarkRow, read_benchmark_rows

_LABELS = {
    **dict.fromkeys(("yes", "true", "correct", "right", "1", "1.0", "是", "正确"), True),
    **dict.fromkeys(("no", "false", "incorrect", "wrong", "0", "0.0", "否", "错误"), False),
}
_MAX_NAMED_ROWS = 5  # broken rows that an error names


@dataclass(frozen=True)
class LabelledPair:
    """An answer, and whether people call it right."""

    task: Task
    prediction: str | None
    is_correct: bool


@dataclass(frozen=True)
class Confusion:
    """How often a scorer and people said what, of the pairs that it scored."""

    both_correct: int
    false_accepts: int
    false_rejects: int
    both_incorrect: int

    @property
    def n(self) -> int:
        return self.both_correct + self.false_accepts + self.false_rejects + self.both_incorrect


@dataclass(frozen=True)
class ScorerAgreement:
    """A scorer against people.

    ``accuracy`` is the share of equal verdicts with its Wilson interval.
    ``kappa`` is Cohen's: 1 full agreement, 0 that of chance; null where chance alone would agree
    always. ``recall`` is the share of what people call right that the scorer accepts,
    ``false_accept_rate`` the share of what they call wrong. ``disagreements`` are the pairs with
    other verdicts."""

    scorer: str
    judge: str
    accuracy: Proportion
    kappa: float | None
    recall: float | None
    false_accept_rate: float | None
    confusion: Confusion
    unscored: int
    disagreements: tuple[tuple[LabelledPair, Score], ...]


def read_labelled_pairs(path: str) -> list[LabelledPair]:
    """Raises DataError, with file and place, for rows that are no labelled pair."""
    pairs: list[LabelledPair] = []
    problems: list[str] = []
    for row in read_benchmark_rows(path):
        try:
            pairs.append(_parse_row(row))
        except BrokenRow as problem:
            problems.append(f"{row.place} {problem}")
    if problems:
        named = "; ".join(problems[:_MAX_NAMED_ROWS])
        raise DataError(f"{path}: {len(problems)} rows are no labelled pair: {named}")
    return pairs


def calibrate_scorers(
    scorers: Sequence[Scorer], pairs: Sequence[LabelledPair], concurrency: int
) -> list[ScorerAgreement]:
    """How each scorer agrees with the labels."""
    return [
        measure_agreement(scorer.name, pairs, asyncio.run(_score_pairs(scorer, pairs, concurrency)))
        for scorer in scorers
    ]


def measure_agreement(
    name: str, pairs: Sequence[LabelledPair], scores: Sequence[Score]
) -> ScorerAgreement:
    """The agreement of scores with the labels of their pairs."""
    scored = [
        (pair, score)
        for pair, score in zip(pairs, scores, strict=True)
        if score.verdict != UNSCORED
    ]
    confusion = _count_confusion(
        [(pair.is_correct, score.verdict == CORRECT) for pair, score in scored]
    )
    return ScorerAgreement(
        scorer=name,
        judge=next((score.judge for score in scores if score.judge), ""),
        accuracy=wilson_interval(confusion.both_correct + confusion.both_incorrect, confusion.n),
        kappa=compute_kappa(confusion),
        recall=_divide(confusion.both_correct, confusion.both_correct + confusion.false_rejects),
        false_accept_rate=_divide(
            confusion.false_accepts, confusion.false_accepts + confusion.both_incorrect
        ),
        confusion=confusion,
        unscored=len(scores) - len(scored),
        disagreements=tuple(
            (pair, score) for pair, score in scored if pair.is_correct != (score.verdict == CORRECT)
        ),
    )


def compute_kappa(confusion: Confusion) -> float | None:
    """Cohen's kappa (Cohen 1960): the agreement beyond that of chance; None where chance would
    agree always, and without any pair."""
    n = confusion.n
    if n == 0:
        return None
    observed = (confusion.both_correct + confusion.both_incorrect) / n
    people_yes = (confusion.both_correct + confusion.false_rejects) / n
    scorer_yes = (confusion.both_correct + confusion.false_accepts) / n
    expected = people_yes * scorer_yes + (1 - people_yes) * (1 - scorer_yes)
    return None if expected == 1 else (observed - expected) / (1 - expected)


async def _score_pairs(
    scorer: Scorer, pairs: Sequence[LabelledPair], concurrency: int
) -> list[Score]:
    limit = asyncio.Semaphore(concurrency)

    async def score_within_limit(pair: LabelledPair) -> Score:
        async with limit:
            return await scorer.score(pair.task, pair.prediction)

    return list(await asyncio.gather(*map(score_within_limit, pairs)))


def _count_confusion(verdicts: Sequence[tuple[bool, bool]]) -> Confusion:
    """``verdicts`` are (people's, the scorer's)."""
    return Confusion(
        verdicts.count((True, True)),
        verdicts.count((False, True)),
        verdicts.count((True, False)),
        verdicts.count((False, False)),
    )


def _divide(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _parse_row(row: BenchmarkRow) -> LabelledPair:
    question = get_text(row, "question")
    answer = get_answer(row, "answer")
    label = get_answer(row, "label").casefold()
    if label not in _LABELS:
        raise BrokenRow(f"has the label {label!r}: expected yes or no")
    language = row.fields.get("language")
    task = Task(
        task_id=content_id("task", question, answer),
        text=question,
        language="zh" if (language or detect_language(question)) == "zh" else "en",
        answer=answer,
        aliases=tuple(_read_aliases(row)),
    )
    prediction = row.fields.get("prediction")
    if prediction is None:
        raise BrokenRow("has no 'prediction': leave the text empty where no answer was given")
    # An empty text is an answer that was not given.
    return LabelledPair(task, str(prediction).strip() or None, _LABELS[label])


def _read_aliases(row: BenchmarkRow) -> list[str]:
    value = row.fields.get("aliases")
    if isinstance(value, str):
        return [name.strip() for name in re.split("[;；]", value) if name.strip()]
    return get_texts(row, "aliases")
