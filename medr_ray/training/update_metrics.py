"""The metrics of a GRPO update, and what a checkpoint has of a run beside the tensors.

Field names are the keys of ``grpo/metrics.jsonl`` and of a checkpoint's state: renaming one changes
those files. A figure that was not measured is null.
"""

from dataclasses import asdict, dataclass
from typing import Any

from medr_ray.training.heldout import HeldoutFigures
from medr_ray.training.metric_rows import MetricRow
from medr_ray.training.throughput import ThroughputFigures


@dataclass(frozen=True)
class RolloutFigures:
    """What an update's rollouts came to.

    ``rollouts`` came back with a trajectory; ``excluded`` did not, for the kinds of infrastructure
    failure that ``excluded_by`` counts. ``exact_match`` and ``answer_rate`` are shares of
    ``rollouts``. The former is the mean of the reward's first part; ``expert_mean``,
    ``efficiency_mean`` and ``turn_mean`` are those of the others, in [0, 1] and without weights.

    Of the rollouts, ``truncated`` were cut off by a budget of the agent, which ``truncated_by``
    counts by stop reason and ``truncated_by_length`` by quarter of all rollouts, from the shortest
    to the longest. ``groups`` counts the questions, of which ``groups_refilled`` took the place of
    others that taught nothing, and ``groups_used`` those whose rollouts have an advantage;
    ``rollouts_unused`` are the rollouts without one. ``stale`` rollouts are among these because
    their tokens are of older weights than ``grpo.max_staleness`` allows; ``staleness_mean`` and
    ``staleness_largest``, in updates, are of the tokens that are learnt from.

    ``level`` is the curriculum's for the next update, in hops. ``tool_seconds`` is the sum over all
    tool calls.
    """

    rollouts: int
    reward_mean: float | None
    exact_match: float | None
    expert_mean: float | None
    efficiency_mean: float | None
    turn_mean: float | None
    answer_rate: float
    truncated: int
    truncated_by: dict[str, int]
    truncated_by_length: list[int]
    groups: int
    groups_refilled: int
    groups_used: int
    rollouts_unused: int
    stale: int
    staleness_mean: float | None
    staleness_largest: int | None
    excluded: int
    excluded_by: dict[str, int]
    level: int
    tool_seconds: float
    rollout_seconds: float


@dataclass(frozen=True)
class LearningFigures:
    """What an optimiser step came to: means over ``tokens``, the trained tokens of all workers,
    which stand in ``sequences`` of ``sequence_tokens`` together.

    ``entropy`` is in nats. ``mismatch_kl`` is KL(engine || trainer) before the step,
    ``ratio_mean`` and ``ratio_largest`` are the mean and the largest probability ratio, and
    ``mismatch_share`` is the share of tokens whose ratio is above ``grpo.ratio_cap`` or below its
    inverse. ``clip_fraction`` is the share of tokens whose ratio the loss held at a bound, which
    ``clip_low_share`` (below 1) and ``clip_high_share`` (above 1) add up to. ``grad_norm`` is the
    gradient's norm before clipping, null where it was not finite and the step was skipped;
    ``applied`` is false there, and null where there was nothing to learn from.
    """

    loss: float
    entropy: float | None
    mismatch_kl: float | None
    ratio_mean: float | None
    ratio_largest: float | None
    mismatch_share: float | None
    clip_fraction: float | None
    clip_low_share: float | None
    clip_high_share: float | None
    grad_norm: float | None
    applied: bool | None
    tokens: int
    sequences: int
    sequence_tokens: int
    learn_seconds: float


@dataclass(frozen=True)
class UpdateMetrics:
    """One finished update, numbered from 1.

    ``heldout`` has nulls where it was not measured after this update. ``heldout_before`` is of the
    weights that the run began with, in the row of the first update; null in the others, and where
    nothing is measured. ``sync_seconds``: until the engines served the new weights, of which
    ``sync_bytes`` were sent to each node with engines.
    """

    update: int
    rollouts: RolloutFigures
    learning: LearningFigures
    throughput: ThroughputFigures
    heldout: HeldoutFigures
    heldout_before: HeldoutFigures | None
    sync_seconds: float
    sync_bytes: int

    def to_row(self) -> MetricRow:
        """One flat line of the metrics file."""
        return {
            "update": self.update,
            **asdict(self.rollouts),
            **asdict(self.learning),
            **asdict(self.throughput),
            **asdict(self.heldout),
            "heldout_before": asdict(self.heldout_before) if self.heldout_before else None,
            "sync_seconds": self.sync_seconds,
            "sync_bytes": self.sync_bytes,
        }


@dataclass(frozen=True)
class TrainerState:
    """Where a run stands after ``update`` updates, as a checkpoint has it: ``history`` are the rows
    of these updates.

    ``curriculum`` is the state of the curriculum; null before the first update.
    """

    update: int = 0
    history: tuple[MetricRow, ...] = ()
    curriculum: dict[str, Any] | None = None

    @classmethod
    def from_checkpoint(cls, state: dict[str, Any] | None) -> "TrainerState":
        """The state read from a checkpoint; that of a fresh start where there is none."""
        if state is None:
            return cls()
        return cls(state["update"], tuple(state["history"]), state["curriculum"])

    def to_checkpoint(self) -> dict[str, Any]:
        return asdict(self)
