"""Groups of rollouts of one question: when a group is complete, when it is viable, and which of its
rollouts it need not wait for.

A group is returned once, when each of its requests has an outcome. A straggler is cut only from a
group that is viable without it, so no cut ever costs a group.
"""

import statistics
from collections.abc import Mapping, Sequence

from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest

# Advantages compare a rollout with the others of its group: a group of one teaches nothing.
_FEWEST_TRAJECTORIES = 2


def minimum_viable(size: int, share: float) -> int:
    """How many trajectories a group of ``size`` needs: ``share`` of it, and at least two."""
    needed = max(_FEWEST_TRAJECTORIES, round(share * size))
    return min(size, needed)


class GroupBook:
    """The groups of one run and their outcomes so far.

    ``share`` is that of ``minimum_viable``. A rollout is a straggler when it has taken longer than
    ``factor`` times the median of its group's finished rollouts, and longer than ``least`` seconds;
    with a ``factor`` of None there are none. A request's position counts through all groups.
    ``requests`` are those of the first groups.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[RolloutRequest]],
        share: float,
        factor: float | None,
        least: float,
    ) -> None:
        self._share = share
        self._factor = factor
        self._least = least
        self._group_of: list[int] = []
        self._sizes: list[int] = []
        self._needed: list[int] = []
        self._outcomes: list[dict[int, RolloutOutcome]] = []
        self._limits: dict[int, float] = {}  # seconds by group, once it is viable
        self.requests = self.add_groups(groups)

    def add_groups(self, groups: Sequence[Sequence[RolloutRequest]]) -> list[RolloutRequest]:
        """Add groups behind those there are; returns their requests in the order of their
        positions."""
        requests: list[RolloutRequest] = []
        for group in groups:
            self._group_of += [len(self._sizes)] * len(group)
            self._sizes.append(len(group))
            self._needed.append(minimum_viable(len(group), self._share))
            self._outcomes.append({})
            requests += group
        return requests

    def add_outcome(self, position: int, outcome: RolloutOutcome) -> GroupOutcome | None:
        """Record an outcome. Returns the group when this was its last one."""
        group = self._group_of[position]
        outcomes = self._outcomes[group]
        outcomes[position] = outcome
        self._update_limit(group)
        if len(outcomes) < self._sizes[group]:
            return None
        ordered = tuple(outcomes[position] for position in sorted(outcomes))
        return GroupOutcome(ordered, self._needed[group])

    def find_stragglers(self, elapsed: Mapping[int, float]) -> list[int]:
        """The positions to cut, among those in flight for ``elapsed`` seconds."""
        stragglers = []
        for position, seconds in elapsed.items():
            limit = self._limits.get(self._group_of[position])
            if limit is not None and seconds > limit:
                stragglers.append(position)
        return stragglers

    def _update_limit(self, group: int) -> None:
        if self._factor is None:
            return
        outcomes = self._outcomes[group].values()
        seconds = [outcome.seconds for outcome in outcomes if outcome.trajectory is not None]
        # Before that a cut could cost the group. Afterwards every further duration moves the limit.
        if len(seconds) >= self._needed[group]:
            self._limits[group] = max(self._least, self._factor * statistics.median(seconds))
