"""One reader of JSON for all rooms: whatever the text, a value or the one named error."""

import contextlib
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import (
    InvalidJson,
    find_json_values,
    parse_json,
    replace_surrogates,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}),
        ("\ufeff[1]", [1]),
        (b"\xef\xbb\xbf[1]", [1]),
        ('["Sjögren"]'.encode("utf-16"), ["Sjögren"]),
        ('{"a": 1, "a": 1}', {"a": 1}),
        ('["\\ud83d\\ude00"]', ["😀"]),
        (str(2**64 - 1), 2**64 - 1),
        ("[" * 100 + "]" * 100, None),
    ],
)
def test_what_is_json_beyond_doubt_is_read(text: str | bytes, value: Any) -> None:
    assert parse_json(text, "x") == value or value is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON: Expecting value at character 0"),
        ("{'a': 1}", "is not JSON: Expecting property name"),
        ('[1,\n2,\n"a', "is not JSON: Unterminated string starting at line 3, column 1"),
        ('{"a": 1}\0', "is not JSON: Extra data at character 8"),
        (b"[1]\0\0\0", "is not JSON: Extra data at character 3"),
        (b"\xff\xff[1]", "is no UTF-8 text"),
        ("[" * 101 + "]" * 101, "is nested more than 100 levels deep"),
        ("[" * 1_000_000, "is nested more than 100 levels deep"),
        ('{"a":' * 100_000, "is nested more than 100 levels deep"),
        ("9" * 5_000, "holds an integer of 5000 digits"),
        (str(2**64), "holds an integer of 20 digits"),
        ("0." + "1" * 5_000, "holds a number of 5002 characters"),
        ("[NaN]", "not finite: NaN"),
        ("[-Infinity]", "not finite: -Infinity"),
        ("[1e999]", "not finite: 1e999"),
        ('["\\ud800"]', "half a character"),
        ('["\ud800"]', "half a character"),
        ('{"correct": true, "correct": false}', "gives the key 'correct' two values"),
    ],
)
def test_what_would_break_elsewhere_is_named_with_its_source(
    text: str | bytes, problem: str
) -> None:
    with pytest.raises(DataError, match=r"^file\.json ") as caught:
        parse_json(text, "file.json")
    assert problem in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2,], "b": {"c": 3,},}', {"a": [1, 2], "b": {"c": 3}}),
        ('{"a": ",}", "b": "\\",]",\n}', {"a": ",}", "b": '",]'}),
        ("[,]", None),
        ("[1,,]", None),
        ('{"a": "x,}', None),
    ],
)
def test_a_comma_behind_the_last_member_is_read_where_a_model_writes(text: str, value: Any) -> None:
    with pytest.raises(InvalidJson):
        parse_json(text, "x")
    if value is None:
        with pytest.raises(InvalidJson):
            parse_json(text, "x", trailing_commas=True)
    else:
        assert parse_json(text, "x", trailing_commas=True) == value


def test_files_of_metrics_may_hold_what_training_writes() -> None:
    assert parse_json('{"loss": Infinity}', "x", finite=False) == {"loss": float("inf")}


def test_values_are_found_between_words_and_not_inside_of_one_another() -> None:
    text = 'See [ref], [1] and {smile}: {"a": [2, {"b": 3}]}, then ["c"] and [1, 2'
    assert list(find_json_values(text)) == [[1], {"a": [2, {"b": 3}]}, ["c"]]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda members: (
        st.lists(members, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), members, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_every_value_comes_back_from_every_encoding(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert parse_json(text, "x") == value
    assert parse_json(text.encode("utf-8-sig"), "x") == value
    assert parse_json(json.dumps(value), "x") == value


def _read(text: str) -> None:
    with contextlib.suppress(InvalidJson):
        parse_json(text, "x")
    with contextlib.suppress(InvalidJson):
        list(find_json_values(text))


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "{",
        "}",
        '"',
        ",",
        ":",
        "\\",
        "\\ud800",
        "1",
        "-",
        "e9",
        "NaN",
        "null",
        "\n",
        "\0",
        "a",
        "\ufeff",
        "\ud800",
        "9" * 40,
        '{"a": 1}',
        " ",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_anything_else(text: str) -> None:
    _read(text)


@pytest.mark.soak
@given(st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=80))
@settings(max_examples=20_000, deadline=None)
def test_no_text_of_twenty_thousand_raises_anything_else(text: str) -> None:
    _read(text)


@given(st.text())
def test_any_text_can_be_written_after_replacing_surrogates(text: str) -> None:
    replace_surrogates(text).encode()
    if text.isascii():
        assert replace_surrogates(text) == text
