"""Advantages, losses, batch plans, rewards, curriculum: closed forms and invariants."""

import itertools
import math
import statistics
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.questions import worded_task

from medr_ray.core.config import GRPOConfig
from medr_ray.core.records import Reward, StopReason, ToolEvent, Turn, Usage
from medr_ray.core.records import Trajectory as TrajectoryRecord
from medr_ray.training.advantages import group_advantages, has_spread, select_most_varied
from medr_ray.training.batches import Example, collate, group_into_micro_batches, plan_steps
from medr_ray.training.curriculum import Curriculum
from medr_ray.training.experience import make_examples, score_groups
from medr_ray.training.losses import POLICY_LOSSES, clipped_loss, sft_loss, truncated_loss
from medr_ray.training.rewards import RulesPreference, compute_rewards
from medr_ray.training.truncation import count_truncated_by_length
from medr_ray.training.update_checks import describe_mismatch

_REWARD = st.none() | st.floats(-1, 2)


@given(st.lists(st.floats(-1, 2), min_size=2, max_size=8), st.integers(0, 8))
def test_an_unscored_rollout_moves_nobody_elses_advantage(scored: list[float], where: int) -> None:
    with_failure = [*scored[:where], None, *scored[where:]]
    kept = [advantage for advantage in group_advantages(with_failure, 2) if advantage is not None]
    assert kept == group_advantages(scored, 2)


@given(st.lists(_REWARD, max_size=8))
def test_advantages_sum_to_zero_over_the_scored(rewards_: list[float | None]) -> None:
    advantages = [advantage for advantage in group_advantages(rewards_, 1) if advantage is not None]
    assert math.isclose(sum(advantages), 0.0, abs_tol=1e-9)


@given(st.lists(_REWARD, min_size=1, max_size=7), st.integers(2, 5))
def test_the_rewards_of_the_largest_variance_are_selected(
    rewards_: list[float | None], count: int
) -> None:
    selected = select_most_varied(rewards_, count)
    scored = [place for place, reward in enumerate(rewards_) if reward is not None]
    assert len(selected) == min(count, len(scored))
    assert selected <= set(scored)
    if not selected:
        return
    largest = max(
        statistics.pvariance([rewards_[place] or 0.0 for place in places])
        for places in itertools.combinations(scored, len(selected))
    )
    own = statistics.pvariance([rewards_[place] or 0.0 for place in selected])
    assert math.isclose(own, largest, rel_tol=1e-9, abs_tol=1e-12)


def test_of_a_large_group_the_rollouts_that_differ_most_are_learnt() -> None:
    rewards = [Reward(1, 1, 0, total) for total in (1.0, 0.0, 1.0, 1.0, 0.1, 1.0)]
    rows = score_groups(0, [_trajectory()] * 6, rewards, 4, learnt=4)
    # Their baseline is that of the four.
    assert [row.advantage for row in rows] == pytest.approx(
        [None, -0.525, None, 0.475, -0.425, 0.475]
    )
    # Too few that count: none is learnt, as without a selection.
    cut = [replace(reward, total=None) for reward in rewards[:3]] + rewards[3:]
    assert all(row.advantage is None for row in score_groups(0, [_trajectory()] * 6, cut, 4))
    assert all(
        row.advantage is None for row in score_groups(0, [_trajectory()] * 6, cut, 4, learnt=2)
    )


def test_groups_that_are_too_small_or_all_alike_teach_nothing() -> None:
    assert group_advantages([1.0, None, None, None], minimum=2) == [None] * 4
    assert group_advantages([1.0], minimum=1) == [0.0]
    assert not has_spread(group_advantages([0.7] * 4, 2))
    assert has_spread(group_advantages([0.7, 0.7, 1.0], 2))
    # 0.35 has no exact binary form: a sum of eight is not eight times it.
    assert group_advantages([0.35] * 8, 2) == [0.0] * 8
    assert math.isclose(group_advantages([0.35] * 7 + [0.95], 2)[-1] or 0.0, 0.525)


def test_a_group_whose_rewards_differ_by_less_than_is_asked_for_teaches_nothing() -> None:
    rewards = [1.2, 1.2, 1.1]
    assert has_spread(group_advantages(rewards, 2))
    assert has_spread(group_advantages(rewards, 2), 0.1)
    assert not has_spread(group_advantages(rewards, 2), 0.3)
    trajectories = [_trajectory()] * 3
    scores = [Reward(1, 1, 0, total) for total in rewards]
    for least, expected in ((0.0, False), (0.3, True)):
        rollouts = score_groups(0, trajectories, scores, 2, min_spread=least)
        assert all((rollout.advantage is None) == expected for rollout in rollouts)


@given(st.lists(st.tuples(st.floats(-1, 2), st.booleans()), min_size=2, max_size=8))
def test_what_is_left_out_moves_nobody_elses_advantage(rollouts: list[tuple[float, bool]]) -> None:
    rewards = [Reward(1, 1, 0, total) for total, _ in rollouts]
    left_out = [gone for _, gone in rollouts]
    scored = score_groups(0, [_trajectory()] * len(rollouts), rewards, 2, left_out)
    kept = [reward for reward, gone in zip(rewards, left_out, strict=True) if not gone]
    alone = score_groups(0, [_trajectory()] * len(kept), kept, 2)
    assert [row.advantage for row, gone in zip(scored, left_out, strict=True) if not gone] == [
        row.advantage for row in alone
    ]
    assert all(row.advantage is None for row, gone in zip(scored, left_out, strict=True) if gone)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from(["answered", "max_tokens", "max_seconds", "loop", "malformed"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_truncated_rollouts_are_counted_by_length(ends: list[tuple[int, StopReason]]) -> None:
    trajectories = [
        replace(
            _trajectory((Turn((1,), (2,) * length, (-0.1,) * length, 0),)), stop_reason=stop_reason
        )
        for length, stop_reason in ends
    ]
    counts = count_truncated_by_length(trajectories)
    lengths = sorted(length for length, stop in ends if stop in ("max_tokens", "max_seconds"))
    assert len(counts) == 4
    assert sum(counts) == len(lengths)


def test_the_longest_rollouts_are_in_the_last_quarter() -> None:
    trajectories = [
        replace(
            _trajectory((Turn((1,), (2,) * length, (-0.1,) * length, 0),)),
            stop_reason="max_seconds" if length > 5 else "answered",
        )
        for length in range(1, 9)
    ]
    assert count_truncated_by_length(trajectories) == [0, 0, 1, 2]


def test_grpo_gradient_at_ratio_one_is_the_weighted_log_likelihood() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantages = torch.tensor([0.5, -0.25, 0.0])
    result = clipped_loss(
        logprobs, logprobs.detach().clone(), advantages, GRPOConfig(clip_low=0.2, clip_high=0.28)
    )
    result.loss.backward()
    assert torch.allclose(logprobs.grad, -advantages)
    assert result.clipped_low == result.clipped_high == 0
    assert result.divergence == 0


def test_grpo_clips_only_where_it_would_go_further() -> None:
    sampled = torch.zeros(4)
    logprobs = torch.tensor([1.0, -1.0, 1.0, -1.0], requires_grad=True)  # ratios e and 1/e
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    result = clipped_loss(logprobs, sampled, advantages, GRPOConfig(clip_low=0.2, clip_high=0.28))
    result.loss.backward()
    assert logprobs.grad[0] == 0  # raised far enough already
    assert logprobs.grad[3] == 0  # lowered far enough already
    assert logprobs.grad[1] != 0
    assert logprobs.grad[2] != 0
    assert result.clipped_low == result.clipped_high == 1
    assert result.loss.item() == pytest.approx(-(1.28 + math.exp(-1) - math.e - 0.8))


_LOGPROB = st.floats(-100, 0)
_TOKENS = st.lists(
    st.tuples(_LOGPROB, _LOGPROB, st.floats(-2, 2)), min_size=1, max_size=8
)  # trainer, engine, advantage


@pytest.mark.parametrize("name", sorted(POLICY_LOSSES))
@given(tokens=_TOKENS)
def test_no_token_outweighs_the_bound_of_its_loss(
    name: str, tokens: list[tuple[float, float, float]]
) -> None:
    trained, sampled, advantages = torch.tensor(tokens).unbind(1)
    logprobs = trained.clone().requires_grad_()
    config = GRPOConfig(dual_clip=3, ratio_cap=2, clip_low=0.2, clip_high=0.28)
    result = POLICY_LOSSES[name](logprobs, sampled, advantages, config)
    result.loss.backward()
    assert math.isfinite(result.loss.detach())
    assert math.isfinite(result.divergence)
    bound = {"clipped": 3, "truncated": 2}[name] * advantages.abs() * (1 + 1e-6)
    assert torch.all(logprobs.grad.abs() <= bound)
    # The gradient raises what was better than its group and lowers what was worse, if anything.
    assert torch.all(logprobs.grad * advantages <= 0)


def test_a_token_that_only_the_trainer_finds_likely_does_not_dominate() -> None:
    for engine in (-20.0, -95.0):
        sampled = torch.tensor([engine, -0.7])
        logprobs = torch.tensor([-0.05, -0.7], requires_grad=True)
        result = clipped_loss(logprobs, sampled, torch.tensor([-0.5, -0.5]), GRPOConfig())
        result.loss.backward()
        assert logprobs.grad.tolist() == pytest.approx([0, 0.5])
        assert result.clipped_high == result.mismatched == 1
        assert result.largest_ratio > 1e8


def test_the_truncated_loss_weighs_the_log_likelihood_by_the_bounded_ratio() -> None:
    sampled = torch.tensor([-1.0, -1.0, -5.0])
    logprobs = torch.tensor([-1.0, -2.0, -1.0], requires_grad=True)
    advantages = torch.tensor([0.5, -0.25, -1.0])
    result = truncated_loss(logprobs, sampled, advantages, GRPOConfig(ratio_cap=2))
    result.loss.backward()
    assert logprobs.grad.tolist() == pytest.approx([-0.5, 0.25 * math.exp(-1), 2.0])
    assert result.clipped_high == 1
    assert result.clipped_low == 0


@given(st.lists(st.tuples(st.floats(-5, 0), st.floats(-2, 2)), min_size=1, max_size=8))
def test_all_losses_have_the_same_gradient_where_engine_and_trainer_agree(
    tokens: list[tuple[float, float]],
) -> None:
    sampled, advantages = torch.tensor(tokens).unbind(1)
    for compute_loss in POLICY_LOSSES.values():
        logprobs = sampled.clone().requires_grad_()
        result = compute_loss(logprobs, sampled, advantages, GRPOConfig())
        result.loss.backward()
        assert torch.allclose(logprobs.grad, -advantages)
        assert result.divergence == result.mismatched == 0
        assert result.largest_ratio == 1


def test_an_update_warns_of_a_mismatch_and_says_what_to_do() -> None:
    row = {"update": 3, "mismatch_kl": 0.4, "ratio_largest": 812.0, "mismatch_share": 0.031}
    text = describe_mismatch(row, 0.02)
    assert "update 3" in text
    assert "812" in text
    assert "3.10%" in text
    assert "grpo.loss: truncated" in text
    assert describe_mismatch({**row, "mismatch_kl": float("nan")}, 0.02)
    assert describe_mismatch({**row, "mismatch_kl": 0.0003}, 0.02) == ""
    assert describe_mismatch({**row, "mismatch_kl": None}, 0.02) == ""


def test_sft_loss_is_the_summed_negative_log_likelihood() -> None:
    logprobs = torch.tensor([-1.0, -2.5])
    assert sft_loss(logprobs, torch.tensor([])).item() == 3.5
    assert sft_loss(logprobs, torch.tensor([2.0, 0.5])).item() == 3.25


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 3), st.integers(0, 5))
def test_every_epoch_visits_every_example_once(
    count: int, batch: int, epochs: int, seed: int
) -> None:
    steps = plan_steps(count, batch, epochs, seed, None)
    per_epoch = len(steps) // epochs
    for epoch in range(epochs):
        own = steps[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(index for step in own for index in step) == list(range(count))
        assert all(len(step) == batch for step in own[:-1])
        assert 0 < len(own[-1]) <= batch
    assert steps == plan_steps(count, batch, epochs, seed, None)


@given(st.lists(st.integers(2, 50), min_size=1, max_size=20), st.integers(20, 200))
def test_micro_batches_keep_every_sequence_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    groups = group_into_micro_batches([Example(tuple(range(n)), (1,)) for n in lengths], budget)
    assert sorted(len(example.ids) for group in groups for example in group) == sorted(lengths)
    assert all(
        len(group) == 1 or len(group) * max(len(example.ids) for example in group) <= budget
        for group in groups
    )


def test_collate_points_at_the_state_before_each_target() -> None:
    batch = collate([Example((5, 6, 7), (1, 2)), Example((8, 9), (1,))], pad_id=0, device="cpu")
    assert batch.target_tokens.tolist() == [6, 7, 9]
    assert batch.hidden_rows.tolist() == [0, 0, 1]
    assert batch.hidden_columns.tolist() == [0, 1, 0]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def _trajectory(
    turns: tuple[Turn, ...] = (),
    question_id: str = "q-1",
    answer: str | None = "Autosomal recessive",
    events: tuple[ToolEvent, ...] = (),
) -> TrajectoryRecord:
    return TrajectoryRecord(
        "traj-1",
        question_id,
        "exploration",
        0,
        (),
        turns,
        events,
        (),
        answer,
        "answered",
        Usage(0, 0, 0),
        None,
    )


def test_each_sampled_token_is_trained_once_and_no_other() -> None:
    turns = (Turn((1, 2), (3, 4), (-0.1, -0.2), 0), Turn((1, 2, 3, 4, 5), (6,), (-0.3,), 0))
    scored = score_groups(
        0,
        [_trajectory(turns), _trajectory(turns)],
        [Reward(1, 1, 0, 1.2), Reward(0, 1, 0, 0.2)],
        minimum=2,
    )
    (example,) = make_examples(scored[0])
    assert example.ids == (1, 2, 3, 4, 5, 6)
    assert [example.ids[i] for i in example.targets] == [3, 4, 6]
    assert example.logprobs == (-0.1, -0.2, -0.3)
    assert example.advantages == pytest.approx((0.5, 0.5, 0.5))


def test_a_prompt_that_does_not_extend_the_last_starts_a_new_stretch() -> None:
    turns = (Turn((1, 2), (3,), (-0.1,), 0), Turn((1, 9), (4,), (-0.2,), 0))
    scored = score_groups(
        0,
        [_trajectory(turns), _trajectory()],
        [Reward(1, 1, 0, 1.2), Reward(0, 1, 0, 0.2)],
        minimum=2,
    )
    assert [(example.ids, example.targets) for example in make_examples(scored[0])] == [
        ((1, 2, 3), (2,)),
        ((1, 9, 4), (2,)),
    ]


def test_the_reward_follows_the_papers_weights_and_null_stays_null() -> None:
    task = worded_task(aliases=("Autosomal recessive",))
    event = ToolEvent("search", '{"query": "a"}', "ok", 0.1, False)
    wasteful = _trajectory(events=(event, event, event))
    good, bad = compute_rewards(
        [_trajectory(events=(event,)), wasteful],
        [task, task],
        GRPOConfig(),
        RulesPreference(),
    )
    assert good.task == bad.task == 1.0
    assert good.efficiency == 0.0
    assert bad.efficiency == 1.0
    assert good.total == pytest.approx(1.0 + 0.2 * good.expert)

    class Down:
        def score(self, trajectories: object, tasks: object) -> list[float | None]:
            return [None]

    (unscored,) = compute_rewards([_trajectory()], [task], GRPOConfig(), Down())
    assert unscored.total is None
    assert unscored.task == 1.0


def test_a_failed_tool_call_is_no_waste() -> None:
    failed = ToolEvent("search", '{"query": "a"}', "error", 0.1, True)
    again = ToolEvent("medical_search", '{"query": "a"}', "ok", 0.1, False)
    (reward,) = compute_rewards(
        [_trajectory(events=(failed, again))], [worded_task()], GRPOConfig(), RulesPreference()
    )
    assert reward.efficiency == 0.0


def test_the_curriculum_rises_with_the_pass_rate_and_resumes() -> None:
    complexity = {f"q-{i}": 1 + i % 2 for i in range(40)}
    curriculum = Curriculum(complexity, seed=1)
    assert {complexity[key] for key in curriculum.select_questions(10, 0)} == {1}
    for update in range(3):
        curriculum.record_pass_rates(dict.fromkeys(curriculum.select_questions(6, update), 0.8))
    assert curriculum.level == 2
    strict = Curriculum(complexity, seed=1, raise_at=0.9)
    for update in range(3):
        strict.record_pass_rates(dict.fromkeys(strict.select_questions(6, update), 0.8))
    assert strict.level == 1
    again = Curriculum.resume(complexity, 1, 0.5, curriculum.state())
    assert again.select_questions(6, 9) == curriculum.select_questions(6, 9)
    assert sorted(complexity[key] for key in curriculum.select_questions(6, 9)) == [
        1,
        1,
        1,
        2,
        2,
        2,
    ]
