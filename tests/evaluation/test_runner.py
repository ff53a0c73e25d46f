"""Judging many answers while the judge comes and goes."""

import asyncio
import io
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from support.questions import make_question
from support.waiting_environment import trajectory_of

from medr_ray.core.errors import InfrastructureError
from medr_ray.core.failure_streak import MAX_IDENTICAL_FAILURES
from medr_ray.core.records import Task
from medr_ray.core.run import StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.runner import Attempt, EvaluationRunner
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED, Score

DOWN = "http://127.0.0.1:1/v1 failed 5 times, last with APIConnectionError"


class ComingAndGoing:
    """A judge that is there for the first ``good`` answers."""

    name = "coming-and-going"

    def __init__(self, good: int) -> None:
        self._good = good
        self.asked = 0

    def identity(self) -> str:
        return self.name

    async def score(self, task: Task, prediction: str | None) -> Score:
        self.asked += 1
        is_there = self.asked <= self._good
        # As a request would, it lets the others come first.
        await asyncio.sleep(0)
        if is_there:
            return Score(CORRECT, 1.0, judge="m", reason="yes")
        return Score(UNSCORED, judge="m", reason=DOWN)


def answered_runner(root: Path, count: int) -> EvaluationRunner:
    """A runner whose attempts all have their answer."""
    config = load_config(None, [f"run.root={root}", "llm.concurrency=2"], environment={})
    run = open_run(config)
    context = StageContext(config, run, run.stage("evaluation"), Console(file=io.StringIO()))
    task = make_question(0).task
    attempts = [Attempt("heldout", "base", task, rollout) for rollout in range(count)]
    for attempt in attempts:
        part = {"trajectory": asdict(trajectory_of(attempt.rollout_request)), "seconds": 1.0}
        context.directory.write_json(f"answers/{attempt.part_file}", part)
    return EvaluationRunner(context, attempts)


def test_a_judge_that_stays_away_ends_the_stage_and_its_verdicts_are_kept(tmp_path: Path) -> None:
    runner = answered_runner(tmp_path, 40)
    judge = ComingAndGoing(good=5)
    with pytest.raises(InfrastructureError, match="in a row failed for the same reason: http://"):
        runner.judge_answers({"heldout": judge})
    # Those that are under way come on top.
    assert judge.asked < 5 + 2 * MAX_IDENTICAL_FAILURES
    again = ComingAndGoing(good=40)
    verdicts = runner.judge_answers({"heldout": again})
    assert again.asked == 35
    assert {answer.result.verdict for answer in verdicts} == {CORRECT}


def test_a_few_answers_without_a_verdict_are_unscored(tmp_path: Path) -> None:
    runner = answered_runner(tmp_path, 12)
    verdicts = runner.judge_answers({"heldout": ComingAndGoing(good=4)})
    assert sum(answer.result.verdict == UNSCORED for answer in verdicts) == 8
