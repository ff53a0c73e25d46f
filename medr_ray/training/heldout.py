"""How a policy does on held-out questions while it is trained: one rollout of each, under the
rollouts' own conditions, with the weights that the engine serves.

What is measured here decides nothing: it is for people who watch a run. The comparison of models is
the evaluation's.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from medr_ray.core.intervals import compute_wilson_bounds
from medr_ray.core.records import Question
from medr_ray.questions.answer_matching import answers_match
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.training.group_runner import GroupRunner

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class ExactMatch:
    """The share of ``questions`` that were answered exactly, with its 95 % Wilson interval from
    ``low`` to ``high`` (Wilson 1927)."""

    questions: int
    exact_match: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldoutFigures:
    """``ExactMatch`` of all held-out questions, and ``heldout_by_hops`` of those with the same
    number of hops, by this number in digits. A rollout that infrastructure lost counts nowhere."""

    heldout_questions: int | None
    heldout_exact_match: float | None
    heldout_low: float | None
    heldout_high: float | None
    heldout_by_hops: dict[str, ExactMatch] | None


NOT_MEASURED = HeldoutFigures(None, None, None, None, None)


def choose_heldout(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """At most ``count`` questions, the same ones for the same seed."""
    ordered = sorted(questions, key=lambda question: question.task.task_id)
    random.Random(f"{seed}/heldout").shuffle(ordered)
    return ordered[:count]


class HeldoutEvaluation:
    """Answers ``questions`` with the rollouts of ``pool``."""

    def __init__(self, pool: GroupRunner, questions: Sequence[Question]) -> None:
        self._pool = pool
        self._questions = {question.task.task_id: question for question in questions}

    def measure(self, update: int) -> HeldoutFigures:
        """The figures after ``update`` updates."""
        groups = [
            [RolloutRequest(question.task, rollout=update, keep_cut=True)]
            for question in self._questions.values()
        ]
        verdicts: defaultdict[int, list[bool]] = defaultdict(list)
        for group in self._pool.run_groups(groups, 1.0):
            for outcome in group.outcomes:
                trajectory = outcome.trajectory
                if trajectory is None:
                    continue
                question = self._questions[trajectory.question_id]
                task = question.task
                answer = trajectory.answer
                is_right = answer is not None and answers_match(answer, task.answer, task.aliases)
                verdicts[question.complexity].append(is_right)
        return summarise_verdicts(verdicts)


def summarise_verdicts(verdicts: Mapping[int, Sequence[bool]]) -> HeldoutFigures:
    """The figures of answered questions, which are given by their hops; those of none are null."""
    by_hops = {str(hops): _measure_exact_match(verdicts[hops]) for hops in sorted(verdicts)}
    if not by_hops:
        return HeldoutFigures(0, None, None, None, None)
    whole = _measure_exact_match(list(chain.from_iterable(verdicts.values())))
    return HeldoutFigures(whole.questions, whole.exact_match, whole.low, whole.high, by_hops)


def _measure_exact_match(verdicts: Sequence[bool]) -> ExactMatch:
    right = sum(verdicts)
    count = len(verdicts)
    low, high = compute_wilson_bounds(right, count, _CONFIDENCE)
    return ExactMatch(count, round(right / count, 4), round(low, 4), round(high, 4))
