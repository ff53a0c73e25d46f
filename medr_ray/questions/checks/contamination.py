"""The check whether a question repeats a benchmark's question, and readers of benchmark files.

A question is contaminated when it shares 13 words in a row with a benchmark's question, or all
words of a benchmark's question of 8 to 12 words (the lengths GPT-3 was checked by, arXiv
2005.14165, appendix C), or when the Jaccard similarity of their character 3-shingles is at least
0.6. The similarity also covers short and Chinese questions. It errs towards rejecting: a short
question in the form of a benchmark's question is similar enough. Encrypted benchmarks stay
encrypted: their text appears in no reason, error or file. Those name the benchmark and the number
of the item, counted from 1.
"""

import base64
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeVar

from medr_ray.core.errors import DataError
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary
from medr_ray.questions.answer_matching import tokens
from medr_ray.questions.checks.duplicates import ShingleIndex, windows

WORDS = 13  # shared words in a row from which a question is contaminated
FEWEST_WORDS = 8  # words of a whole item; fewer are a phrase that anybody may write
CHARACTERS = 3  # characters of a shingle
SIMILARITY = 0.6  # Jaccard similarity from which a question is contaminated
_QUESTION_FIELDS = ("question", "prompt", "body")  # benchmarks' names for the text, in any case
_CANARY = "canary"  # the column of xbench's keys
_CODE_POINT_SHIFT = 3  # by which MedBrowseComp raises the text of its cells
V = TypeVar("V")


@dataclass(frozen=True)
class BenchmarkItem:
    """A benchmark's question and its number, from 1. The text is not part of its ``repr``."""

    number: int
    question: str = field(repr=False)


# --- the check ------------------------------------------------------------------------


class Contamination:
    """Compares questions with the items of benchmarks, which are given by name."""

    def __init__(self, benchmarks: Mapping[str, Sequence[BenchmarkItem]]) -> None:
        self._word_runs: dict[tuple[str, ...], str] = {}
        self._shingle_index: ShingleIndex[str] = ShingleIndex(SIMILARITY)
        for name, items in benchmarks.items():
            for item in items:
                item_name = f"item {item.number} of {name}"
                self._shingle_index.add(item_name, _split_shingles(item.question))
                words = tokens(item.question)
                # A short item is one run of all its words; below FEWEST_WORDS it has no run.
                for run in _word_runs(words, min(WORDS, max(FEWEST_WORDS, len(words)))):
                    self._word_runs.setdefault(run, item_name)

    @classmethod
    def load(cls, paths: Sequence[str]) -> "Contamination":
        """Read benchmark files and name each benchmark after its file.

        Raises DataError when a file cannot be read or has no question.
        """
        return cls(
            {
                name: read_benchmark(path)
                for path, name in zip(paths, _benchmark_names(paths), strict=True)
            }
        )

    def found(self, text: str) -> str | None:
        """Return the reason to reject the question, which names the item that it repeats.

        None when it repeats no item.
        """
        words = tokens(text)
        # From the longest run, so that the reason gives the strongest match.
        for length in range(WORDS, FEWEST_WORDS - 1, -1):
            for run in _word_runs(words, length):
                if run in self._word_runs:
                    return (
                        f"uncontaminated: shares {length} words in a row with "
                        f"{self._word_runs[run]}"
                    )
        similar = self._shingle_index.most_similar(_split_shingles(text))
        return (
            f"uncontaminated: resembles {similar[0]} (similarity {similar[1]:.2f})"
            if similar
            else None
        )


def _word_runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Return every run of ``length`` words.

    Runs with Chinese characters are left out: each character is a token, and 13 characters are a
    common phrase.
    """
    return (
        run
        for run in windows(words, length)
        if len(run) == length and not any(map(_is_ideograph, run))
    )


def _is_ideograph(word: str) -> bool:
    return len(word) == 1 and "\u3040" <= word <= "\u9fff"


def _split_shingles(text: str) -> frozenset[str]:
    return frozenset("".join(window) for window in windows("".join(tokens(text)), CHARACTERS))


def _benchmark_names(paths: Sequence[str]) -> list[str]:
    """Return the file names, or the whole paths of files that share a name."""
    names = [PurePosixPath(path).name for path in paths]
    return [
        name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)
    ]


# --- benchmark files ------------------------------------------------------------------


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
    rows = _json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(path, text)
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
    fields = (
        {str(name).strip().casefold(): value for name, value in row.items()}
        if isinstance(row, Mapping)
        else {}
    )
    for name in _QUESTION_FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise DataError(
        f"{path}: item {number} has no question: expected text in a field "
        f"{' or '.join(_QUESTION_FIELDS)}"
    )


def _json_rows(path: str, text: str) -> Sequence[Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        # Several JSON values are not one JSON document: the file is JSON Lines.
        return [
            _json_line(path, number, line)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]
    if isinstance(content, dict):
        return content["questions"] if isinstance(content.get("questions"), list) else [content]
    return content


def _json_line(path: str, number: int, line: str) -> Any:
    return _decode_value(path, number, json.loads, line)


def _csv_rows(path: str, text: str) -> Iterator[dict[str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = ((reader.line_num, row) for row in reader if any(row))
    try:
        line, header = next(rows, (1, []))
        columns, decode = _read_columns(path, line, header)
        for line, row in rows:
            yield _decode_value(path, line, decode, dict(zip(columns, row, strict=False)))
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num} is no CSV ({error}); download the file again"
        ) from None


Decode = Callable[[dict[str, str]], dict[str, str]]


def _read_columns(path: str, line: int, header: Sequence[str]) -> tuple[list[str], Decode]:
    """Return the names of the columns and the function that decodes a row."""
    names = [cell.strip().casefold() for cell in header]
    if _CANARY in names and not set(_QUESTION_FIELDS).isdisjoint(names):
        return names, _decrypt_row
    if not set(_QUESTION_FIELDS).isdisjoint(names):
        return names, dict
    # No plain name of a question: the header itself must be encoded, as MedBrowseComp's is.
    decoded = _decode_value(path, line, lambda cells: [_unshift(cell) for cell in cells], header)
    return [cell.strip().casefold() for cell in decoded], lambda row: {
        name: _unshift(row[name]) for name in row
    }


def _unshift(cell: str) -> str:
    return "".join(
        chr(ord(character) - _CODE_POINT_SHIFT)
        for character in base64.b64decode(cell, validate=True).decode()
    )


def _decrypt_row(row: dict[str, str]) -> dict[str, str]:
    """Return the question fields of the row, decrypted."""
    key = row[_CANARY].encode()
    return {
        name: _xor(base64.b64decode(row[name], validate=True), key)
        for name in _QUESTION_FIELDS
        if name in row
    }


def _xor(data: bytes, key: bytes) -> str:
    if not key:
        raise ValueError("no canary")
    return bytes(byte ^ key[at % len(key)] for at, byte in enumerate(data)).decode()


def _decode_value(path: str, line: int, decode: Callable[[Any], V], value: Any) -> V:
    """Return ``decode(value)``; raise a DataError that does not show the value on failure."""
    try:
        return decode(value)
    except (ValueError, KeyError):
        # ``from None``, because the original error could quote the benchmark's text.
        raise DataError(
            f"{path}: line {line} cannot be read as JSON Lines, CSV with a column "
            f"{' or '.join(_QUESTION_FIELDS)}, or one of the encodings MedBrowseComp and xbench "
            "are published in; download the file again"
        ) from None
