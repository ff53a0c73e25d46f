"""Which questions to roll out next (paper section 4.2): difficulty rises with the pass rate.

Pure and seeded. Questions of at most ``level`` hops are eligible; the level rises by one when the
pass rate of the recent groups at the current level reaches ``raise_at``. An update takes turns
between the eligible numbers of hops, so that a new level joins the easier ones and does not replace
them. Among questions of equal length every one is visited once before any is visited again, but for
those solved by the whole group, which wait one more round.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_WINDOW_GROUPS = 12  # groups the pass rate is taken over


@dataclass
class Curriculum:
    """State of the sampler. ``complexity``: question id -> hops."""

    hops: Mapping[str, int]
    seed: int
    raise_at: float = 0.5
    level: int = 0
    visits: dict[str, int] = field(default_factory=dict)
    recent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.level = self.level or min(self.hops.values())

    def select_questions(self, count: int, update: int) -> list[str]:
        """``count`` question ids for an update: of each number of hops in turn, fewest visits
        first."""
        rng = random.Random(f"{self.seed}/{update}")
        eligible = sorted(
            question_id for question_id, hops in self.hops.items() if hops <= self.level
        )
        rng.shuffle(eligible)
        eligible.sort(key=lambda one: self.visits.get(one, 0))
        turn: dict[str, int] = {}
        taken: Counter[int] = Counter()
        for question_id in eligible:
            turn[question_id] = taken[self.hops[question_id]]
            taken[self.hops[question_id]] += 1
        return sorted(eligible, key=lambda one: (turn[one], self.hops[one]))[:count]

    def record_pass_rates(self, passed: Mapping[str, float]) -> None:
        """Record the pass rate in [0, 1] of each question's group."""
        for question, rate in passed.items():
            self.visits[question] = self.visits.get(question, 0) + (2 if rate == 1.0 else 1)
            if self.hops[question] == self.level:
                self.recent = [*self.recent, rate][-_WINDOW_GROUPS:]
        full = len(self.recent) == _WINDOW_GROUPS
        if (
            full
            and sum(self.recent) / _WINDOW_GROUPS >= self.raise_at
            and self.level < max(self.hops.values())
        ):
            self.level, self.recent = self.level + 1, []

    def state(self) -> dict[str, Any]:
        return {"level": self.level, "visits": self.visits, "recent": self.recent}

    @classmethod
    def resume(
        cls,
        complexity: Mapping[str, int],
        seed: int,
        raise_at: float,
        state: Mapping[str, Any],
    ) -> "Curriculum":
        return cls(
            complexity, seed, raise_at, state["level"], dict(state["visits"]), list(state["recent"])
        )


def hops_by_question(questions: Sequence[Any]) -> dict[str, int]:
    """Question id -> hops."""
    return {question.task.task_id: question.complexity for question in questions}
