"""The answers of a run as reports and exports show them: task, episode, and every verdict."""

from dataclasses import dataclass, replace

from medr_ray.core.records import EvaluationResult, StopReason, Task, Trajectory, Usage
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.artifacts import (
    EVALUATION_RESULTS,
    EVALUATION_TASKS,
    EVALUATION_TRAJECTORIES,
)
from medr_ray.evaluation.runs import Attempt, EvaluationRun
from medr_ray.evaluation.runs.secret_texts import withhold_texts
from medr_ray.evaluation.runs.store import RUN_FILE
from medr_ray.evaluation.runs.weights import locate_weights_run
from medr_ray.evaluation.scorers.base import UNSCORED, Score


@dataclass(frozen=True)
class ReportedAnswer:
    """An attempt at a task.

    ``run`` names the run where answers of several are shown together, else it is "". ``scores``
    are those of every scorer, the official one first. ``seconds`` is wall-clock time, ``cost`` is
    in USD, null when unknown. ``trajectory`` is null when infrastructure failed the attempt
    (``stop_reason`` says so), and withheld with all texts where the task is secret.
    """

    run: str
    benchmark: str
    model: str
    task: Task
    rollout: int
    prediction: str | None
    scores: tuple[Score, ...]
    stop_reason: StopReason
    usage: Usage
    seconds: float
    cost: float | None
    trajectory: Trajectory | None


def collect_answers(run: RunDirectory) -> list[ReportedAnswer]:
    """The answers of a run's evaluation, in the order of its results; none before it finished."""
    if run.stage("evaluation").manifest() is None:
        return []
    task_by_key = {
        (row.benchmark, row.task.task_id): row.task for row in run.read(EVALUATION_TASKS)
    }
    # The rows have no benchmark: a question that stands in two has a trajectory for each, in the
    # order of the results.
    trajectories: dict[tuple[str, str, int], list[Trajectory]] = {}
    for row in run.read(EVALUATION_TRAJECTORIES):
        trajectories.setdefault((row.mode, row.question_id, row.rollout), []).append(row)
    scores_by_key = _read_scores(run)
    answers = []
    for result in run.read(EVALUATION_RESULTS):
        task = task_by_key[result.benchmark, result.task_id]
        own = trajectories.get((result.model, result.task_id, result.rollout), [])
        # What infrastructure failed has left no trajectory.
        has_trajectory = result.stop_reason != "infrastructure" and bool(own)
        trajectory = own.pop(0) if has_trajectory else None
        key = (result.benchmark, result.model, result.task_id, result.rollout)
        answer = _build_answer(result, task, trajectory, scores_by_key.get(key, ()))
        answers.append(_withhold_secrets(answer))
    return answers


def collect_evaluation_answers(run: EvaluationRun, name: str = "") -> list[ReportedAnswer]:
    """Every attempt of an evaluation run, in the order of its plan. ``name`` is what the run is
    called where several are shown together."""
    answers = (_read_attempt(run, attempt, name) for attempt in run.plan.list_attempts())
    return [_withhold_secrets(answer) for answer in answers]


def _withhold_secrets(answer: ReportedAnswer) -> ReportedAnswer:
    """The answer; one to an encrypted benchmark without the texts that would publish it."""
    if not answer.task.is_secret:
        return answer
    scores = tuple(replace(score, extracted="", reason="") for score in answer.scores)
    task = withhold_texts(answer.task)
    return replace(answer, task=task, prediction=None, scores=scores, trajectory=None)


def _read_attempt(run: EvaluationRun, attempt: Attempt, name: str) -> ReportedAnswer:
    answer = run.read_answer(attempt) if run.has_answer(attempt) else None
    scores = _list_scores(run, attempt)
    if answer is None:
        scores = (Score(UNSCORED, scorer="", reason=run.read_failure(attempt)),)
    trajectory = answer.trajectory if answer is not None else None
    return ReportedAnswer(
        run=name,
        benchmark=attempt.benchmark,
        model=attempt.respondent.name,
        task=attempt.task,
        rollout=attempt.rollout,
        prediction=trajectory.answer if trajectory is not None else None,
        scores=scores,
        stop_reason=trajectory.stop_reason if trajectory is not None else "infrastructure",
        usage=trajectory.usage if trajectory is not None else Usage(0, 0, 0),
        seconds=answer.seconds if answer is not None else 0.0,
        cost=trajectory.cost if trajectory is not None else None,
        trajectory=trajectory,
    )


def _list_scores(run: EvaluationRun, attempt: Attempt) -> tuple[Score, ...]:
    """What each scorer of the last scoring said, the official one first."""
    return tuple(
        run.read_score(scorer.identity, attempt)
        or Score(UNSCORED, scorer=scorer.name, judge=scorer.judge, reason="not scored")
        for scorer in run.scorers.get(attempt.benchmark, ())
    )


def _read_scores(run: RunDirectory) -> dict[tuple[str, str, str, int], tuple[Score, ...]]:
    """What every scorer said of the answers of the run's weights, by benchmark, weights, task and
    rollout; nothing for runs of a version that kept one verdict alone."""
    place = locate_weights_run(run)
    if not place.exists(RUN_FILE):
        return {}
    evaluation = EvaluationRun.open(place)
    return {
        (attempt.benchmark, attempt.respondent.name, attempt.task.task_id, attempt.rollout): (
            _list_scores(evaluation, attempt)
        )
        for attempt in evaluation.plan.list_attempts()
    }


def _build_answer(
    result: EvaluationResult,
    task: Task,
    trajectory: Trajectory | None,
    kept_scores: tuple[Score, ...],
) -> ReportedAnswer:
    scores = kept_scores
    # The evaluation may have been planned or scored anew since; the tables are what is reported.
    if not kept_scores or kept_scores[0].verdict != result.verdict:
        scores = (Score(result.verdict, scorer=result.judge or "none", judge=result.judge),)
    return ReportedAnswer(
        run="",
        benchmark=result.benchmark,
        model=result.model,
        task=task,
        rollout=result.rollout,
        prediction=result.prediction,
        scores=scores,
        stop_reason=result.stop_reason,
        usage=result.usage,
        seconds=result.seconds,
        cost=trajectory.cost if trajectory is not None else None,
        trajectory=trajectory,
    )
