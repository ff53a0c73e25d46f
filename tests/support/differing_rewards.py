"""Rewards that differ within every group, so that a model which answers nothing right is taught."""

import sys
from collections.abc import Sequence
from typing import Any

from ray import cloudpickle

from medr_ray.core.records import Task, Trajectory

# Ray's workers cannot import the tests, so this module travels with what is sent to them.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
# Without a weight, GRPO makes nothing of the expert's scores.
SETTING = "grpo.expert_weight=1.0"


def let_rewards_differ() -> None:
    """Let the expert of this process score every second rollout 1 and the others 0."""
    from medr_ray.training import rewards

    def score_by_number(
        _: Any, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        return [float(trajectory.rollout % 2) for trajectory in trajectories]

    rewards.RulesPreference.score = score_by_number  # type: ignore[method-assign]


def run_differing_job(settings: dict[str, Any]) -> None:
    """As ``run_grpo_job``, with such rewards."""
    from medr_ray.training.grpo_job import run_grpo_job

    let_rewards_differ()
    run_grpo_job(settings)
