"""Identical calls: recognised by their arguments, answered without running again, and limited in
number."""

from collections.abc import Sequence
from random import Random
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agent_run import Echo, call, responses, run

from medr_ray.agent.calls import call_key
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.errors import ToolError
from medr_ray.retrieval.retriever import RetrievalHit
from medr_ray.tools.search import SearchTool

ASKED = "Give your answer now"


def test_an_identical_call_is_answered_from_what_it_returned() -> None:
    tool = Echo()
    trajectory = run(call("a"), call("b"), call("a"), tools=[tool])
    assert tool.calls == ["a", "b"]
    assert responses(trajectory)[2] == (
        "<tool_response>You made this call before. It returned:\nfound a</tool_response>"
    )
    assert [event.repeated for event in trajectory.tool_events] == [False, False, True]
    assert [event.status for event in trajectory.tool_events] == ["ok"] * 3
    assert trajectory.tool_events[2].documents == ("PMID:a",)


def test_the_same_tool_with_other_arguments_is_no_repetition() -> None:
    tool = Echo()
    trajectory = run(call("a", "b"), call("c", "d"), tools=[tool], max_tool_calls=9, max_repeats=0)
    assert tool.calls == ["a", "b", "c", "d"]
    assert (trajectory.asked, trajectory.stop_reason) == ("", "answered")


def test_trying_again_after_a_failure_is_no_repetition() -> None:
    tool = Echo()
    trajectory = run(call("fail"), call("fail"), call("fail"), tools=[tool], max_repeats=0)
    assert tool.calls == ["fail"] * 3
    assert not any(event.repeated for event in trajectory.tool_events)
    assert trajectory.asked == ""


def test_the_same_call_twice_in_one_thought_runs_once() -> None:
    tool = Echo()
    trajectory = run(call("a", "a"), tools=[tool])
    assert tool.calls == ["a"]
    assert [event.repeated for event in trajectory.tool_events] == [False, True]
    failed = run(call("fail", "fail"), tools=[tool])
    assert [event.status for event in failed.tool_events] == ["error", "error"]
    assert not any(event.repeated for event in failed.tool_events)


@pytest.mark.parametrize(("max_repeats", "answered"), [(0, 1), (1, 2), (3, 4)])
def test_going_in_circles_ends_with_the_request_for_an_answer(
    max_repeats: int, answered: int
) -> None:
    trajectory = run(*[call("a")] * 9, max_tool_calls=20, max_repeats=max_repeats)
    assert sum(event.repeated for event in trajectory.tool_events) == answered
    assert ASKED in responses(trajectory)[-1]
    assert (trajectory.asked, trajectory.stop_reason) == ("repeats", "loop")
    assert run(call("a"), call("a"), max_repeats=0).answer == "x"


def test_blocking_searches_of_one_reply_wait_for_each_other_alone() -> None:
    meeting = Barrier(3, timeout=20)  # seconds; searches one after the other never meet

    class Searcher:
        def search(self, query: str, *, sources: Sequence[str] | None = None) -> list[RetrievalHit]:
            meeting.wait()
            if query == "unavailable":
                raise ToolError("the source is down")
            return [RetrievalHit(f"PMID:{query}", "pubmed", query, "text", 1.0, 1.0, 1.0, 2019)]

    tool = SearchTool(Searcher(), 900)
    trajectory = run(call("1", "unavailable", "2"), tools=[tool], max_tool_calls=3, recap=False)
    assert responses(trajectory)[0].splitlines()[:3] == [
        "<tool_response>[1] 1 (PMID:1, 2019): text</tool_response>",
        "<tool_response>error: the source is down</tool_response>",
        "<tool_response>[1] 2 (PMID:2, 2019): text</tool_response>",
    ]
    assert [event.status for event in trajectory.tool_events] == ["ok", "error", "ok"]
    assert trajectory.asked == "calls"  # each of them counts


def test_spacing_and_order_of_arguments_make_no_other_call() -> None:
    tool = Echo()
    run(
        render_reply("t", [ToolCall("search", {"query": "a b", "n": 1})]),
        render_reply("t", [ToolCall("search", {"n": 1, "query": " a  b"})]),
        tools=[tool],
    )
    assert tool.calls == ["a b"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab ", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
_ARGUMENTS = st.dictionaries(st.sampled_from(["query", "source", "since"]), _VALUES, max_size=3)


@given(_ARGUMENTS, st.randoms())
def test_the_key_of_a_call_does_not_depend_on_the_order_of_its_arguments(
    arguments: dict[str, object],
    random: Random,
) -> None:
    names = list(arguments)
    random.shuffle(names)
    shuffled = {name: arguments[name] for name in names}
    assert call_key(ToolCall("search", arguments)) == call_key(ToolCall("search", shuffled))
    assert call_key(ToolCall("search", arguments)) != call_key(
        ToolCall("medical_search", arguments)
    )


@given(st.text("ab ", max_size=6), st.text("ab ", max_size=6))
def test_queries_of_other_words_are_other_calls(first: str, second: str) -> None:
    same = call_key(ToolCall("search", {"query": first})) == call_key(
        ToolCall("search", {"query": second})
    )
    assert same == (first.split() == second.split())
