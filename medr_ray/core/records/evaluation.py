"""The judgement of an answer: a reward in training, a verdict in an evaluation."""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records.trajectories import StopReason, Usage

# "unscored": an infrastructure failure, never counted.
Verdict = Literal["correct", "incorrect", "unscored"]


@dataclass(frozen=True)
class Reward:
    """Composite reward r = 1.0 task + 0.2 expert - 0.1 efficiency (paper section 4.2).

    A component that could not be scored is null, never 0, and then ``total`` is null as well.
    ``turn`` is the share of the needed facts that the rollout's turns found. It is paid to the
    turns (``training.turn_rewards``) and no part of ``total``; null where it was not measured.
    """

    task: float | None
    expert: float | None
    efficiency: float | None
    total: float | None
    turn: float | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """One judged answer, keyed by (benchmark, model, task_id, rollout)."""

    benchmark: str
    model: str
    task_id: str
    rollout: int
    prediction: str | None
    verdict: Verdict
    judge: str
    stop_reason: StopReason
    usage: Usage
    seconds: float
