"""Advantages, losses, batch plans, rewards, curriculum: closed forms and invariants."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.questions import worded_task

from medr_ray.core.config import GRPOConfig
from medr_ray.core.records import Reward, ToolEvent, Turn, Usage
from medr_ray.core.records import Trajectory as TrajectoryRecord
from medr_ray.training.advantages import group_advantages, has_spread
from medr_ray.training.batches import Example, collate, group_into_micro_batches, plan_steps
from medr_ray.training.curriculum import Curriculum
from medr_ray.training.experience import make_examples, score_groups
from medr_ray.training.losses import clipped_loss, sft_loss
from medr_ray.training.rewards import RulesPreference, compute_rewards

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


def test_groups_that_are_too_small_or_all_alike_teach_nothing() -> None:
    assert group_advantages([1.0, None, None, None], minimum=2) == [None] * 4
    assert group_advantages([1.0], minimum=1) == [0.0]
    assert not has_spread(group_advantages([0.7] * 4, 2))
    assert has_spread(group_advantages([0.7, 0.7, 1.0], 2))
    # 0.35 has no exact binary form: a sum of eight is not eight times it.
    assert group_advantages([0.35] * 8, 2) == [0.0] * 8
    assert math.isclose(group_advantages([0.35] * 7 + [0.95], 2)[-1] or 0.0, 0.525)


def test_grpo_gradient_at_ratio_one_is_the_weighted_log_likelihood() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantages = torch.tensor([0.5, -0.25, 0.0])
    result = clipped_loss(
        logprobs, logprobs.detach().clone(), advantages, GRPOConfig(clip_low=0.2, clip_high=0.28)
    )
    result.loss.backward()
    assert torch.allclose(logprobs.grad, -advantages)
    assert result.clipped == 0
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
    assert result.clipped == 2
    assert result.loss.item() == pytest.approx(-(1.28 + math.exp(-1) - math.e - 0.8))


def test_sft_loss_is_the_summed_negative_log_likelihood() -> None:
    assert sft_loss(torch.tensor([-1.0, -2.5])).item() == 3.5


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 3), st.integers(0, 5))
def test_every_epoch_visits_every_example(count: int, batch: int, epochs: int, seed: int) -> None:
    steps = plan_steps(count, batch, epochs, seed, None)
    per_epoch = len(steps) // epochs
    for epoch in range(epochs):
        seen = [i for step in steps[epoch * per_epoch : (epoch + 1) * per_epoch] for i in step]
        assert set(seen) == set(range(count))
    assert all(len(step) == batch for step in steps)
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
