"""Completions in the form of many endpoints: foreign field types are read or missing, not fatal."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.llm.completions import FunctionCall, parse_completion
from medr_ray.llm.failures import ReportedError, UnreadableReply

ASK = {"messages": [{"role": "user", "content": "Which gene?"}], "max_tokens": 9}


def parse(message: Any, **fields: Any) -> Any:
    choice = {"index": 0, "finish_reason": "stop", "message": message, **fields}
    return parse_completion(json.dumps({"choices": [choice]}).encode(), ASK)


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        ("FBN1", "FBN1", ""),
        (None, "", ""),
        ([], "", ""),
        ({"type": "text", "text": "FBN1"}, "FBN1", ""),
        ([{"type": "text", "text": "FB"}, {"type": "output_text", "text": "N1"}], "FBN1", ""),
        (["FB", "N1"], "FBN1", ""),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "It is Marfan."}]},
                {"type": "text", "text": "FBN1"},
            ],
            "FBN1",
            "It is Marfan.",
        ),
        ([{"type": "reasoning", "text": "Marfan"}, "FBN1"], "FBN1", "Marfan"),
        ([{"text": "Marfan", "thought": True}, {"text": "FBN1"}], "FBN1", "Marfan"),
        ([{"type": "text", "text": 3}, 7, None, {"type": 4}], "", ""),
        ("half \ud83d", "half \ufffd", ""),
    ],
)
def test_content_is_read_in_every_form(content: Any, text: str, thought: str) -> None:
    result = parse({"role": "assistant", "content": content})
    assert (result.text, result.reasoning) == (text, thought)


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "It is Marfan."},
        {"reasoning": "It is Marfan."},
        {"thinking": "It is Marfan."},
        {"reasoning_content": None, "reasoning": "It is Marfan."},
        {"reasoning_content": [{"type": "text", "text": "It is Marfan."}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "It is Marfan."}]},
        {
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "It is Marfan."},
                {"type": "reasoning.encrypted", "data": "abc"},
            ]
        },
        {"reasoning": {"content": "It is Marfan."}},
    ],
)
def test_a_thought_in_a_field_of_its_own_is_kept(fields: dict[str, Any]) -> None:
    result = parse({"content": "<answer>FBN1</answer>", **fields})
    assert (result.text, result.reasoning) == ("<answer>FBN1</answer>", "It is Marfan.")
    assert result.reasoning_field in fields


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        (
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"q": "x"}'}}]},
            [("c", "f", '{"q": "x"}')],
        ),
        (
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"q": "x"}}}]},
            [("c", "f", '{"q": "x"}')],
        ),
        ({"tool_calls": [{"function": {"name": "f", "arguments": ""}}]}, [("", "f", "")]),
        ({"tool_calls": [{"id": None, "function": {"name": "f"}}]}, [("", "f", "")]),
        ({"tool_calls": {"id": 7, "function": {"name": "f"}}}, [("7", "f", "")]),
        ({"tool_calls": [{"id": {"a": 1}, "function": {"name": None}}]}, [("", "", "")]),
        ({"tool_calls": [None, 3, "x"]}, []),
        ({"tool_calls": None, "content": None}, []),
        ({"function_call": {"name": "f", "arguments": "{}"}}, [("", "f", "{}")]),
        (
            {"content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"q": "x"}}]},
            [("c", "f", '{"q": "x"}')],
        ),
    ],
)
def test_calls_are_read_in_every_form(
    message: dict[str, Any], calls: list[tuple[str, str, str]]
) -> None:
    assert parse(message).tool_calls == tuple(FunctionCall(*call) for call in calls)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": "7", "completion_tokens": 3.0}, (7, 3)),
        ({"input_tokens": 7, "output_tokens": 3}, (7, 3)),
        ({"prompt_tokens": None, "completion_tokens": True}, None),
        ({"prompt_tokens": -1, "completion_tokens": "many"}, None),
        ([7, 3], None),
        ("7", None),
        (None, None),
    ],
)
def test_usage_is_read_or_estimated(usage: Any, tokens: tuple[int, int] | None) -> None:
    body = {"choices": [{"message": {"content": "FBN1 it is"}}], "usage": usage, "id": 5}
    result = parse_completion(json.dumps(body).encode(), ASK)
    assert (result.prompt_tokens, result.output_tokens) == (tokens or (11, 3))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("end_turn", "stop"),
        ("eos", "stop"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("refusal", "content_filter"),
        (None, ""),
        (7, ""),
    ],
)
def test_the_finish_reason_has_openais_names(reason: Any, expected: str) -> None:
    assert parse({"content": "x"}, finish_reason=reason).finish_reason == expected


def test_a_refusal_is_no_text() -> None:
    result = parse({"content": None, "refusal": "I cannot help."})
    assert (result.text, result.finish_reason, result.refusal) == (
        "",
        "content_filter",
        "I cannot help.",
    )
    parts = [{"type": "refusal", "refusal": "No."}]
    assert parse({"content": parts}).refusal == "No."
    assert parse({"content": parts}).text == ""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"<!doctype html><title>502</title>", "a page"),
        (b'{"choices": [', "not JSON"),
        (b"\xff\xfe\xfa", "text"),
        (b"[" * 5_000, "nested"),
        (b'{"choices": ' + b"9" * 5_000 + b"}", "integer of 5000 digits"),
        (b"[]", "but list"),
        (b"3", "but int"),
        (b'{"choices": null}', "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (b'{"choices": {}}', "no chat completion"),
        (b'{"choices": [{"text": "x"}]}', "no chat completion"),
        (b'{"choices": [{"message": null}]}', "no chat completion"),
        (b'{"choices": [{"message": {"content": 7}}]}', "int where text is meant"),
        (
            b'{"choices": [{"message": {"tool_calls": [{"function": {"name": [1]}}]}}]}',
            "list where a name is meant",
        ),
        (b'{"result": "ok"}', "no chat completion"),
        (b'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: [DONE]', "stream of events"),
        (b'{"choices": [{"finish_reason": "error", "message": {}}]}', "broke off"),
    ],
)
def test_what_is_no_completion_says_what_it_is(body: bytes, says: str) -> None:
    with pytest.raises(UnreadableReply) as caught:
        parse_completion(body, ASK)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"choices": null, "error": {"message": "per day exceeded", "code": 429}}', 429),
        (b'{"choices": [{"error": {"message": "per day exceeded", "code": 502}}]}', 502),
        (b': comment\n\ndata: {"error": {"message": "per day exceeded", "code": 429}}\n\n', 429),
        (b'{"error": "per day exceeded"}', None),
    ],
)
def test_an_error_inside_a_200_is_the_providers(body: bytes, status: int | None) -> None:
    with pytest.raises(ReportedError, match="per day exceeded") as caught:
        parse_completion(body, ASK)
    assert caught.value.status == status


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda members: (
        st.lists(members, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "text",
                    "content",
                    "thinking",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "error",
                    "message",
                    "code",
                ]
            ),
            members,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = [
    "content",
    "reasoning_content",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "refusal",
    "role",
]
BODIES = st.builds(
    lambda message, reason, usage, more: {
        "choices": [{"message": message, "finish_reason": reason}],
        "usage": usage,
        **more,
    },
    st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4),
    ODD,
    ODD,
    st.dictionaries(st.sampled_from(["error", "id", "choices", "object"]), ODD, max_size=1),
)


def _parse_or_refuse(body: Any) -> None:
    with contextlib.suppress(UnreadableReply, ReportedError):
        result = parse_completion(json.dumps(body).encode(), ASK)
        assert all(isinstance(text, str) for text in (result.text, result.reasoning))
        assert min(result.prompt_tokens, result.output_tokens) >= 0


@given(BODIES | ODD)
@settings(max_examples=300, deadline=None)
def test_no_field_type_raises_anything_else(body: Any) -> None:
    _parse_or_refuse(body)


@pytest.mark.soak
@given(BODIES | ODD)
@settings(max_examples=20_000, deadline=None)
def test_no_field_type_of_twenty_thousand_bodies_raises_anything_else(body: Any) -> None:
    _parse_or_refuse(body)
