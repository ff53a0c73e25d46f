"""Chooses the questions to roll out next (paper section 4.2): difficulty rises with the pass rate.

Pure and seeded. Questions of at most ``level`` hops are eligible; the level rises by one when the
pass rate of the recent groups at the current level reaches ``raise_at``. An update takes turns
between the eligible numbers of hops, so that a new level joins the easier ones and does not replace
them. Among questions with the same number of hops, every question is visited once before any is
visited again. A question that the whole group solved waits one more round.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medr_ray.core.records import Question

_WINDOW_GROUPS = 12  # groups the pass rate is taken over


@dataclass
class Curriculum:
    """The state of the sampler.

    ``hops`` has the number of hops of every question by its id. ``recent`` has the pass rates of
    the latest groups at the current level.
    """

    hops: Mapping[str, int]
    seed: int
    raise_at: float = 0.5
    level: int = 0
    visits: dict[str, int] = field(default_factory=dict)
    recent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.level:
            self.level = min(self.hops.values())

    def select_questions(self, count: int, update: int) -> list[str]:
        """Choose ``count`` question ids for an update.

        They take turns between the numbers of hops. Questions with the fewest visits come first.
        """
        # Seeded by the update, not by one generator for the run: a resumed run draws the same.
        rng = random.Random(f"{self.seed}/{update}")
        eligible = sorted(question for question, hops in self.hops.items() if hops <= self.level)
        rng.shuffle(eligible)
        # A stable sort: the shuffle decides between equal numbers of visits.
        eligible.sort(key=lambda question: self.visits.get(question, 0))
        turn: dict[str, int] = {}
        taken: Counter[int] = Counter()
        for question in eligible:
            hops = self.hops[question]
            turn[question] = taken[hops]
            taken[hops] += 1
        eligible.sort(key=lambda question: (turn[question], self.hops[question]))
        return eligible[:count]

    def record_pass_rates(self, pass_rates: Mapping[str, float]) -> None:
        """Record the pass rate in [0, 1] of each question's group."""
        for question, rate in pass_rates.items():
            # A group in which all rollouts solved the question taught nothing, because its rewards
            # have no spread. It counts as two visits, so the question waits longer.
            visits = 2 if rate == 1.0 else 1
            self.visits[question] = self.visits.get(question, 0) + visits
            if self.hops[question] == self.level:
                self.recent = [*self.recent, rate][-_WINDOW_GROUPS:]
        if self._is_level_passed() and self.level < max(self.hops.values()):
            self.level += 1
            self.recent = []

    def _is_level_passed(self) -> bool:
        is_full = len(self.recent) == _WINDOW_GROUPS
        return is_full and sum(self.recent) / _WINDOW_GROUPS >= self.raise_at

    def state(self) -> dict[str, Any]:
        """The state that ``resume`` continues from; it does not change with the curriculum."""
        return {"level": self.level, "visits": dict(self.visits), "recent": list(self.recent)}

    @classmethod
    def resume(
        cls,
        hops: Mapping[str, int],
        seed: int,
        raise_at: float,
        state: Mapping[str, Any],
    ) -> "Curriculum":
        """A curriculum that goes on where ``state`` was taken."""
        visits = dict(state["visits"])
        recent = list(state["recent"])
        return cls(hops, seed, raise_at, state["level"], visits, recent)


def hops_by_question(questions: Sequence[Question]) -> dict[str, int]:
    """Question id -> hops."""
    return {question.task.task_id: question.complexity for question in questions}
