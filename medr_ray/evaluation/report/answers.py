"""The answers of a run as reports and exports show them: task, episode, and every verdict."""

from dataclasses import dataclass

from medr_ray.core.records import EvaluationResult, StopReason, Task, Trajectory, Usage
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.artifacts import (
    EVALUATION_RESULTS,
    EVALUATION_TASKS,
    EVALUATION_TRAJECTORIES,
)
from medr_ray.evaluation.scorers.base import Score


@dataclass(frozen=True)
class ReportedAnswer:
    """An attempt at a task.

    ``run`` names the run where answers of several are shown together, else it is "". ``scores``
    are those of every scorer, the official one first. ``seconds`` is wall-clock time, ``cost`` is
    in USD, null when unknown. ``trajectory`` is null when infrastructure failed the attempt.
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
    for trajectory in run.read(EVALUATION_TRAJECTORIES):
        key = (trajectory.mode, trajectory.question_id, trajectory.rollout)
        trajectories.setdefault(key, []).append(trajectory)
    answers = []
    for result in run.read(EVALUATION_RESULTS):
        task = task_by_key[result.benchmark, result.task_id]
        own = trajectories.get((result.model, result.task_id, result.rollout), [])
        # What infrastructure failed has left no trajectory.
        has_trajectory = result.stop_reason != "infrastructure" and bool(own)
        answers.append(_build_answer(result, task, own.pop(0) if has_trajectory else None))
    return answers


def _build_answer(
    result: EvaluationResult, task: Task, trajectory: Trajectory | None
) -> ReportedAnswer:
    return ReportedAnswer(
        run="",
        benchmark=result.benchmark,
        model=result.model,
        task=task,
        rollout=result.rollout,
        prediction=result.prediction,
        scores=(Score(result.verdict, scorer=result.judge or "none", judge=result.judge),),
        stop_reason=result.stop_reason,
        usage=result.usage,
        seconds=result.seconds,
        cost=trajectory.cost if trajectory is not None else None,
        trajectory=trajectory,
    )
