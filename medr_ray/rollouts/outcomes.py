"""What a pool returns: one outcome for each rollout, one for each group."""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records import Trajectory
from medr_ray.rollouts.failure_kinds import FailureKind
from medr_ray.rollouts.worker import RolloutRequest


@dataclass(frozen=True)
class RolloutOutcome:
    """A finished rollout: its trajectory, or the infrastructure failure that excluded it.

    ``failure`` is the reason in words; it and ``kind`` are empty where there is a trajectory.
    ``seconds`` counts from the dispatch of the last attempt.
    """

    request: RolloutRequest
    trajectory: Trajectory | None
    failure: str = ""
    seconds: float = 0.0
    kind: FailureKind | Literal[""] = ""
    attempts: int = 1


@dataclass(frozen=True)
class GroupOutcome:
    """A finished group, its outcomes in the order of its requests.

    With ``needed`` trajectories it is viable.
    """

    outcomes: tuple[RolloutOutcome, ...]
    needed: int

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        trajectories = (outcome.trajectory for outcome in self.outcomes)
        return tuple(trajectory for trajectory in trajectories if trajectory is not None)

    @property
    def viable(self) -> bool:
        return len(self.trajectories) >= self.needed
