"""Why a rollout has no trajectory, by kind. None of these is ever an answer, a reward or a training
row."""

from dataclasses import dataclass

TOOL = "tool"  # a tool's own service broke
MODEL = "model"  # the model could not be reached
WORKER_DIED = "worker_died"
DEADLINE = "deadline"  # the rollout took longer than ``agent.seconds``
STALLED = "stalled"  # its worker's event loop was blocked, or it ignored the deadline
STRAGGLER = "straggler"  # cut, for its group was large enough without it
KINDS = (TOOL, MODEL, WORKER_DIED, DEADLINE, STALLED, STRAGGLER)


@dataclass(frozen=True)
class RolloutFailure:
    """A task that was given up: ``kind`` is one of ``KINDS``, ``attempts`` how often it was
    tried."""

    question_id: str
    mode: str
    rollout: int
    kind: str
    reason: str
    attempts: int
