"""JSON text as every room reads it: one reader with one error, whoever wrote the text.

It reads what is JSON beyond doubt (RFC 8259), in any Unicode encoding and with or without a byte
order mark, and also line breaks and tabs inside strings, which many writers leave as they are. It
refuses what Python's reader accepts and what then breaks far from its origin: values nested
hundreds deep, integers that no 64 bits hold, numbers that are not finite, half characters (lone
surrogates), and objects that give one key two values.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from medr_ray.core.errors import DataError

MAX_DEPTH = 100  # levels: code that walks through values may be recursive
_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**64 - 1
_MAX_INTEGER_CHARACTERS = 20  # of the two above
_MAX_FLOAT_CHARACTERS = 1_000  # more digits than any float has, few enough to convert at once
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Strings, which are kept, and commas before a closing bracket. A string that is not closed is kept
# to the end, so that each character is looked at once.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\Z))|(?<=[\w"}\]]),(?=\s*[}\]])', re.DOTALL)
# An object or a list, as far as its next sign shows: "[ref]" and "{smile}" are neither.
_OPENING = re.compile(r"\{(?=\s*[\"}])|\[(?=\s*[\[\]{\"\d\-tfnNI])")
# Characters that may be read per character of a text in which JSON is searched for.
_SEARCH_EFFORT = 20
_SEARCHED_CHARACTERS = 4_096  # of such a text, after which they are dropped


class InvalidJson(DataError):
    """A text that is not JSON, or holds a value that cannot be processed.

    ``source`` says whose text it is, ``reason`` what is wrong with it (a predicate: "is not JSON:
    ..."), and ``position`` at which character, where that is known.
    """

    def __init__(self, source: str, reason: str, position: int | None = None) -> None:
        super().__init__(f"{source} {reason}")
        self.source = source
        self.reason = reason
        self.position = position

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are unpickled from their message alone, which does not fit __init__ here.
        return InvalidJson, (self.source, self.reason, self.position)


class _RefusedValue(ValueError):
    """A value that the reader refuses; the message is the predicate of the error."""


def parse_json(
    text: str | bytes,
    source: str,
    *,
    max_depth: int = MAX_DEPTH,
    finite: bool = True,
    whole_characters: bool = True,
    trailing_commas: bool = False,
) -> Any:
    """The value of a JSON text. ``source`` names the text in the error.

    ``finite=False`` also reads NaN and Infinity, which Python and PyTorch write into files of
    metrics and settings, and ``whole_characters=False`` lone surrogates, for callers that replace
    or escape them. ``trailing_commas=True`` reads a comma behind a last member, which models write.
    Raises InvalidJson.
    """
    if isinstance(text, bytes):
        text = _decode_bytes(text, source)
    # A mark that an editor leaves at the beginning of a file.
    text = text.removeprefix("\ufeff")
    decoder = _FINITE_DECODER if finite else _DECODER
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        shortened = _TRAILING_COMMA.sub(r"\1", text) if trailing_commas else text
        if shortened == text:
            raise InvalidJson(source, _describe_syntax(error), error.pos) from None
        return parse_json(
            shortened,
            source,
            max_depth=max_depth,
            finite=finite,
            whole_characters=whole_characters,
        )
    except _RefusedValue as error:
        raise InvalidJson(source, str(error)) from None
    except RecursionError:
        raise InvalidJson(source, _describe_depth(max_depth)) from None
    _check_depth(value, text, source, max_depth)
    if whole_characters:
        _check_characters(value, text, source)
    return value


def decode_json_at(
    text: str, position: int, source: str, *, max_depth: int = MAX_DEPTH
) -> tuple[Any, int]:
    """(value, where it ends) of the JSON value that begins at ``position`` of a text. Raises
    InvalidJson."""
    try:
        value, end = _FINITE_DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise InvalidJson(source, _describe_syntax(error), error.pos) from None
    except _RefusedValue as error:
        raise InvalidJson(source, str(error)) from None
    except RecursionError:
        raise InvalidJson(source, _describe_depth(max_depth)) from None
    _check_depth(value, text[position:end], source, max_depth)
    _check_characters(value, text[position:end], source)
    return value, end


def find_json_values(text: str) -> Iterator[Any]:
    """The objects and lists that stand in a text, in order; not those inside of others.

    Takes time in proportion to the text's length. Raises InvalidJson, whose source is "the text",
    for an object that cannot be processed, and where so many brackets open no value that the search
    would take longer.
    """
    remaining = _SEARCH_EFFORT * len(text)
    position = 0
    while match := _OPENING.search(text, position):
        start = match.start()
        # Python's reader counts the lines in front of every error.
        if start > _SEARCHED_CHARACTERS:
            text = text[start:]
            start = 0
        try:
            value, position = _FINITE_DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            remaining -= error.pos - start
            position = start + 1
        except _RefusedValue as error:
            if text[start] == "{":
                raise InvalidJson("the text", str(error)) from None
            # Words may stand in brackets: "[0, Infinity]". How far the reader came is not known.
            remaining -= len(text) - start
            position = start + 1
        except RecursionError:
            raise InvalidJson("the text", _describe_depth(MAX_DEPTH)) from None
        else:
            _check_depth(value, text[start:position], "the text", MAX_DEPTH)
            _check_characters(value, text[start:position], "the text")
            yield value
        if remaining < 0:
            raise InvalidJson("the text", "holds too many brackets that open no JSON")


def replace_surrogates(text: str) -> str:
    """The text without lone surrogates, which JSON can spell ("\\ud800") and no file can hold.
    Pairs become their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _decode_bytes(data: bytes, source: str) -> str:
    """The text of UTF-8, UTF-16 or UTF-32, as its first bytes say."""
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper().removesuffix("-SIG")
        raise InvalidJson(source, f"is no {name} text: {error.reason} at byte {error.start}") from (
            None
        )


def _describe_syntax(error: json.JSONDecodeError) -> str:
    message = error.msg.removesuffix(" at")  # "Invalid control character at"
    place = f"character {error.pos}"
    if error.lineno > 1:
        place = f"line {error.lineno}, column {error.colno}"
    return f"is not JSON: {message} at {place}"


def _describe_depth(max_depth: int) -> str:
    return f"is nested more than {max_depth} levels deep"


# --- what JSON allows and no room can process ------------------------------------------


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Python's reader would keep the last of several values of a key."""
    value = dict(pairs)
    if len(value) != len(pairs):
        for key, member in pairs:
            if member != value[key]:
                raise _RefusedValue(f"gives the key {key[:40]!r} two values")
    return value


def _parse_integer(text: str) -> int:
    # By the length first: Python refuses to convert thousands of digits.
    if len(text) <= _MAX_INTEGER_CHARACTERS:
        value = int(text)
        if _MIN_INTEGER <= value <= _MAX_INTEGER:
            return value
    raise _RefusedValue(f"holds an integer of {len(text.lstrip('-'))} digits")


def _parse_any_float(text: str) -> float:
    if len(text) > _MAX_FLOAT_CHARACTERS:
        raise _RefusedValue(f"holds a number of {len(text)} characters")
    return float(text)


def _parse_finite_float(text: str) -> float:
    value = _parse_any_float(text)
    if math.isinf(value):
        raise _RefusedValue(f"holds a number that is not finite: {text[:40]}")
    return value


def _refuse_constant(name: str) -> float:
    raise _RefusedValue(f"holds a number that is not finite: {name}")


_DECODER = json.JSONDecoder(
    strict=False,  # line breaks and tabs inside strings
    object_pairs_hook=_build_object,
    parse_int=_parse_integer,
    parse_float=_parse_any_float,
)
_FINITE_DECODER = json.JSONDecoder(
    strict=False,
    object_pairs_hook=_build_object,
    parse_int=_parse_integer,
    parse_float=_parse_finite_float,
    parse_constant=_refuse_constant,
)


def _check_depth(value: Any, text: str, source: str, max_depth: int) -> None:
    # Most texts have fewer brackets than levels are allowed, and need no look at the value.
    if text.count("[") + text.count("{") > max_depth and _measure_depth(value) > max_depth:
        raise InvalidJson(source, _describe_depth(max_depth))


def _check_characters(value: Any, text: str, source: str) -> None:
    if _SURROGATE_ESCAPE.search(text):
        # Pairs have become their character; only a half is left to fail.
        text = json.dumps(value, ensure_ascii=False)
    if not text.isascii() and not _is_encodable(text):
        raise InvalidJson(source, "holds half a character (a lone surrogate)")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _measure_depth(value: Any) -> int:
    """Levels of lists and objects in a value. They are counted level by level, because recursion
    would overflow on the very values this is for."""
    depth = 0
    level = [value]
    while containers := [member for member in level if isinstance(member, dict | list)]:
        depth += 1
        level = [member for container in containers for member in _child_values(container)]
    return depth


def _child_values(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container
