"""How a policy does on held-out questions while it is trained: one rollout of each, under the
rollouts' own conditions, with the weights that the engine serves.

What is measured here decides nothing: it is for people who watch a run. The comparison of models is
the evaluation's.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.core.intervals import compute_wilson_bounds
from medr_ray.core.records import Question
from medr_ray.questions.answer_matching import answers_match
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.training.group_runner import GroupRunner

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class HeldoutFigures:
    """``heldout_exact_match`` is the share of the ``heldout_questions`` answered exactly, with its
    95 % Wilson interval (Wilson 1927); a rollout that infrastructure lost counts nowhere."""

    heldout_questions: int | None
    heldout_exact_match: float | None
    heldout_low: float | None
    heldout_high: float | None


NOT_MEASURED = HeldoutFigures(None, None, None, None)


def choose_heldout(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """At most ``count`` questions, the same ones for the same seed."""
    ordered = sorted(questions, key=lambda question: question.task.task_id)
    random.Random(f"{seed}/heldout").shuffle(ordered)
    return ordered[:count]


class HeldoutEvaluation:
    """Answers ``questions`` with the rollouts of ``pool``."""

    def __init__(self, pool: GroupRunner, questions: Sequence[Question]) -> None:
        self._pool = pool
        self._tasks = {question.task.task_id: question.task for question in questions}

    def measure(self, update: int) -> HeldoutFigures:
        """The figures after ``update`` updates."""
        groups = [
            [RolloutRequest(task, rollout=update, keep_cut=True)] for task in self._tasks.values()
        ]
        verdicts = []
        for group in self._pool.run_groups(groups, 1.0):
            for outcome in group.outcomes:
                trajectory = outcome.trajectory
                if trajectory is None:
                    continue
                task = self._tasks[trajectory.question_id]
                answer = trajectory.answer
                is_right = answer is not None and answers_match(answer, task.answer, task.aliases)
                verdicts.append(is_right)
        return summarise_verdicts(verdicts)


def summarise_verdicts(verdicts: Sequence[bool]) -> HeldoutFigures:
    """The figures of answered questions; those of none are null."""
    if not verdicts:
        return HeldoutFigures(0, None, None, None)
    right = sum(verdicts)
    count = len(verdicts)
    low, high = compute_wilson_bounds(right, count, _CONFIDENCE)
    return HeldoutFigures(count, round(right / count, 4), round(low, 4), round(high, 4))
