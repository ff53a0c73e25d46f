"""The reasons for which a rollout has no trajectory.

A failure of any of these kinds is never an answer, a reward or a training row.
"""

from dataclasses import dataclass
from typing import Final, Literal

FailureKind = Literal["tool", "model", "worker_died", "deadline", "stalled", "straggler"]

TOOL: Final = "tool"  # a tool's own service broke
MODEL: Final = "model"  # the model could not be reached
WORKER_DIED: Final = "worker_died"
DEADLINE: Final = "deadline"  # the rollout took longer than ``agent.seconds``
STALLED: Final = "stalled"  # its worker's event loop was blocked, or it ignored the deadline
STRAGGLER: Final = "straggler"  # cut, because its group was large enough without it


@dataclass(frozen=True)
class RolloutFailure:
    """A rollout that was given up after ``attempts`` attempts."""

    question_id: str
    mode: str
    rollout: int
    kind: FailureKind
    reason: str
    attempts: int
