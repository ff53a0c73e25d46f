"""JSON is found in a reply wherever it stands, and only what fits is taken."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from medr_ray.core.errors import ModelError
from medr_ray.llm.replies import read_reply


class _Verdict(BaseModel):
    correct: bool
    reason: str = ""


@pytest.mark.parametrize(
    "text",
    [
        '{"correct": true}',
        'According to [1] the gene is FBN1:\n{"correct": true}',
        '{"correct": true}\n\nI hope this helps! {smile}',
        '```text\nplan\n```\nthen\n```json\n{"correct": true}\n```',
        '```\n{"correct": true}\n```',
        'Here:\n```json\n{"correct": true}',
        '<think>{"correct": false}? No.</think>{"correct": true}',
        '{"correct": false}? No.</think>{"correct": true}',
        '<thinking>{"correct": false}</thinking>\n{"correct": true}',
        'An example: {"example": 1}. My reply: {"correct": true}',
        'Evidence {"pmid": [1, 2]} and {x} say {"correct": true}.',
        '{"correct": true}\n{"correct": true}',
        '\ufeff{"correct": true}',
        '"{\\"correct\\": true}"',
        '{"correct": true, "reason": "same",}',
        '```json\n{"correct": true,}\n```',
        'The range is [0, Infinity]: {"correct": true}',
        '[THINK]{"correct": false}[/THINK]{"correct": true}',
        '<think>I close with </think> and</think>{"correct": true}',
    ],
)
def test_the_json_that_fits_is_taken(text: str) -> None:
    assert read_reply(text, _Verdict).correct is True


def test_a_line_break_in_a_string_is_read() -> None:
    reply = read_reply('{"correct": true, "reason": "one\ntwo\tthree"}', _Verdict)
    assert reply.reason == "one\ntwo\tthree"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no JSON"),
        ("correct", "holds no JSON"),
        ("[1]", "does not fit _Verdict"),
        ('{"verdict": 1}', "correct: Field required"),
        ('{"correct": false}. If it were 2019: {"correct": true}', "2 different _Verdict objects"),
        ('<think>{"correct": true}', "a thought that never ends"),
        ('{"correct": true', "holds no JSON"),
        ("{'correct': true}", "holds no JSON"),
        ('{"correct": true, "correct": false}', "the key 'correct' two values"),
        ("[" * 100_000, "nested more than"),
        ('{"correct": true, "reason": ' + "9" * 5000 + "}", "an integer of 5000 digits"),
        ('{"correct": true, "reason": "\\ud800"}', "half a character"),
        ('{"correct": NaN}', "not finite: NaN"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        read_reply(text, _Verdict)


_PIECES = st.sampled_from(
    ['{"correct": true}', '{"correct": ', *'{[]}",x\n', "```", "```json\n", "<think>", "</think>"]
)


def _check_reply(text: str) -> None:
    with contextlib.suppress(ModelError):
        read_reply(text, _Verdict)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_reply_raises_anything_but_the_named_error(text: str) -> None:
    _check_reply(text)


@pytest.mark.slow
@pytest.mark.soak
@settings(max_examples=30_000)
@given(st.lists(_PIECES | st.text(max_size=4), max_size=25).map("".join))
def test_no_reply_of_many_raises_anything_but_the_named_error(text: str) -> None:
    _check_reply(text)


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "```", "{", "[", '{"a": ', '["', "{}", "\\", '"', " ", "x"]
)
def test_a_reply_of_a_hundred_thousand_pieces_is_read_or_refused_at_once(piece: str) -> None:
    started = time.process_time()
    _check_reply(piece * 100_000)
    # A reader that starts anew at every piece takes half a minute for these.
    assert time.process_time() - started < 10
