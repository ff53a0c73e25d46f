"""Rollouts as something to learn from: scored groups, and the token sequences with their
advantages.

What holds: every sampled token is trained at most once, as the token it was; tokens of the
environment carry no loss.
"""

from collections.abc import Sequence

from medr_ray.core.records import Reward, Trajectory
from medr_ray.training.advantages import group_advantages, has_spread
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.batches import Example


def score_groups(
    update: int,
    trajectories: Sequence[Trajectory],
    rewards: Sequence[Reward],
    minimum: int,
) -> list[ScoredRollout]:
    """Group rollouts by question and give each its advantage."""
    groups: dict[str, list[int]] = {}
    for index, trajectory in enumerate(trajectories):
        groups.setdefault(trajectory.question_id, []).append(index)
    scored = []
    for group, members in sorted(groups.items()):
        advantages = group_advantages([rewards[i].total for i in members], minimum)
        useful = has_spread(advantages)
        scored += [
            ScoredRollout(update, group, trajectories[i], rewards[i], advantage if useful else None)
            for i, advantage in zip(members, advantages, strict=True)
        ]
    return scored


def make_examples(rollout: ScoredRollout) -> list[Example]:
    """The rollout's token sequences; one where each prompt extends what was seen before, else one
    per stretch."""
    if rollout.advantage is None:
        return []
    examples: list[Example] = []
    ids: tuple[int, ...] = ()
    targets: list[int] = []
    logprobs: list[float] = []
    for turn in rollout.trajectory.turns:
        if turn.prompt_ids[: len(ids)] != ids:
            examples.append(Example(ids, tuple(targets), tuple(logprobs), rollout.advantage))
            targets, logprobs = [], []
        targets += range(len(turn.prompt_ids), len(turn.prompt_ids) + len(turn.output_ids))
        logprobs += turn.logprobs
        ids = turn.prompt_ids + turn.output_ids
    if targets:
        examples.append(Example(ids, tuple(targets), tuple(logprobs), rollout.advantage))
    return examples
