"""Thoughts in the marks of many models, told apart from what the reply says."""

import pytest

from medr_ray.llm.thoughts import escape_thought, split_thought


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>a</think>b", "a", "b"),
        ("< Think >a</ think>b", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>I end with <answer> tags</think>b", "I end with <answer> tags", "b"),
        ("<think>a <think>b</think> c</think>d", "a <think>b\nc", "d"),
        ("<think>a</think>b<think>c</think>d", "a\nc", "bd"),
        ("<think>never closed", "never closed", ""),
        ("<seed:think>a</seed:think>b", "a", "b"),
        ("a</thinking>b", "a", "b"),
        ("<|START_THINKING|>a<|END_THINKING|>b", "a", "b"),
        ("I use the words <thinking> and [THINK].", "", "I use the words <thinking> and [THINK]."),
        ("Here is my thought process: a", "", "Here is my thought process: a"),
        ("<|channel|>", "", "<|channel|>"),
    ],
)
def test_thoughts_are_told_from_what_is_said(text: str, thought: str, said: str) -> None:
    reply = split_thought(text)
    assert (reply.thought or "", reply.rest) == (thought, said)


def test_a_mark_that_is_named_in_a_field_of_thought_ends_nothing() -> None:
    assert escape_thought("a </think> <think> b") == "a ‹/think› ‹think› b"
