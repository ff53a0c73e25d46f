"""How old the weights were that sampled a rollout.

The trainer learns update k (from 0) with the weights of version k. A token that the engine sampled
under version v has a staleness of k - v updates. With ``grpo.max_staleness: 0`` every rollout is of
the weights that learn from it; with 1 the rollouts of the next update run while this one is learnt,
and the losses correct for it by the ratio to the sampler's own probabilities (``training.losses``).
What is older than the bound is never learnt from.
"""

from collections.abc import Sequence

from medr_ray.core.records import Trajectory


def is_stale(trajectory: Trajectory, version: int, bound: int) -> bool:
    """Whether a turn was not sampled by one of the last weights up to ``version``: more than
    ``bound`` updates before, or after."""
    return any(not 0 <= version - turn.policy_version <= bound for turn in trajectory.turns)


def measure_staleness(
    trajectories: Sequence[Trajectory], version: int
) -> tuple[float | None, int | None]:
    """(mean over the sampled tokens, largest), in updates; nulls where there are no tokens."""
    tokens = 0
    total = 0
    largest: int | None = None
    for trajectory in trajectories:
        for turn in trajectory.turns:
            staleness = version - turn.policy_version
            tokens += len(turn.output_ids)
            total += staleness * len(turn.output_ids)
            largest = staleness if largest is None else max(largest, staleness)
    return (round(total / tokens, 4) if tokens else None), largest
