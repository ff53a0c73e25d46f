"""Turns rollouts into scored groups, and these into token sequences with advantages.

Guaranteed: the model is trained at most once on every sampled token, and on exactly the token that
was sampled. Tokens of the environment (questions, tool responses) carry no loss.
"""

from collections.abc import Mapping, Sequence

from medr_ray.core.records import Reward, Trajectory
from medr_ray.training.advantages import group_advantages, has_spread, select_most_varied
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.batches import Example
from medr_ray.training.turn_rewards import turn_advantages


def score_groups(
    update: int,
    trajectories: Sequence[Trajectory],
    rewards: Sequence[Reward],
    minimum: int,
    left_out: Sequence[bool] = (),
    min_spread: float = 0.0,
    turn_rewards: Sequence[Sequence[float]] = (),
    learnt: int | None = None,
) -> list[ScoredRollout]:
    """Group rollouts by question and give each its advantage.

    ``rewards`` are in the order of ``trajectories``, and so is ``left_out``, which says what moves
    neither baseline nor gradient whatever its reward; empty: nothing. ``turn_rewards`` are what
    each turn is paid besides; empty: nothing. A group has no advantages where fewer than
    ``minimum`` of its rollouts count, or their advantages differ by less than ``min_spread``. With
    ``learnt``, so many of a group that is large enough count, those paid most and least (see
    ``select_most_varied``), and the baseline is theirs.
    """
    totals = [reward.total for reward in rewards]
    if left_out:
        totals = [
            None if is_left_out else total
            for total, is_left_out in zip(totals, left_out, strict=True)
        ]
    groups: dict[str, list[int]] = {}
    for index, trajectory in enumerate(trajectories):
        groups.setdefault(trajectory.question_id, []).append(index)
    rollouts: list[ScoredRollout] = []
    for question, members in sorted(groups.items()):
        counted = [totals[member] for member in members]
        smallest = minimum
        if learnt is not None and sum(total is not None for total in counted) >= minimum:
            of_turns = [sum(turn_rewards[member]) if turn_rewards else 0.0 for member in members]
            counted = _leave_out_similar(counted, of_turns, learnt)
            smallest = min(minimum, learnt)
        advantages = group_advantages(counted, smallest)
        by_turn: dict[int, tuple[float, ...]] = {}
        if turn_rewards:
            by_turn = _add_turn_advantages(
                {
                    member: advantage
                    for member, advantage in zip(members, advantages, strict=True)
                    if advantage is not None
                },
                turn_rewards,
            )
        turn_values = [value for values in by_turn.values() for value in values]
        # Equal rewards have advantages of zero. As null they stay out of the token count too,
        # which would otherwise dilute the gradient of the groups that do teach.
        if not has_spread([*advantages, *turn_values], min_spread):
            advantages = [None] * len(members)
            by_turn = {}
        for member, advantage in zip(members, advantages, strict=True):
            rollouts.append(
                ScoredRollout(
                    update,
                    question,
                    trajectories[member],
                    rewards[member],
                    advantage,
                    by_turn.get(member, ()),
                )
            )
    return rollouts


def _leave_out_similar(
    totals: Sequence[float | None], turn_rewards: Sequence[float], count: int
) -> list[float | None]:
    """The totals of a group's rollouts, with None but for the ``count`` whose whole pay differs
    most."""
    paid = [
        None if total is None else total + of_turns
        for total, of_turns in zip(totals, turn_rewards, strict=True)
    ]
    selected = select_most_varied(paid, count)
    return [total if place in selected else None for place, total in enumerate(totals)]


def _add_turn_advantages(
    advantages: Mapping[int, float], turn_rewards: Sequence[Sequence[float]]
) -> dict[int, tuple[float, ...]]:
    """The advantages of each rollout's turns: the rollout's, and the turn's own."""
    members = list(advantages)
    of_turns = turn_advantages([turn_rewards[member] for member in members])
    return {
        member: tuple(advantages[member] + value for value in values)
        for member, values in zip(members, of_turns, strict=True)
    }


def make_examples(rollout: ScoredRollout) -> list[Example]:
    """The token sequences of a rollout; none for a rollout without an advantage.

    As long as each prompt extends the tokens before it, the turns make one sequence, so the model
    reads a long dialogue once. A prompt that does not extend them begins a new sequence.
    """
    if rollout.advantage is None:
        return []
    turns = rollout.trajectory.turns
    of_turns = rollout.turn_advantages or (rollout.advantage,) * len(turns)
    examples: list[Example] = []
    ids: tuple[int, ...] = ()
    targets: list[int] = []
    logprobs: list[float] = []
    advantages: list[float] = []
    # Every reply of an engine has tokens, so its turns are the rollout's replies.
    for turn, advantage in zip(turns, of_turns, strict=True):
        if turn.prompt_ids[: len(ids)] != ids:
            examples.append(Example(ids, tuple(targets), tuple(logprobs), tuple(advantages)))
            targets = []
            logprobs = []
            advantages = []
        start = len(turn.prompt_ids)
        targets += range(start, start + len(turn.output_ids))
        logprobs += turn.logprobs
        advantages += [advantage] * len(turn.output_ids)
        ids = turn.prompt_ids + turn.output_ids
    if targets:
        examples.append(Example(ids, tuple(targets), tuple(logprobs), tuple(advantages)))
    return examples
