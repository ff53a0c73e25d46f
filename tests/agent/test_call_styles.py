"""Calls with the marks of other models are read, and words that only look like marks are not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.agent.protocol import NO_ATTEMPT, ToolCall, canonical_reply, parse_reply

_CALL = '{"name": "search", "arguments": {"query": "FBN1"}}'
_ARGUMENTS = '{"query": "FBN1"}'
_SEARCH = ToolCall("search", {"query": "FBN1"})
_CHANNEL = "<|start|>assistant<|channel|>"


@pytest.mark.parametrize(
    "text",
    [
        f"<|tool_call|>{_CALL}<|/tool_call|>",
        f"<|tool_call|>[{_CALL}]",
        f"<|python_tag|>{_CALL}",
        '{"name": "search", "parameters": {"query": "FBN1"}}',
        f"<functioncall> {_CALL}",
        f"<tool_calls>[{_CALL}]</tool_calls>",
        f"<TOOL_CALL>{_CALL}</TOOL_CALL>",
        f"< tool_call >{_CALL}</ tool_call >",
        f"[TOOL_CALLS][{_CALL}]",
        f"[TOOL_CALLS]search[ARGS]{_ARGUMENTS}",
        f"[TOOL_CALLS]search[CALL_ID]a1b2c3[ARGS]{_ARGUMENTS}",
        f"<function=search>{_ARGUMENTS}</function>",
        "<tool_call>\n<function=search>\n<parameter=query>\nFBN1\n</parameter>\n</function>\n"
        "</tool_call>",
        "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>FBN1</arg_value>\n</tool_call>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\n"
        f"{_ARGUMENTS}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        f"<｜tool▁call▁begin｜>search<｜tool▁sep｜>{_ARGUMENTS}<｜tool▁call▁end｜>",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0"
        f"<|tool_call_argument_begin|>{_ARGUMENTS}<|tool_call_end|>",
        '<function_calls>\n<invoke name="search">\n<parameter name="query">FBN1</parameter>\n'
        "</invoke>\n</function_calls>",
        f"Action: search\nAction Input: {_ARGUMENTS}",
    ],
)
def test_a_call_is_read_with_the_marks_of_any_model(text: str) -> None:
    reply = parse_reply(f"<think>Look.</think>{text}")
    assert (reply.thought, reply.attempts, reply.answer) == ("Look.", (_SEARCH,), None)


@pytest.mark.parametrize(
    "call",
    [
        f"commentary to=functions.search <|constrain|>json<|message|>{_ARGUMENTS}<|call|>",
        f"commentary to=search<|message|>{_ARGUMENTS}",
    ],
)
def test_a_call_in_a_channel_is_read_and_recorded(call: str) -> None:
    text = f"<|channel|>analysis<|message|>Look.<|end|>{_CHANNEL}{call}"
    recorded = canonical_reply(text)
    assert recorded == f"<think>Look.</think><tool_call>{_name_as_written(call)}</tool_call>"
    for reply in (parse_reply(text), parse_reply(recorded)):
        assert (reply.thought, reply.attempts) == ("Look.", (_SEARCH,))


def _name_as_written(call: str) -> str:
    name = "functions.search" if "functions" in call else "search"
    return f'{{"name": "{name}", "arguments": {_ARGUMENTS}}}'


def test_a_broken_call_in_a_channel_is_named() -> None:
    (attempt,) = parse_reply(
        f'{_CHANNEL}commentary to=search<|message|>{{"query": <|call|>'
    ).attempts
    assert "the arguments of search are not JSON" in str(attempt)


def test_several_calls_and_values_of_every_type_are_read() -> None:
    text = (
        '<invoke name="search"><parameter name="query">a < b</parameter>'
        '<parameter name="limit">5</parameter><parameter name="tags">["x"]</parameter></invoke>'
        '<invoke name="list_tools"></invoke>'
    )
    assert parse_reply(text).attempts == (
        ToolCall("search", {"query": "a < b", "limit": 5, "tags": ["x"]}),
        ToolCall("list_tools", {}),
    )


@pytest.mark.parametrize(
    "text",
    [
        "The mark [TOOL_CALLS] begins a call.",
        "Write <function=name> and its arguments.",
        '<invoke name="search"> is how Claude calls.',
        "Action: search the web.",
        '[TOOL_CALLS]{"gene"}',
        f"<think><|tool_call|>{_CALL}</think>",
    ],
)
def test_words_about_marks_are_no_calls(text: str) -> None:
    assert parse_reply(text).attempts == (NO_ATTEMPT,)


def test_the_protocols_own_tags_come_first() -> None:
    reply = parse_reply(f"<answer>FBN1</answer><|tool_call|>{_CALL}")
    assert (reply.attempts, reply.answer) == ((), "FBN1")


_PIECES = st.sampled_from(
    [
        *("[TOOL_CALLS]", "search[ARGS]", "<function=search>", "<parameter=query>", "</parameter>"),
        *('<invoke name="search">', '<parameter name="q">', "<arg_key>q</arg_key><arg_value>"),
        *("<|channel|>commentary to=search<|message|>", "<|start|>assistant", "<|call|>", _CALL),
        *(
            "<tool_call>",
            "</tool_call>",
            "<|tool_call|>",
            "Action: a\nAction Input:",
            "{",
            '"',
            ",",
        ),
    ]
)


@settings(max_examples=300)
@given(st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_marks_in_any_order_are_read_or_named(text: str) -> None:
    reply = parse_reply(text)
    assert reply.attempts or reply.answer is not None
    again = parse_reply(canonical_reply(text))
    assert again.answer == reply.answer


@pytest.mark.slow
@pytest.mark.soak
@settings(max_examples=20_000)
@given(st.lists(_PIECES | st.text(max_size=3), max_size=25).map("".join))
def test_no_marks_of_twenty_thousand_raise(text: str) -> None:
    assert parse_reply(text) is not None
    canonical_reply(text)


@pytest.mark.parametrize(
    "piece",
    [
        *("[TOOL_CALLS]", "[TOOL_CALLS]a[ARGS]", "<function=a><parameter=b>", '<invoke name="a">'),
        *("<|channel|>commentary to=a<|message|>", "<|tool_call|>{", "<arg_key>", " to=a"),
    ],
)
def test_a_long_reply_of_marks_takes_little_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    parse_reply(text)
    canonical_reply(text)
    assert time.process_time() - started < 3.0
