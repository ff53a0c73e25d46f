"""Advantages: reward minus the mean of its group (paper section 4.2).

The group of a question's rollouts stands in for a value network (GRPO, DeepSeekMath, arXiv
2402.03300). Unlike in GRPO, the difference is not divided by the group's standard deviation. The
paper's objective has no such division, and it would give most weight to questions that nearly all
or nearly none of the rollouts answer.

An unscored rollout (null reward) is not part of its group: it moves neither the baseline nor the
gradient. A group that lost too many rollouts, or whose rewards hardly differ, teaches nothing and
is left out.
"""

import math
import statistics
from collections.abc import Sequence

_EQUAL_REWARDS = 1e-6  # rewards closer than this are the same reward


def group_advantages(rewards: Sequence[float | None], minimum: int) -> list[float | None]:
    """One advantage per rollout, None for an unscored rollout.

    All are None when fewer than ``minimum`` rollouts are scored.
    """
    scored = [reward for reward in rewards if reward is not None]
    # Rollouts are not lost at random: the slow ones run into deadlines. The mean of a few that are
    # left would be a biased baseline, so the whole group is excluded.
    if len(scored) < max(minimum, 1):
        return [None] * len(rewards)
    # fsum is exact, so the mean does not depend on the order of the rollouts.
    mean = math.fsum(scored) / len(scored)
    return [None if reward is None else reward - mean for reward in rewards]


def select_most_varied(rewards: Sequence[float | None], count: int) -> frozenset[int]:
    """The places of the ``count`` scored rewards whose variance is largest; all scored ones where
    there are no more.

    They are the lowest and the highest, so many of each as gives the largest variance (max-variance
    down-sampling, PODS, arXiv 2504.13818).
    """
    scored = {place: reward for place, reward in enumerate(rewards) if reward is not None}
    if len(scored) <= count:
        return frozenset(scored)
    places = sorted(scored, key=scored.__getitem__)
    selections = [
        places[:lowest] + places[len(places) - count + lowest :] for lowest in range(count + 1)
    ]
    return frozenset(
        max(selections, key=lambda chosen: statistics.pvariance(map(scored.__getitem__, chosen)))
    )


def has_spread(advantages: Sequence[float | None], least: float = 0.0) -> bool:
    """Whether the advantages of a group differ, by ``least`` or more, so that it has something to
    teach."""
    scored = [advantage for advantage in advantages if advantage is not None]
    if not scored:
        return False
    spread = max(scored) - min(scored)
    # The margin is for ``least`` as well: rewards are sums of fractions.
    return spread > _EQUAL_REWARDS and spread > least - _EQUAL_REWARDS
