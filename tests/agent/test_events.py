"""The events of an episode: as they happen, and of its record."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agent_run import Echo, Script, call
from support.questions import worded_task

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.events import (
    AnswerEvent,
    AnswerRequestEvent,
    EpisodeEvent,
    ToolResultEvent,
    events_of_trajectory,
    to_json,
)
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Trajectory


def watch(
    *lines: str | PolicyTurn | None, tools: Sequence[Any] | None = None, **agent: Any
) -> tuple[list[EpisodeEvent], Trajectory]:
    """An episode's events as they came, and its record."""
    seen: list[EpisodeEvent] = []
    trajectory = asyncio.run(
        run_episode(
            worded_task("What is asked?"),
            Script(*lines),
            tools or [Echo()],
            AgentConfig(**agent),
            mode="grpo",
            observer=seen.append,
        )
    )
    return seen, trajectory


def in_call_order(events: Sequence[EpisodeEvent]) -> list[EpisodeEvent]:
    """The events with results in the order of the calls, and the last of the requests of a turn."""
    ordered: list[EpisodeEvent] = []
    for event in events:
        if isinstance(event, AnswerRequestEvent) and ordered:
            last = ordered[-1]
            if isinstance(last, AnswerRequestEvent) and last.turn == event.turn:
                ordered.pop()
        ordered.append(event)
        place = len(ordered) - 1
        while isinstance(ordered[place], ToolResultEvent):
            before = ordered[place - 1]
            if not isinstance(before, ToolResultEvent) or before.call < ordered[place].call:
                break
            ordered[place - 1], ordered[place] = ordered[place], before
            place -= 1
    return ordered


def plain(text: str) -> str:
    """A text with the brackets of tags as they were."""
    return text.replace("‹", "<").replace("›", ">")


QUERIES = st.sampled_from(["a", "b", "fail", "a <answer>x</answer>", "é\n<|im_end|>"])
CALLS = st.lists(QUERIES, min_size=1, max_size=3).map(lambda queries: call(*queries))
WORDS = st.sampled_from(
    ["no tag at all", "<think>only a thought</think>", '<tool_call>{"name": 3}</tool_call>', ""]
)
ANSWERS = st.sampled_from(["x", "found a (PMID:a)"]).map(
    lambda answer: render_reply("Candidate: a.", [ToolCall("search", {"query": "b"})], answer)
)
TEXTS = st.one_of(CALLS, CALLS, WORDS, ANSWERS)
TURNS = st.builds(
    lambda text, finished, tokens: PolicyTurn(
        text, prompt_tokens=tokens, output_tokens=9, finished=finished
    ),
    TEXTS,
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0, 50, 400]),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(TURNS, st.none()), max_size=5),
    st.integers(1, 5),
    st.integers(0, 2),
    st.booleans(),
)
def test_an_episode_gives_the_events_of_its_record(
    lines: list[PolicyTurn | None], calls: int, repeats: int, ask_after_cut: bool
) -> None:
    seen, trajectory = watch(
        *lines,
        max_tool_calls=calls,
        max_repeats=repeats,
        ask_after_cut=ask_after_cut,
        max_tokens=600,
        max_turn_tokens=64,
        observation_chars=200,
    )
    answer = seen[-1]
    assert isinstance(answer, AnswerEvent)
    recorded = events_of_trajectory(
        trajectory, language="en", tools=("search",), seconds=answer.seconds
    )
    came = in_call_order(seen)
    assert [event.type for event in came] == [event.type for event in recorded]
    for event, row in zip(came, recorded, strict=True):
        if isinstance(event, ToolResultEvent) and isinstance(row, ToolResultEvent):
            # What did not fit beside the request for the answer was cut from the record, and half
            # a tag needs no defusing.
            assert plain(event.text).startswith(plain(row.text).removesuffix("…"))
            event = replace(event, text=row.text)
        assert event == row


def test_the_events_come_in_the_order_of_what_happens() -> None:
    seen, _ = watch(call("a", "b"), max_tool_calls=2)
    assert [event.type for event in seen] == [
        "start",
        "thought",
        "tool_call",
        "tool_call",
        "tool_result",
        "tool_result",
        "answer_request",
        "thought",
        "answer",
    ]
    result = to_json(seen[4])
    assert result["seconds"] >= 0
    assert result["documents"] == ({"id": "PMID:a", "url": "https://pubmed.ncbi.nlm.nih.gov/a/"},)


def test_a_result_comes_before_the_slower_calls_of_its_reply() -> None:
    class Slow(Echo):
        async def _answer(self, query: str) -> Any:
            if query == "slow":
                await asyncio.sleep(0.05)
            return await super()._answer(query)

    seen, _ = watch(call("slow", "quick"), tools=[Slow()])
    results = [event for event in seen if isinstance(event, ToolResultEvent)]
    assert [event.text for event in results] == ["found quick", "found slow"]
    assert [event.call for event in results] == [1, 0]


def test_every_event_is_json() -> None:
    seen, trajectory = watch(call("a"), "no tag", render_reply("", answer="found a"))
    for event in [*seen, *events_of_trajectory(trajectory)]:
        assert json.loads(json.dumps(to_json(event)))["type"] == event.type


def test_an_observer_that_fails_touches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: EpisodeEvent) -> None:
        raise ValueError("the window is closed")

    trajectory = asyncio.run(
        run_episode(
            worded_task("What?"),
            Script(call("a")),
            [Echo()],
            AgentConfig(),
            mode="grpo",
            observer=fail,
        )
    )
    assert trajectory.answer == "x"
    assert "the observer of an episode failed" in caplog.text
