"""Reads benchmark files, plain or encrypted: their questions for the check of contamination, whole
rows for an evaluation.

Encrypted benchmarks stay encrypted: no error quotes their text, and it is not part of a row's
``repr``, so that it does not reach a log.
"""

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow.fs as pafs

from medr_ray.core.errors import DataError
from medr_ray.core.files import locate_file
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary

# Benchmarks' names for the text, in any case.
_QUESTION_FIELDS = ("question", "prompt", "body", "problem")
_ANSWER_FIELD = "answer"  # xbench and BrowseComp encrypt it like the question
_HASHED_KEY_FIELD = "problem"  # BrowseComp's; its key is the digest of the canary
_CANARY = "canary"  # the column of the keys
_KEY_FIELD = "id"  # the name given to the key of an object of objects (PubMedQA)
_CODE_POINT_SHIFT = 3  # by which MedBrowseComp raises the text of its cells
_FILE_ENDINGS = (".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz")
V = TypeVar("V")
RowDecoder = Callable[[dict[str, str]], dict[str, str]]


@dataclass(frozen=True)
class BenchmarkRow:
    """A row of a benchmark file: its place ("line 7", "item 3") and its decoded fields, by name in
    lower case. The fields are not part of its ``repr``."""

    place: str
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class BenchmarkItem:
    """A benchmark's question and its number, from 1. The text is not part of its ``repr``."""

    number: int
    question: str = field(repr=False)


def read_benchmark(path: str) -> list[BenchmarkItem]:
    """Return the questions of a benchmark file, in a field ``question``, ``prompt``, ``body`` or
    ``problem``. Raises DataError as ``read_benchmark_rows`` does, and for a row without one."""
    return [
        BenchmarkItem(number, _extract_question(path, number, row))
        for number, row in enumerate(read_benchmark_rows(path), 1)
    ]


def read_benchmark_rows(path: str) -> list[BenchmarkRow]:
    """Return the rows of a benchmark file, plain or gzip, at a path or URI.

    The formats are JSON Lines (GAIA and others), a JSON array, an array under "questions" (BioASQ),
    an object of objects, whose keys become the field ``id`` (PubMedQA), and CSV; MedBrowseComp's
    CSV, in which every cell is base64 of text with each code point raised by 3; and the CSV of
    xbench and BrowseComp, whose question and answer are base64 of text combined by XOR with the
    row's ``canary``, or with the SHA-256 of it. Raises DataError when the file has none of these
    formats, a row is broken, or there is none.
    """
    with open_vocabulary(path) as stream:
        text = as_text(stream).read()
    is_json = text.lstrip()[:1] in ("{", "[")
    rows = list(_read_json_rows(path, text) if is_json else _read_csv_rows(path, text))
    if not rows:
        raise DataError(
            f"{path}: holds no question; name a benchmark file in JSON Lines, JSON or CSV"
        )
    return rows


def list_benchmark_files(path: str) -> tuple[str, ...]:
    """The file at a path or URI; of a folder, the benchmark files in it, by name.

    Raises DataError when there is none.
    """
    fs, path_in_fs = locate_file(path)
    try:
        if fs.get_file_info(path_in_fs).type != pafs.FileType.Directory:
            return (path,)
        entries = fs.get_file_info(pafs.FileSelector(path_in_fs))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}; name an existing file") from None
    names = sorted(entry.base_name for entry in entries if entry.is_file)
    files = tuple(f"{path.rstrip('/')}/{name}" for name in names if name.endswith(_FILE_ENDINGS))
    if not files:
        raise DataError(f"{path}: the folder holds no file in JSON Lines, JSON or CSV")
    return files


def _extract_question(path: str, number: int, row: BenchmarkRow) -> str:
    for name in _QUESTION_FIELDS:
        value = row.fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise DataError(
        f"{path}: item {number} has no question: expected text in a field "
        f"{' or '.join(_QUESTION_FIELDS)}"
    )


def _build_row(place: str, value: Any) -> BenchmarkRow:
    # A row that is not an object (a JSON array of strings, say) has no fields.
    if not isinstance(value, Mapping):
        return BenchmarkRow(place, {})
    fields = {str(name).strip().casefold(): content for name, content in value.items()}
    return BenchmarkRow(place, fields)


# --- JSON -----------------------------------------------------------------------------


def _read_json_rows(path: str, text: str) -> Iterator[BenchmarkRow]:
    try:
        content = parse_json(text, path)
    except InvalidJson:
        # Several JSON values are not one JSON document: the file is JSON Lines.
        # ``splitlines`` would also split at line separators inside a string.
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                value = _decode_value(path, number, _parse_line, line)
                yield _build_row(f"line {number}", value)
        return
    for number, value in enumerate(_list_values(content), 1):
        yield _build_row(f"item {number}", value)


def _list_values(content: Any) -> Sequence[Any]:
    """The rows of a JSON document."""
    if not isinstance(content, dict):
        return content
    if isinstance(content.get("questions"), list):
        return content["questions"]
    if content and all(isinstance(value, dict) for value in content.values()):
        return [{_KEY_FIELD: key, **value} for key, value in content.items()]
    # A single object without an array is a JSON Lines file of one line.
    return [content]


def _parse_line(line: str) -> Any:
    return parse_json(line, "the line")


# --- CSV ------------------------------------------------------------------------------


def _read_csv_rows(path: str, text: str) -> Iterator[BenchmarkRow]:
    # ``newline=""`` leaves line ends to the csv module: a quoted cell may contain some.
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = ((reader.line_num, row) for row in reader if any(row))
    try:
        line, header = next(rows, (1, []))
        columns, decode = _read_columns(path, line, header)
        for line, row in rows:
            # Not strict: cells that a short row lacks are missing fields, which are named later.
            cells = dict(zip(columns, row, strict=False))
            yield _build_row(f"line {line}", _decode_value(path, line, decode, cells))
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
    """Return an xbench or BrowseComp row, its question and answer decrypted. Other cells stay as
    they are, encrypted or not."""
    key = row[_CANARY].encode()
    if not key:
        raise ValueError("no canary")
    if _HASHED_KEY_FIELD in row:
        key = hashlib.sha256(key).digest()
    secret_fields = {*_QUESTION_FIELDS, _ANSWER_FIELD}
    return {
        name: _decrypt_cell(cell, key) if name in secret_fields else cell
        for name, cell in row.items()
    }


def _decrypt_cell(cell: str, key: bytes) -> str:
    """The text of base64 of text that was combined by XOR with the repeated key."""
    data = base64.b64decode(cell, validate=True)
    return bytes(byte ^ key[position % len(key)] for position, byte in enumerate(data)).decode()


def _decode_value(path: str, line: int, decode: Callable[[Any], V], value: Any) -> V:
    """Return ``decode(value)``; raise a DataError that does not show the value on failure."""
    try:
        return decode(value)
    except (ValueError, KeyError, InvalidJson):
        # ``from None``, because the original error could quote the benchmark's text.
        raise DataError(
            f"{path}: line {line} cannot be read as JSON Lines, CSV with a column "
            f"{' or '.join(_QUESTION_FIELDS)}, or one of the encodings MedBrowseComp, xbench and "
            "BrowseComp are published in; download the file again"
        ) from None
