"""Advantages: reward minus the mean of its group (paper section 4.2), no division by the spread.

An unscored rollout (null reward) is no part of its group: it moves neither the baseline nor the
gradient. A group that lost too many rollouts, or whose rewards are all equal, teaches nothing and
is left out.
"""

import math
from collections.abc import Sequence

_EQUAL_REWARDS = 1e-6  # rewards closer than this are the same reward


def group_advantages(rewards: Sequence[float | None], minimum: int) -> list[float | None]:
    """One advantage per rollout, null for unscored ones; all null when fewer than ``minimum`` are
    scored."""
    scored = [reward for reward in rewards if reward is not None]
    if len(scored) < max(minimum, 1):
        return [None] * len(rewards)
    mean = math.fsum(scored) / len(scored)
    return [None if reward is None else reward - mean for reward in rewards]


def has_spread(advantages: Sequence[float | None]) -> bool:
    """Whether a group has anything to teach."""
    scored = [advantage for advantage in advantages if advantage is not None]
    return bool(scored) and max(scored) - min(scored) > _EQUAL_REWARDS
