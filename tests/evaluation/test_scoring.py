"""Scoring many answers while the judge comes and goes."""

import asyncio
from pathlib import Path

import pytest
from support.evaluation_runs import TASKS, answer_all, plan_of

from medr_ray.core.errors import ConfigError, InfrastructureError
from medr_ray.core.failure_streak import MAX_IDENTICAL_FAILURES
from medr_ray.core.records import Task
from medr_ray.evaluation.runs import EvaluationRun
from medr_ray.evaluation.runs.scoring import score_answers
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED, Score
from medr_ray.evaluation.scorers.rules import RulesScorer

DOWN = "http://127.0.0.1:1/v1 failed 5 times, last with APIConnectionError"


class ComingAndGoing:
    """A judge that is there for the first ``good`` answers."""

    name = "coming-and-going"

    def __init__(self, good: int, judge: str = "m") -> None:
        self._good = good
        self._judge = judge
        self.asked = 0

    def identity(self) -> str:
        return self.name

    async def score(self, task: Task, prediction: str | None) -> Score:
        self.asked += 1
        is_there = self.asked <= self._good
        # As a request would, it lets the others come first.
        await asyncio.sleep(0)
        if is_there:
            return Score(CORRECT, 1.0, scorer=self.name, judge=self._judge, reason="yes")
        return Score(UNSCORED, scorer=self.name, judge=self._judge, reason=DOWN)


class Refused:
    """A judge whose key is refused."""

    name = "refused"

    def identity(self) -> str:
        return self.name

    async def score(self, task: Task, prediction: str | None) -> Score:
        await asyncio.sleep(0)
        raise ConfigError("the key was refused")


def answered_run(root: Path, count: int) -> EvaluationRun:
    """A run whose attempts all have their answer."""
    run = EvaluationRun.plan_run(str(root), plan_of(TASKS[:1], rollouts=count))
    answer_all(run)
    return run


def test_a_judge_that_stays_away_ends_the_scoring_and_its_verdicts_are_kept(
    tmp_path: Path,
) -> None:
    run = answered_run(tmp_path, 40)
    judge = ComingAndGoing(good=5)
    with pytest.raises(InfrastructureError, match="in a row failed for the same reason: http://"):
        score_answers(run, {"own": [judge]}, 2)
    # Those that are under way come on top.
    assert judge.asked < 5 + 2 * MAX_IDENTICAL_FAILURES
    again = ComingAndGoing(good=40)
    score_answers(run, {"own": [again]}, 2)
    assert again.asked == 35
    assert {score.verdict for score in run.scores(again.name).values()} == {CORRECT}
    assert run.scorers["own"][0].judge == "m"


def test_a_few_answers_without_a_verdict_are_unscored(tmp_path: Path) -> None:
    run = answered_run(tmp_path, 12)
    score_answers(run, {"own": [ComingAndGoing(good=4)]}, 2)
    (figures,) = run.figures()
    assert (figures.models[0].unscored, figures.models[0].exact_match.value) == (8, 1.0)


def test_what_no_judge_was_asked_about_may_stay_unscored_however_many_they_are(
    tmp_path: Path,
) -> None:
    run = answered_run(tmp_path, 40)
    score_answers(run, {"own": [ComingAndGoing(good=0, judge="")]}, 2)
    assert {score.verdict for score in run.scores("coming-and-going").values()} == {UNSCORED}


def test_another_scorer_asks_nothing_twice_and_its_scores_stand_beside(tmp_path: Path) -> None:
    run = answered_run(tmp_path, 12)
    judge = ComingAndGoing(good=99)
    assert score_answers(run, {"own": [judge]}, 4) == 12
    assert score_answers(run, {"own": [judge, RulesScorer()]}, 4) == 12
    assert score_answers(run, {"own": [judge, RulesScorer()]}, 4) == 0
    assert judge.asked == 12
    assert [figures.scorer for figures in run.figures()] == ["coming-and-going", "rules"]
    assert len(run.list_scorers()) == 2


def test_a_refused_key_ends_the_scoring_at_once(tmp_path: Path) -> None:
    run = answered_run(tmp_path, 12)
    with pytest.raises(ConfigError, match="the key was refused"):
        score_answers(run, {"own": [RulesScorer(), Refused()]}, 4)
