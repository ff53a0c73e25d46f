"""Groups of rollouts of one question: when one is whole, when it is viable, and whom it need not
wait for.

What holds: a group comes out once, when each of its tasks has an outcome; a straggler is cut only
from a group that is viable without it, so that no cut ever costs a group.
"""

import statistics
from collections.abc import Mapping, Sequence

from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.worker import RolloutTask


def minimum_viable(size: int, share: float) -> int:
    """Trajectories that a group of ``size`` needs: this share of it, but two, for one has nothing
    to be compared to."""
    return min(size, max(2, round(share * size)))


class GroupBook:
    """Groups under way. ``share``: see ``minimum_viable``; a rollout longer than ``factor`` times
    the median of its group's finished ones (None: never) and than ``least`` seconds is a straggler.
    A position counts through the tasks of all groups."""

    def __init__(
        self,
        groups: Sequence[Sequence[RolloutTask]],
        share: float,
        factor: float | None,
        least: float,
    ) -> None:
        self.tasks = [task for group in groups for task in group]
        self._group_of = [number for number, group in enumerate(groups) for _ in group]
        self._sizes = [len(group) for group in groups]
        self._needed = [minimum_viable(size, share) for size in self._sizes]
        self._factor, self._least = factor, least
        self._outcomes: list[dict[int, RolloutOutcome]] = [{} for _ in groups]
        self._limits: dict[int, float] = {}

    def add(self, position: int, outcome: RolloutOutcome) -> GroupOutcome | None:
        """Note an outcome; the group, when it was the last one."""
        group = self._group_of[position]
        outcomes = self._outcomes[group]
        outcomes[position] = outcome
        self._set_limit(group)
        if len(outcomes) < self._sizes[group]:
            return None
        return GroupOutcome(tuple(outcomes[one] for one in sorted(outcomes)), self._needed[group])

    def stragglers(self, elapsed: Mapping[int, float]) -> list[int]:
        """Positions to cut, of those under way for so many seconds."""
        never = float("inf")
        return [
            one
            for one, seconds in elapsed.items()
            if seconds > self._limits.get(self._group_of[one], never)
        ]

    def _set_limit(self, group: int) -> None:
        times = [
            one.seconds for one in self._outcomes[group].values() if one.trajectory is not None
        ]
        if self._factor is not None and len(times) >= self._needed[group]:
            self._limits[group] = max(self._least, self._factor * statistics.median(times))
