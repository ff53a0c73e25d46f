"""What comes of rollouts: one outcome for each task, one for each group."""

from dataclasses import dataclass

from medr_ray.core.records import Trajectory
from medr_ray.rollouts.worker import RolloutTask


@dataclass(frozen=True)
class RolloutOutcome:
    """A finished task: its trajectory, or the infrastructure failure that excluded it, in words and
    by ``kind`` (see ``rollouts.failure_kinds``; empty with a trajectory). ``seconds`` from the
    dispatch of the last of ``attempts``."""

    task: RolloutTask
    trajectory: Trajectory | None
    failure: str = ""
    seconds: float = 0.0
    kind: str = ""
    attempts: int = 1


@dataclass(frozen=True)
class GroupOutcome:
    """A finished group, its outcomes in the order of its tasks. ``needed``: trajectories that make
    it viable."""

    outcomes: tuple[RolloutOutcome, ...]
    needed: int

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        return tuple(one.trajectory for one in self.outcomes if one.trajectory is not None)

    @property
    def viable(self) -> bool:
        return len(self.trajectories) >= self.needed
