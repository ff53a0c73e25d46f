"""Scoring what is answered: every score is kept as it comes, and no verdict is asked for twice."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from medr_ray.core.failure_streak import FailureStreak
from medr_ray.core.progress import Bar
from medr_ray.evaluation.runs.records import Answer, Attempt, ScorerRecord
from medr_ray.evaluation.runs.store import EvaluationRun
from medr_ray.evaluation.scorers.base import UNSCORED, Score, Scorer

Scorers = Mapping[str, Sequence[Scorer]]


def score_answers(
    run: EvaluationRun, scorers: Scorers, concurrency: int, console: Console | None = None
) -> int:
    """Have every answer scored by the scorers of its benchmark, the official one first, which
    become the run's; returns how many scores are new.

    A score that is kept is not asked for again, unless it is "unscored". Raises InfrastructureError
    when a judge fails again and again for the same reason; the scores until then are kept.
    """
    work = [
        _Scoring(scorer, scorer.identity(), answer.attempt, answer.prediction)
        for answer in run.answers()
        for scorer in scorers.get(answer.benchmark, ())
    ]
    pending = [scoring for scoring in work if _is_pending(run, scoring)]
    try:
        with Bar(console or Console(quiet=True), "scores", len(pending)) as bar:
            asyncio.run(_score_all(run, pending, concurrency, bar))
    finally:
        run.record_scorers(_describe_scorers(run, scorers, work))
    return len(pending)


async def score_answer(
    run: EvaluationRun, answer: Answer, scorers: Sequence[Scorer]
) -> list[Score]:
    """The kept scores of one answer, and those of scorers that have none yet, which are kept."""
    scores = []
    for scorer in scorers:
        scoring = _Scoring(scorer, scorer.identity(), answer.attempt, answer.prediction)
        if _is_pending(run, scoring):
            await _score_once(run, scoring, FailureStreak("answers to score"))
        score = run.read_score(scoring.identity, answer.attempt)
        if score is not None:
            scores.append(score)
    return scores


@dataclass(frozen=True)
class _Scoring:
    """One answer before one scorer."""

    scorer: Scorer
    identity: str
    attempt: Attempt
    prediction: str | None


def _is_pending(run: EvaluationRun, scoring: _Scoring) -> bool:
    score = run.read_score(scoring.identity, scoring.attempt)
    return score is None or score.verdict == UNSCORED


async def _score_all(
    run: EvaluationRun, pending: Sequence[_Scoring], concurrency: int, bar: Bar
) -> None:
    # Of each scorer: a judge that is gone does not make another one hopeless.
    streaks = {scoring.identity: FailureStreak("answers to score") for scoring in pending}
    waiting = iter(pending)

    async def take_turns() -> None:
        for scoring in waiting:
            await _score_once(run, scoring, streaks[scoring.identity])
            bar.advance()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(pending))):
                group.create_task(take_turns())
    except BaseExceptionGroup as failures:
        # The first is why the others were cancelled.
        raise failures.exceptions[0] from None


async def _score_once(run: EvaluationRun, scoring: _Scoring, streak: FailureStreak) -> None:
    score = await scoring.scorer.score(scoring.attempt.task, scoring.prediction)
    run.keep_score(scoring.identity, scoring.attempt, score)
    if score.verdict != UNSCORED:
        streak.record_success()
    elif score.judge:
        # Without a judge an answer is unscored for what it is, and the next may well be scored.
        streak.record_failure(score.reason)
        streak.require_hope()


def _describe_scorers(
    run: EvaluationRun, scorers: Scorers, work: Sequence[_Scoring]
) -> dict[str, list[ScorerRecord]]:
    """The scorers by benchmark, with the judge that their scores name."""
    judges: dict[str, str] = {}
    for scoring in work:
        if scoring.identity in judges:
            continue
        score = run.read_score(scoring.identity, scoring.attempt)
        if score is not None and score.judge:
            judges[scoring.identity] = score.judge
    return {
        name: [
            ScorerRecord(scorer.identity(), scorer.name, judges.get(scorer.identity(), ""))
            for scorer in own_scorers
        ]
        for name, own_scorers in scorers.items()
    }
