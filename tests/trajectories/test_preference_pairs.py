"""Pairs put an accepted dialogue against one with a fault of the agent, by the written rule."""

from dataclasses import replace

import pytest
from support.questions import worded_question

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import FilteredTrajectory, Message, ToolEvent, Trajectory, Usage
from medr_ray.trajectories.preference_pairs import PairCounts, build_pair_row, find_pairs

QUESTION = worded_question()
WRONG = "wrong answer: X in place of Y"
_EVENT = ToolEvent("search", '{"query": "a"}', "ok", 0.0, False)


def judged(
    name: str,
    *reasons: str,
    calls: int = 2,
    question_id: str = "q-1",
    system: str = "s",
) -> FilteredTrajectory:
    """A dialogue with that many calls, and the reasons against it."""
    messages = [Message("system", system), Message("user", QUESTION.task.text)]
    for number in range(calls):
        reply = render_reply(f"{name} {number}", [ToolCall("search", {"query": "a"})])
        messages += [Message("assistant", reply), Message("user", render_responses(["r"]))]
    messages.append(Message("assistant", render_reply(name, answer=name)))
    trajectory = Trajectory(
        trajectory_id=name,
        question_id=question_id,
        mode="guided",
        rollout=0,
        messages=tuple(messages),
        turns=(),
        tool_events=(_EVENT,) * calls,
        documents=(),
        answer=name,
        stop_reason="answered",
        usage=Usage(0, 0, 0),
        cost=None,
    )
    return FilteredTrajectory(trajectory, not reasons, reasons)


def ids_of(*entries: FilteredTrajectory, per_question: int = 1) -> list[tuple[str, str]]:
    pairs, _ = find_pairs(entries, per_question)
    return [
        (pair.chosen.trajectory.trajectory_id, pair.rejected.trajectory.trajectory_id)
        for pair in pairs
    ]


def test_the_accepted_dialogue_with_the_fewest_calls_is_chosen() -> None:
    long, short, wrong = judged("a", calls=4), judged("b", calls=2), judged("c", WRONG)
    assert ids_of(long, short, wrong) == [("b", "c")]


def test_more_faults_count_first_and_then_the_nearest_number_of_calls() -> None:
    far = judged("b", WRONG, calls=5)
    near = judged("c", WRONG, calls=3)
    worse = judged("d", WRONG, "call without a thought: message 2", calls=6)
    assert ids_of(judged("a"), far, near, worse, per_question=9) == [
        ("a", "d"),
        ("a", "c"),
        ("a", "b"),
    ]
    assert ids_of(judged("a"), far, near) == [("a", "c")], "one of each question by default"


@pytest.mark.parametrize(
    "reasons",
    [
        ("too long: 900 of 768 tokens",),
        ("failure not made up for: call 2 of 2",),
        ("no answer: max_tokens",),
        ("no answer: max_seconds", "too long: 900 of 768 tokens"),
        ("beyond the budget: 1 call",),
        (WRONG, "calls and responses differ: message 2: 2 calls, 1 responses"),
        (WRONG, "guidance in a message: message 2: [MASK]"),
    ],
)
def test_length_outages_and_guidance_make_no_pair(reasons: tuple[str, ...]) -> None:
    assert ids_of(judged("a"), judged("b", *reasons)) == []


@pytest.mark.parametrize("reason", ["gave up: after 2 calls", "no answer: max_turns"])
def test_nor_does_giving_up_where_a_tool_failed(reason: str) -> None:
    gave_up = judged("b", reason)
    assert ids_of(judged("a"), gave_up) == [("a", "b")]
    failed = replace(_EVENT, status="error")
    events = (failed, *gave_up.trajectory.tool_events)
    after_failure = replace(gave_up, trajectory=replace(gave_up.trajectory, tool_events=events))
    assert ids_of(judged("a"), after_failure) == []


@pytest.mark.parametrize(
    "reasons",
    [
        ("gave up: after 2 calls",),
        ("no answer: loop",),
        (WRONG, "too long: 900 of 768 tokens"),
        (WRONG, "failure not made up for: call 2 of 2"),
    ],
)
def test_a_fault_of_the_agent_beside_them_does(reasons: tuple[str, ...]) -> None:
    pairs, _ = find_pairs([judged("a"), judged("b", *reasons)])
    assert [pair.margin for pair in pairs] == [1]


def test_dialogues_that_begin_differently_or_have_no_reply_make_no_pair() -> None:
    assert ids_of(judged("a"), judged("b", WRONG, system="other")) == []
    bare = judged("b", "no answer: malformed")
    bare = replace(bare, trajectory=replace(bare.trajectory, messages=bare.trajectory.messages[:2]))
    assert ids_of(judged("a"), bare) == []
    assert ids_of(judged("a"), judged("b", WRONG, question_id="q-2")) == []


def test_the_counts_say_why_there_are_no_more() -> None:
    _, counts = find_pairs(
        [
            judged("a"),
            judged("b", question_id="q-2"),
            judged("c", "too long: 2 of 1 tokens", question_id="q-2"),
            judged("d", WRONG, question_id="q-3"),
        ]
    )
    assert counts == PairCounts(3, 1, 1, 1, 2)
    assert "let a model play" in counts.suggest()
    assert "there is 1 dialogue of a question" in find_pairs([judged("a")])[1].suggest()
    assert find_pairs([]) == ([], PairCounts(0, 0, 0, 0, 0))


def test_a_row_ends_with_the_last_reply_and_says_both_verdicts() -> None:
    cut = judged("b", WRONG, "no answer: max_turns")
    cut = replace(cut, trajectory=replace(cut.trajectory, messages=cut.trajectory.messages[:-1]))
    (pair,), _ = find_pairs([judged("a"), cut])
    row = build_pair_row(pair, {"q-1": QUESTION})
    assert row["prompt"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": QUESTION.task.text},
    ]
    assert [message["role"] for message in row["chosen"]][-3:] == ["assistant", "user", "assistant"]
    assert row["rejected"][-1]["role"] == "assistant"
    assert (row["chosen_verdict"], row["rejected_verdict"]) == (
        "accepted",
        f"{WRONG}; no answer: max_turns",
    )
    assert (row["chosen_id"], row["rejected_id"], row["margin"]) == ("a", "b", 2.0)
