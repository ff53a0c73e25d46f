"""What a turn is paid for, and how that becomes the advantage of its tokens."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.questions import make_question

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import (
    Message,
    QuestionStep,
    Reward,
    ToolEvent,
    Trajectory,
    Turn,
    Usage,
)
from medr_ray.training.experience import make_examples, score_groups
from medr_ray.training.turn_rewards import find_turn_rewards, turn_advantages

NAMED = QuestionStep("named", (), "PATENT:US11426348", "patent", "11426348")
APPLICATION = QuestionStep(
    "application_of_patent", (0,), "FDA:NDA022496", "application", "NDA 022496"
)
DATE = QuestionStep(
    "last_patent_expiry_of_application", (1,), "VALUE:date/2044-07-02", "date", "2 July 2044"
)
QUESTION = replace(make_question(1, answer="2 July 2044"), steps=(NAMED, APPLICATION, DATE))
BOOK = "ORANGE-BOOK:NDA022496"
PATENT_LINE = f"[1] NDA022496 ({BOOK}): patent no: 11426348"
DATE_LINE = f"[1] NDA022496 ({BOOK}): expiry: Jul 2, 2044"
NOTHING = "error: down"

_GROUP = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 0.5]), min_size=1, max_size=5), min_size=1, max_size=6
)


def make_trajectory(*responses: str, rollout: int = 0) -> Trajectory:
    """A call for each response, then the answer; turn number t samples the token 10 + t."""
    messages = [Message("system", "s"), Message("user", "When expires 11426348?")]
    events = []
    for place, response in enumerate(responses):
        query = {"query": f"query {place}"}
        messages.append(Message("assistant", render_reply("look", [ToolCall("search", query)])))
        messages.append(Message("user", render_responses([response])))
        status = "error" if response == NOTHING else "ok"
        arguments = json.dumps(query)
        events.append(ToolEvent("search", arguments, status, 0.1, False, documents=(BOOK,)))
    messages.append(Message("assistant", render_reply("that is it", answer="2 July 2044")))
    turns: list[Turn] = []
    prompt: tuple[int, ...] = (1,)
    for place in range(len(responses) + 1):
        turns.append(Turn(prompt, (10 + place,), (-0.5,), 0))
        prompt = (*prompt, 10 + place, 2)
    return Trajectory(
        f"traj-{rollout}",
        QUESTION.task.task_id,
        "exploration",
        rollout,
        tuple(messages),
        tuple(turns),
        tuple(events),
        (),
        "2 July 2044",
        "answered",
        Usage(0, 0, 0),
        None,
    )


def test_the_turn_whose_call_first_states_a_needed_fact_has_its_share() -> None:
    assert find_turn_rewards(make_trajectory(PATENT_LINE, DATE_LINE), QUESTION) == (0.5, 0.5, 0)
    assert find_turn_rewards(make_trajectory(NOTHING, DATE_LINE), QUESTION) == (0, 1, 0)
    # Not twice, not for an answer without a record.
    assert find_turn_rewards(make_trajectory(PATENT_LINE, PATENT_LINE), QUESTION) == (0.5, 0, 0)
    assert find_turn_rewards(make_trajectory(), QUESTION) == (0,)


def test_a_fact_that_no_record_states_is_paid_once() -> None:
    count = QuestionStep("number_of_trials", (0,), "VALUE:number/3", "number", "3")
    named = QuestionStep("named", (), "MESH:D1", "disease", "Krabbe disease")
    question = replace(make_question(1, answer="3"), steps=(named, count))
    lines = [f"[1] trial {n} (NCT{n}): Krabbe disease" for n in range(3)]
    trajectory = make_trajectory(*lines)
    events = tuple(
        replace(event, documents=(f"NCT{n}",)) for n, event in enumerate(trajectory.tool_events)
    )
    assert sum(find_turn_rewards(replace(trajectory, tool_events=events), question)) == 1


@given(_GROUP)
def test_the_advantages_of_a_turn_sum_to_zero_over_the_group(group: list[list[float]]) -> None:
    advantages = turn_advantages(group)
    assert [len(own) for own in advantages] == [len(own) for own in group]
    for turn in range(max(map(len, group))):
        total = sum(own[turn] for own in advantages if len(own) > turn)
        assert math.isclose(total, 0, abs_tol=1e-9)


@given(_GROUP, st.data())
def test_what_a_turn_finds_moves_no_later_turn(
    group: list[list[float]], data: st.DataObject
) -> None:
    rollout = data.draw(st.integers(0, len(group) - 1))
    turn = data.draw(st.integers(0, len(group[rollout]) - 1))
    more = [list(own) for own in group]
    more[rollout][turn] += 1
    before = turn_advantages(group)
    after = turn_advantages(more)
    for own_before, own_after in zip(before, after, strict=True):
        assert own_after[turn + 1 :] == pytest.approx(own_before[turn + 1 :])
    assert after[rollout][turn] >= before[rollout][turn] - 1e-9


def test_the_tokens_of_each_turn_have_the_advantage_of_their_turn() -> None:
    trajectories = [
        make_trajectory(PATENT_LINE, DATE_LINE, rollout=0),
        make_trajectory(PATENT_LINE, NOTHING, rollout=1),
    ]
    paid = [find_turn_rewards(trajectory, QUESTION) for trajectory in trajectories]
    # Both are equally right: without a reward of their turns they would teach nothing.
    rewards = [Reward(1, 1, 0, 1.2)] * 2
    assert score_groups(0, trajectories, rewards, 2)[0].advantage is None
    first, second = score_groups(0, trajectories, rewards, 2, turn_rewards=paid)
    assert first.advantage == second.advantage == 0
    (example,) = make_examples(first)
    assert [example.ids[position] for position in example.targets] == [10, 11, 12]
    assert example.advantages == pytest.approx((0.25, 0.25, 0))
    (example,) = make_examples(second)
    assert example.advantages == pytest.approx((-0.25, -0.25, 0))


def test_turns_without_a_reward_change_nothing() -> None:
    trajectories = [make_trajectory(NOTHING, rollout=0), make_trajectory(NOTHING, rollout=1)]
    rewards = [Reward(1, 1, 0, 1.2), Reward(0, 1, 0, 0.2)]
    plain = score_groups(0, trajectories, rewards, 2)
    with_turns = score_groups(0, trajectories, rewards, 2, turn_rewards=[(0, 0), (0, 0)])
    for row, other in zip(plain, with_turns, strict=True):
        assert make_examples(row) == make_examples(other)


def test_a_rollout_that_does_not_count_is_in_no_turns_baseline() -> None:
    trajectories = [make_trajectory(PATENT_LINE, rollout=n) for n in range(3)]
    rewards = [Reward(1, 1, 0, 1.2), Reward(0, 1, 0, 0.2), Reward(1, None, 0, None)]
    paid = [(0.5, 0.0), (0.0, 0.0), (9.0, 9.0)]
    rows = score_groups(0, trajectories, rewards, 2, turn_rewards=paid)
    assert rows[0].turn_advantages == pytest.approx((0.75, 0.5))
    assert rows[2].advantage is None
    assert rows[2].turn_advantages == ()
