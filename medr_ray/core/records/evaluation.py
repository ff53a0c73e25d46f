"""What an answer was worth: rewards in training, verdicts in an evaluation."""

from dataclasses import dataclass

from medr_ray.core.records.trajectories import Usage


@dataclass(frozen=True)
class Reward:
    """Composite reward r = 1.0 task + 0.2 expert - 0.1 efficiency (paper section 4.2); null, never
    0, where a component could not be scored, and then ``total`` is null as well."""

    task: float | None
    expert: float | None
    efficiency: float | None
    total: float | None


@dataclass(frozen=True)
class EvaluationResult:
    """One judged answer. ``verdict`` is correct, incorrect or unscored (infrastructure failures,
    never counted)."""

    benchmark: str
    model: str
    item_id: str
    rollout: int
    prediction: str | None
    verdict: str
    judge: str
    stop_reason: str
    usage: Usage
    seconds: float
