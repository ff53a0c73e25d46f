"""Evaluation runs of four questions and one respondent."""

from collections.abc import Sequence

from support.questions import make_question
from support.waiting_environment import trajectory_of

from medr_ray.core.records import Task
from medr_ray.evaluation.runs import AskedBenchmark, Attempt, EvaluationRun, Respondent, RunPlan
from medr_ray.evaluation.scorers.base import Score
from medr_ray.rollouts.worker import RolloutRequest

TASKS = tuple(make_question(number).task for number in range(4))
GREEDY = Respondent("m", "http://there/v1", "m", {"temperature": 0.0})


def plan_of(
    tasks: tuple[Task, ...] = TASKS, rollouts: int = 1, respondent: Respondent = GREEDY
) -> RunPlan:
    benchmark = AskedBenchmark("own", "Own", ("hops",), "", tasks)
    return RunPlan((benchmark,), (respondent,), rollouts, 0.95, {})


def answer_all(run: EvaluationRun) -> int:
    """Answer what is pending; returns how much that was."""
    pending = run.list_pending()
    for attempt in pending:
        request = RolloutRequest(attempt.task, attempt.respondent.name, attempt.rollout)
        run.keep_answer(attempt, trajectory_of(request), 1.5)
    return len(pending)


def write_all(root: str, attempts: Sequence[Attempt]) -> None:
    """Answer and score the attempts in their order, as a process of its own would."""
    run = EvaluationRun.plan_run(root, plan_of(rollouts=20))
    for attempt in attempts:
        request = RolloutRequest(attempt.task, attempt.respondent.name, attempt.rollout)
        run.keep_answer(attempt, trajectory_of(request), 1.0)
        run.keep_score("rules-1", attempt, Score("correct", 1.0))
