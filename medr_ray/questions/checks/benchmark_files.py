"""Reads the questions of benchmark files, plain or encrypted.

Encrypted benchmarks stay encrypted: no error quotes their text, and it is not part of an item's
``repr``, so that it does not reach a log.
"""

import base64
import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary

_QUESTION_FIELDS = ("question", "prompt", "body")  # benchmarks' names for the text, in any case
_CANARY = "canary"  # the column of xbench's keys
_CODE_POINT_SHIFT = 3  # by which MedBrowseComp raises the text of its cells
V = TypeVar("V")
RowDecoder = Callable[[dict[str, str]], dict[str, str]]


@dataclass(frozen=True)
class BenchmarkItem:
    """A benchmark's question and its number, from 1. The text is not part of its ``repr``."""

    number: int
    question: str = field(repr=False)


def read_benchmark(path: str) -> list[BenchmarkItem]:
    """Return the questions of a benchmark file, plain or gzip, at a path or URI.

    The formats are JSON Lines (GAIA and others), a JSON array or an array under "questions"
    (BioASQ), and CSV, with a field ``question``, ``prompt`` or ``body``; MedBrowseComp's CSV, in
    which every cell is base64 of text with each code point raised by 3; and xbench's CSV, whose
    cells are base64 of text combined by XOR with the row's ``canary``. Raises DataError when the
    file has none of these formats or a row is broken.
    """
    with open_vocabulary(path) as stream:
        text = as_text(stream).read()
    is_json = text.lstrip()[:1] in ("{", "[")
    rows = _json_rows(path, text) if is_json else _csv_rows(path, text)
    items = [
        BenchmarkItem(number, _extract_question(path, number, row))
        for number, row in enumerate(rows, 1)
    ]
    if not items:
        raise DataError(
            f"{path}: holds no question; name a benchmark file in JSON Lines, JSON or CSV"
        )
    return items


def _extract_question(path: str, number: int, row: Any) -> str:
    # A row that is not an object (a JSON array of strings, say) has no fields.
    fields = {}
    if isinstance(row, Mapping):
        fields = {str(name).strip().casefold(): value for name, value in row.items()}
    for name in _QUESTION_FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise DataError(
        f"{path}: item {number} has no question: expected text in a field "
        f"{' or '.join(_QUESTION_FIELDS)}"
    )


# --- JSON -----------------------------------------------------------------------------


def _json_rows(path: str, text: str) -> Sequence[Any]:
    try:
        content = parse_json(text, path)
    except InvalidJson:
        # Several JSON values are not one JSON document: the file is JSON Lines.
        return [
            _json_line(path, number, line)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]
    if isinstance(content, dict):
        # A single object without an array is a JSON Lines file of one line.
        return content["questions"] if isinstance(content.get("questions"), list) else [content]
    return content


def _json_line(path: str, number: int, line: str) -> Any:
    return _decode_value(path, number, _parse_line, line)


def _parse_line(line: str) -> Any:
    return parse_json(line, "the line")


# --- CSV ------------------------------------------------------------------------------


def _csv_rows(path: str, text: str) -> Iterator[dict[str, str]]:
    # ``newline=""`` leaves line ends to the csv module: a quoted cell may contain some.
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = ((reader.line_num, row) for row in reader if any(row))
    try:
        line, header = next(rows, (1, []))
        columns, decode = _read_columns(path, line, header)
        for line, row in rows:
            # Not strict: cells that a short row lacks are missing fields, which are named later.
            yield _decode_value(path, line, decode, dict(zip(columns, row, strict=False)))
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num} is no CSV ({error}); download the file again"
        ) from None


def _read_columns(path: str, line: int, header: Sequence[str]) -> tuple[list[str], RowDecoder]:
    """Return the names of the columns and the function that decodes a row."""
    names = [cell.strip().casefold() for cell in header]
    has_question = not set(_QUESTION_FIELDS).isdisjoint(names)
    if has_question:
        return names, _decrypt_row if _CANARY in names else dict
    # No plain name of a question: the header itself must be encoded, as MedBrowseComp's is.
    decoded = _decode_value(path, line, _decode_shifted_cells, header)
    return [cell.strip().casefold() for cell in decoded], _decode_shifted_row


def _decode_shifted_row(row: dict[str, str]) -> dict[str, str]:
    return {name: _decode_shifted_text(cell) for name, cell in row.items()}


def _decode_shifted_cells(cells: Sequence[str]) -> list[str]:
    return [_decode_shifted_text(cell) for cell in cells]


def _decode_shifted_text(cell: str) -> str:
    """The text of a MedBrowseComp cell: base64, with every code point raised by a constant."""
    return "".join(
        chr(ord(character) - _CODE_POINT_SHIFT)
        for character in base64.b64decode(cell, validate=True).decode()
    )


def _decrypt_row(row: dict[str, str]) -> dict[str, str]:
    """Return the question fields of an xbench row, decrypted."""
    key = row[_CANARY].encode()
    return {
        name: _decrypt_xor(base64.b64decode(row[name], validate=True), key)
        for name in _QUESTION_FIELDS
        if name in row
    }


def _decrypt_xor(data: bytes, key: bytes) -> str:
    """The text of ``data``, which was combined by XOR with the repeated key."""
    if not key:
        raise ValueError("no canary")
    return bytes(byte ^ key[position % len(key)] for position, byte in enumerate(data)).decode()


def _decode_value(path: str, line: int, decode: Callable[[Any], V], value: Any) -> V:
    """Return ``decode(value)``; raise a DataError that does not show the value on failure."""
    try:
        return decode(value)
    except (ValueError, KeyError, InvalidJson):
        # ``from None``, because the original error could quote the benchmark's text.
        raise DataError(
            f"{path}: line {line} cannot be read as JSON Lines, CSV with a column "
            f"{' or '.join(_QUESTION_FIELDS)}, or one of the encodings MedBrowseComp and xbench "
            "are published in; download the file again"
        ) from None
