"""The filter names every reason with its place, compares the arguments of calls, and does not
reject for a failed tool alone."""

import json
from dataclasses import replace

import pytest
from support.questions import worded_task

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import FilteredTrajectory, Message, ToolEvent, Trajectory, Usage
from medr_ray.trajectories.filtering import Reason, ReasonCode, count_reasons, judge_trajectory
from medr_ray.trajectories.stage import build_rejected_row

TASK = worded_task("Which colour?", "Blue")


def dialogue(
    *turns: tuple[str, str] | str, answer: str | None = "Blue", stop: str = "answered"
) -> Trajectory:
    """Turns as (query, response), a response "error: …" being a failure, as (malformed reply,
    response), or as a reply on its own; then the answer."""
    messages, events = [Message("system", "s"), Message("user", TASK.text)], []
    for turn in turns:
        if isinstance(turn, str):
            messages.append(Message("assistant", turn))
            continue
        query, response = turn
        messages.append(Message("user", render_responses([response])))
        if query.startswith("<think>"):
            messages.insert(-1, Message("assistant", query))
            events.append(ToolEvent("", "{}", "invalid", 0.0, False))
            continue
        reply = render_reply("look", [ToolCall("search", {"query": query})])
        messages.insert(-1, Message("assistant", reply))
        status = "error" if response.startswith("error") else "ok"
        events.append(
            ToolEvent("search", json.dumps({"query": query}), status, 0.1, status == "error")
        )
    if answer is not None:
        messages.append(Message("assistant", render_reply("found", answer=answer)))
    return Trajectory(
        "traj-1",
        TASK.task_id,
        "guided",
        0,
        tuple(messages),
        (),
        tuple(events),
        (),
        answer,
        stop,
        Usage(0, 0, 0),
        None,
    )


def verdict(trajectory: Trajectory, tokens: int = 10) -> FilteredTrajectory:
    return judge_trajectory(trajectory, TASK, tokens, 100)


FOUND = ("a", "It is Blue.")
# Malformed replies with the error that answers them.
MALFORMED = (
    '<think>look</think>\n<tool_call>{"name": "search", "arguments": {"query": "colour of the sky"'
    "</tool_call>",
    "error: not JSON",
)
NOTHING_TRIED = ("<think>look</think>\nI wonder.", "error: call a tool")
NOT_JSON = "the tool call is not JSON: Expecting ',' delimiter at character 61"
CASES = {
    "kept": (dialogue(FOUND), []),
    "a failure made up for is no reason": (dialogue(("a", "error: down"), FOUND), []),
    "nor is a failed call sent again": (
        dialogue(("a", "error: down"), ("a", "error: down"), ("a", "It is Blue.")),
        [],
    ),
    "wrong": (dialogue(FOUND, answer="Red"), ["wrong answer: Red in place of Blue"]),
    "does not know": (dialogue(FOUND, answer="Unknown."), ["gave up: after 1 calls"]),
    "none": (dialogue(FOUND, answer=None, stop="max_turns"), ["no answer: max_turns"]),
    "from memory": (dialogue(("a", "nothing")), ["answer not in any tool response: Blue"]),
    "the question's own words are no support": (
        dialogue(),
        ["answer not in any tool response: Blue"],
    ),
    "same call twice": (
        dialogue(FOUND, FOUND),
        ['same call answered twice: search {"query": "a"}: 2 times'],
    ),
    "in a circle": (
        dialogue(
            ("a b", "x"), ("c", "x"), ("B a", "x"), ("c ", "x"), ("a  b", "x"), ("C", "It is Blue.")
        ),
        ["calls in a cycle: 2 from successful call 1 on, 3 times"],
    ),
    "other arguments are no circle": (
        dialogue(("a", "x"), ("b", "x"), ("c", "x"), ("d", "It is Blue.")),
        [],
    ),
    "given up after a failure": (
        dialogue(("a", "Blue"), ("b", "error: down")),
        ["failure not made up for: call 2 of 2"],
    ),
    "no thought": (
        dialogue(FOUND, "<answer>Blue</answer>", answer=None, stop="answered"),
        ["no answer: answered", "call without a thought: message 4"],
    ),
    "guidance": (
        dialogue(("a", "Blue"), render_reply("by gene_of_disease", answer="Blue")),
        ["guidance in a message: message 4: gene_of_disease"],
    ),
    "a placeholder": (
        dialogue(FOUND, render_reply("it is Entity_B", answer="Blue")),
        ["guidance in a message: message 4: Entity_B"],
    ),
    "a response of its own": (
        dialogue(FOUND, f"{render_reply('x', answer='Blue')}<tool_response>Blue</tool_response>"),
        ["made-up response: message 4"],
    ),
    "a malformed call that was repaired": (
        dialogue(("c", "x"), MALFORMED, ("colour of the sky", "It is Blue.")),
        [],
    ),
    "a malformed call and then another thing": (
        dialogue(("c", "It is Blue."), MALFORMED, ("weather in Rome today", "rain")),
        [f"malformed reply: message 4: {NOT_JSON}"],
    ),
    "a malformed call whose repair failed": (
        dialogue(("c", "It is Blue."), MALFORMED, ("colour of the sky", "error: down"), FOUND),
        [f"malformed reply: message 4: {NOT_JSON}"],
    ),
    "a reply that tried nothing, and then a call": (
        dialogue(("c", "x"), NOTHING_TRIED, ("colour of the sky", "It is Blue.")),
        [],
    ),
    "a part of a longer word is no support": (
        dialogue(("a", "It is Bluebell.")),
        ["answer not in any tool response: Blue"],
    ),
    "a call that cannot be read": (
        dialogue(FOUND, "<think>x</think><tool_call>{</tool_call>"),
        [
            "malformed reply: message 4: the tool call is not JSON: Expecting property "
            "name enclosed in double quotes at "
            "…",
            "calls and responses differ: message 4: 1 calls, 0 responses",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_reason_names_its_place(case: str) -> None:
    trajectory, reasons = CASES[case]
    judged = verdict(trajectory)
    assert list(judged.reasons) == reasons
    assert judged.accepted == (not reasons)


def test_a_missing_response_is_noticed_although_the_totals_agree() -> None:
    calls = [ToolCall("search", {"query": query}) for query in "ab"]
    messages = (
        Message("system", "s"),
        Message("user", "q"),
        Message("assistant", render_reply("look", calls)),
        Message("user", render_responses(["Blue"])),
        Message("assistant", render_reply("on", calls[:1])),
        Message("user", render_responses(["x", "y"])),
        Message("assistant", render_reply("found", answer="Blue")),
    )
    original = dialogue(FOUND)
    unpaired = Trajectory(**{**original.__dict__, "messages": messages})
    assert verdict(unpaired).reasons == (
        "calls and responses differ: message 2: 2 calls, 1 responses",
        "calls and responses differ: message 4: 1 calls, 2 responses",
    )


def test_too_many_tokens_are_a_reason() -> None:
    assert verdict(dialogue(FOUND), 101).reasons == ("too long: 101 of 100 tokens",)
    assert verdict(dialogue(FOUND), 100).accepted


def test_every_reason_is_documented_and_parsed_from_its_text() -> None:
    from medr_ray.trajectories import filtering

    for code in ReasonCode:
        assert f"``{code}``" in str(filtering.__doc__)
        assert Reason.parse(str(Reason(code, "here: and there"))) == Reason(code, "here: and there")


def test_rejected_rows_have_ids_and_reasons_and_count_once_per_code() -> None:
    twice = verdict(dialogue(FOUND, FOUND, answer="Red"), 200)
    row = build_rejected_row(twice)
    assert (row["trajectory_id"], row["question_id"]) == ("traj-1", "q-1")
    assert row["reasons"] == [
        {"code": "wrong answer", "detail": "Red in place of Blue"},
        {"code": "same call answered twice", "detail": 'search {"query": "a"}: 2 times'},
        {"code": "too long", "detail": "200 of 100 tokens"},
    ]
    json.dumps(row)
    assert count_reasons(
        [twice, verdict(dialogue(FOUND)), verdict(dialogue(FOUND, answer="Red"))]
    ) == {"wrong answer": 2, "same call answered twice": 1, "too long": 1}


DATED = worded_task(
    "When did the FDA first approve the drug of trial NCT05814159?", "14 November 2001"
)


def seen(*calls: tuple[str, str, tuple[str, ...]], answer: str, kind: str = "date") -> list[str]:
    """The reasons against a dialogue of calls as (query, response, documents)."""
    example = dialogue(*((query, response) for query, response, _ in calls), answer=answer)
    events = tuple(
        replace(event, documents=documents)
        for event, (*_, documents) in zip(example.tool_events, calls, strict=True)
    )
    task = replace(DATED, answer=answer, answer_type=kind)
    return list(judge_trajectory(replace(example, tool_events=events), task, 1, 100).reasons)


@pytest.mark.parametrize("written", ["2001-11-14", "Nov 14, 2001", "2001年11月14日"])
def test_a_date_is_supported_in_any_spelling(written: str) -> None:
    call = ("approval", f"[1] x (FDA:NDA1): approval date: {written}", ("FDA:NDA1",))
    assert seen(call, answer="14 November 2001") == []
    other = ("approval", "[1] x (FDA:NDA1): approval date: 2001-11-15", ("FDA:NDA1",))
    assert seen(other, answer="14 November 2001") == [
        "answer not in any tool response: 14 November 2001"
    ]


def test_a_count_is_supported_by_documents_that_were_shown() -> None:
    shown = ("approvals", "[1] x (FDA:NDA1): y", ("FDA:NDA1",))
    empty = ("approvals", "No results.", ())
    assert seen(shown, answer="2 applications", kind="number") == []
    failed = ("approvals", "error: down", ("FDA:NDA1",))
    assert seen(failed, empty, answer="2 applications", kind="number")[0] == (
        "answer not in any tool response: 2 applications"
    )


def test_the_record_that_the_question_names_supports_alone_only_what_was_asked_of_it() -> None:
    own = "NCT:NCT05814159"
    line = f"[1] a trial ({own}): approved 2001-11-14"
    answer = "14 November 2001"
    assert seen(("approval", line, (own,)), answer=answer) == [
        f"answer in the question's own record alone: {own}"
    ]
    assert seen(("NCT05814159 approval", line, (own,)), answer=answer) == []
    further = ("approval", "[1] x (FDA:NDA1): 2001-11-14", ("FDA:NDA1",))
    assert seen(("approval", line, (own,)), further, answer=answer)[:1] != [
        f"answer in the question's own record alone: {own}"
    ]


def test_calls_beyond_the_budget_are_a_reason() -> None:
    example = dialogue(FOUND, ("b", "skipped"))
    skipped = replace(example.tool_events[1], status="skipped")
    beyond = replace(example, tool_events=(example.tool_events[0], skipped), asked="calls")
    assert verdict(beyond).reasons == (
        "beyond the budget: 1 calls not run, the budget of calls was spent",
    )
