"""YAML that people write: what is refused, in one line, and how plain words are read."""

import pytest
import yaml

from medr_ray.core.errors import ConfigError
from medr_ray.core.yaml_text import decode_yaml, format_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n'a': 2\n", "f line 2: the key a is given twice, first in line 1: keep one"),
        ("a: {b: 1, b: 2}", "f: the key b is given twice, first in line 1: keep one"),
        ("a:\n  b: 1\n\tc: 2\n", "f line 3: not YAML: a tab indents it: indent with spaces"),
        ("[", "f: not YAML: expected the node content, but found '<stream end>': close the br"),
        ("a: b: c", "f: not YAML: mapping values are not allowed here: put text that contains"),
        ("a: !env KEY", "f: not YAML: could not determine a constructor for the tag '!env': put"),
        ("a: @x", "f: not YAML: found character '@' that cannot start any token: put the value"),
        ("a: *x", "f: not YAML: found undefined alias 'x': put text that begins with *"),
        ("a: 1\n---\nb: 2\n", "f line 2: not YAML: but found another document: keep one"),
        ("? [a]\n: b\n", "f line 1: not YAML: found unhashable key: a key is a word"),
        ("a: 1\nb: \x07", "f line 2: not YAML: the character 0x0007 is not allowed: remove it"),
        (f"a: {'1' * 5000}", "f: not YAML: the value cannot be read as int: put it in quotes"),
        ("a: !!timestamp x", "f: not YAML: the value cannot be read as timestamp"),
        ("a: !!bool x", "f: not YAML: the value cannot be read as bool"),
        ("[" * 5000, "f: not YAML: its brackets nest too deep"),
    ],
)
def test_a_mistake_is_one_line_with_place_and_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "f")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1".encode("utf-16"), "f: it is UTF-16 text"),
        ("a: 1".encode("utf-32"), "f: it is UTF-32 text"),
        ("a: 1".encode("utf-16-le"), "f: it holds zero bytes, as UTF-16 does"),
        (b"a: 1\nb: caf\xe9", "f line 2: byte 0xe9 is not UTF-8"),
    ],
)
def test_bytes_that_are_not_utf_8_are_named(content: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        decode_yaml(content, "f")
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("as UTF-8")


def test_a_mark_of_utf_8_is_no_part_of_the_text() -> None:
    assert decode_yaml(b"\xef\xbb\xbfa: \xc3\xa9", "f") == "a: é"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-6", 1e-6),
        (".5", 0.5),
        ("-1.", -1.0),
        ("1.0e+3", 1000.0),
        ("12", 12),
        ("0x1F", 31),
        ("true", True),
        ("~", None),
        ("", None),
        ("007", "007"),
        ("no", "no"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2024-01-31", "2024-01-31"),
    ],
)
def test_plain_words_are_read_as_yaml_1_2_reads_them(word: str, value: object) -> None:
    read = parse_yaml(f"a: {word}", "f").value["a"]
    assert read == value
    assert type(read) is type(value)


def test_text_comes_back_as_text_from_what_is_written() -> None:
    values = ["no", "007", "1e5", "1_000", "12:30", "2024-01-31", "null", "", "a: b", "é", "1.", 3]
    assert parse_yaml(format_yaml(values), "f").value == values
    assert yaml.safe_load(format_yaml(values)) == values


def test_lines_are_those_of_the_values_and_merged_keys_may_be_replaced() -> None:
    document = parse_yaml("base: &b {q: 1}\na:\n  <<: *b\n  q: 2\nc:\n- x\n- y\n", "f")
    assert document.value["a"] == {"q": 2}
    assert document.lines[("a", "q")] == 4
    assert document.lines[("c", 1)] == 7
