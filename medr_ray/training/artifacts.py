"""The files that the SFT and GRPO stages write for other stages."""

from dataclasses import dataclass

from medr_ray.core.artifacts import Artifact, StageFile
from medr_ray.core.records import Reward, Trajectory


@dataclass(frozen=True)
class ScoredRollout:
    """A rollout of one update with its reward. ``group`` is the id of its question.

    ``advantage`` is null where it teaches nothing (unscored, or its group had no spread or too few
    rollouts). ``turn_advantages`` has that of each turn where turns have rewards of their own;
    where it is empty, all turns have ``advantage``.
    """

    update: int
    group: str
    trajectory: Trajectory
    reward: Reward
    advantage: float | None
    turn_advantages: tuple[float, ...] = ()


# dialogue_id, ids, mask, weight, is_evaluation
SFT_EXAMPLES = StageFile("sft", "examples.parquet")
SFT_REJECTED = StageFile("sft", "rejected.jsonl")  # a line a dialogue that is not learnt from
SFT_METRICS = StageFile("sft", "metrics.jsonl")  # one line a step
GRPO_METRICS = StageFile("grpo", "metrics.jsonl")  # one line an update
GRPO_ROLLOUTS = Artifact("grpo", "rollouts", ScoredRollout)  # one part an update
