"""Rollouts that a budget of the agent cut off.

The agent is asked for its answer before a budget is spent, so a rollout that ends without one has
used up its tokens, calls, money or seconds. That is the agent's doing, unlike a failure of the
infrastructure, and ``grpo.truncated`` says what becomes of it. "scored": it is a rollout without an
answer, which teaches the policy to come to an end. "masked": it is left out of its group's baseline
and of the gradient, as in the overlong filtering of DAPO (arXiv 2503.14476, section 3.4), for
budgets that are tighter than the questions. Masking favours short rollouts where the long ones
would have been right, so truncated rollouts are counted by length.
"""

from collections.abc import Sequence

from medr_ray.core.records import StopReason, Trajectory

# "loop" and "malformed" are no budgets: such an agent could have gone on.
_TRUNCATING: frozenset[StopReason] = frozenset(
    {"max_tokens", "max_turns", "max_seconds", "max_usd"}
)
_QUANTILES = 4


def is_truncated(trajectory: Trajectory) -> bool:
    """Whether a budget ended the rollout before it had an answer."""
    return trajectory.stop_reason in _TRUNCATING


def count_sampled_tokens(trajectory: Trajectory) -> int:
    """The tokens that the policy sampled in all turns."""
    return sum(len(turn.output_ids) for turn in trajectory.turns)


def count_truncated_by_length(trajectories: Sequence[Trajectory]) -> list[int]:
    """The truncated rollouts in each quarter of all, from the shortest to the longest by sampled
    tokens. Rollouts of equal length are in the same quarter."""
    lengths = [count_sampled_tokens(trajectory) for trajectory in trajectories]
    counts = [0] * _QUANTILES
    for trajectory, length in zip(trajectories, lengths, strict=True):
        if is_truncated(trajectory):
            shorter = sum(other < length for other in lengths)
            counts[_QUANTILES * shorter // len(lengths)] += 1
    return counts
