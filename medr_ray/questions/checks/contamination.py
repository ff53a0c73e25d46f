"""Whether a question repeats one of a benchmark, and the formats benchmarks are published in.

A question is contaminated when it shares 13 words in a row with a benchmark's question, or all of
one of 8 to 12 words (the lengths GPT-3 was checked by, arXiv 2005.14165, appendix C), or when the
Jaccard similarity of their character 3-shingles is at least 0.6, which also judges short questions
and Chinese ones. That errs towards rejecting: a short question of a benchmark's own template is
near enough. Benchmarks that are published encrypted stay so: their text appears in no reason, error
or file, which name the benchmark and the number of the item, counted from 1.
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

WORDS = 13
FEWEST_WORDS = 8  # of a whole item; fewer are a phrase that anybody may write
CHARACTERS = 3
SIMILARITY = 0.6
_QUESTION = ("question", "prompt", "body")  # what benchmarks call it, in any case
_CANARY = "canary"
_SHIFT = 3  # code points, of MedBrowseComp's cells
V = TypeVar("V")


@dataclass(frozen=True)
class BenchmarkItem:
    """A benchmark's question and its number, from 1. The text is left out of what the item is shown
    as."""

    number: int
    question: str = field(repr=False)


# --- the check ------------------------------------------------------------------------


class Contamination:
    """Benchmarks by name, each with its items, to hold questions against."""

    def __init__(self, benchmarks: Mapping[str, Sequence[BenchmarkItem]]) -> None:
        self._runs: dict[tuple[str, ...], str] = {}
        self._similar: ShingleIndex[str] = ShingleIndex(SIMILARITY)
        for name, items in benchmarks.items():
            for item in items:
                where = f"item {item.number} of {name}"
                self._similar.add(where, _characters(item.question))
                words = tokens(item.question)
                for run in _runs(words, min(WORDS, max(FEWEST_WORDS, len(words)))):
                    self._runs.setdefault(run, where)

    @classmethod
    def load(cls, paths: Sequence[str]) -> "Contamination":
        """From benchmark files, named as they are. DataError when one cannot be read or holds no
        question."""
        return cls(
            {name: read_benchmark(path) for path, name in zip(paths, _names(paths), strict=True)}
        )

    def found(self, text: str) -> str | None:
        """Which item the question repeats, as a reason to reject it; None when it repeats none."""
        words = tokens(text)
        for length in range(WORDS, FEWEST_WORDS - 1, -1):
            for run in _runs(words, length):
                if run in self._runs:
                    return f"uncontaminated: shares {length} words in a row with {self._runs[run]}"
        similar = self._similar.most_similar(_characters(text))
        return (
            f"uncontaminated: resembles {similar[0]} (similarity {similar[1]:.2f})"
            if similar
            else None
        )


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Every ``length`` words in a row. Chinese has no words here: 13 characters are a common
    phrase."""
    return (
        run
        for run in windows(words, length)
        if len(run) == length and not any(map(_is_ideograph, run))
    )


def _is_ideograph(word: str) -> bool:
    return len(word) == 1 and "\u3040" <= word <= "\u9fff"


def _characters(text: str) -> frozenset[str]:
    return frozenset("".join(one) for one in windows("".join(tokens(text)), CHARACTERS))


def _names(paths: Sequence[str]) -> list[str]:
    """The files' names; the whole paths of those that share one."""
    names = [PurePosixPath(path).name for path in paths]
    return [
        name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)
    ]


# --- benchmark files ------------------------------------------------------------------


def read_benchmark(path: str) -> list[BenchmarkItem]:
    """The questions of a benchmark file, plain or gzip, at a path or URI.

    Read are JSON Lines (GAIA and others), a JSON array or one under "questions" (BioASQ), and CSV,
    by a field ``question``, ``prompt`` or ``body``; MedBrowseComp's CSV, whose every cell is base64
    of text with each code point raised by 3; and xbench's, whose cells are base64 of text combined
    by XOR with the row's ``canary``. DataError when the file is none of these or a row is broken.
    """
    with open_vocabulary(path) as stream:
        text = as_text(stream).read()
    rows = _json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(path, text)
    items = [
        BenchmarkItem(number, _question(path, number, row)) for number, row in enumerate(rows, 1)
    ]
    if not items:
        raise DataError(
            f"{path}: holds no question; name a benchmark file in JSON Lines, JSON or CSV"
        )
    return items


def _question(path: str, number: int, row: Any) -> str:
    fields = (
        {str(name).strip().casefold(): value for name, value in row.items()}
        if isinstance(row, Mapping)
        else {}
    )
    for name in _QUESTION:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise DataError(
        f"{path}: item {number} has no question: expected text in a field {' or '.join(_QUESTION)}"
    )


def _json_rows(path: str, text: str) -> Sequence[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return [
            _json_line(path, number, line)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]
    if isinstance(whole, dict):
        return whole["questions"] if isinstance(whole.get("questions"), list) else [whole]
    return whole


def _json_line(path: str, number: int, line: str) -> Any:
    return _decoded(path, number, json.loads, line)


def _csv_rows(path: str, text: str) -> Iterator[dict[str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = ((reader.line_num, row) for row in reader if any(row))
    try:
        line, header = next(rows, (1, []))
        columns, decode = _columns(path, line, header)
        for line, row in rows:
            yield _decoded(path, line, decode, dict(zip(columns, row, strict=False)))
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num} is no CSV ({error}); download the file again"
        ) from None


Decode = Callable[[dict[str, str]], dict[str, str]]


def _columns(path: str, line: int, header: Sequence[str]) -> tuple[list[str], Decode]:
    """The columns' names, and how a row's cells are read."""
    names = [one.strip().casefold() for one in header]
    if _CANARY in names and not set(_QUESTION).isdisjoint(names):
        return names, _decrypt
    if not set(_QUESTION).isdisjoint(names):
        return names, dict
    encoded = _decoded(path, line, lambda cells: [_unshift(one) for one in cells], header)
    return [one.strip().casefold() for one in encoded], lambda row: {
        name: _unshift(row[name]) for name in row
    }


def _unshift(cell: str) -> str:
    return "".join(chr(ord(one) - _SHIFT) for one in base64.b64decode(cell, validate=True).decode())


def _decrypt(row: dict[str, str]) -> dict[str, str]:
    """The row with its question in the clear."""
    key = row[_CANARY].encode()
    return {
        name: _xor(base64.b64decode(row[name], validate=True), key)
        for name in _QUESTION
        if name in row
    }


def _xor(data: bytes, key: bytes) -> str:
    if not key:
        raise ValueError("no canary")
    return bytes(one ^ key[at % len(key)] for at, one in enumerate(data)).decode()


def _decoded(path: str, line: int, decode: Callable[[Any], V], value: Any) -> V:
    """``decode(value)``; a DataError that shows nothing of the value when it fails."""
    try:
        return decode(value)
    except (ValueError, KeyError):
        raise DataError(
            f"{path}: line {line} cannot be read as JSON Lines, CSV with a column {' or '.join(_QUESTION)}, or one of "
            "the encodings MedBrowseComp and xbench are published in; download the file again"
        ) from None
