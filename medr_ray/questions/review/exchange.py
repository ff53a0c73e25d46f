"""Files for readers without the command: what they read, and what they say of it.

The drawn questions leave as JSON lines or Markdown. A reader fills in the JSON lines, or writes a
table (CSV) of id, verdict, codes, research_question and note.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import Question
from medr_ray.questions.review.defects import DEFECTS
from medr_ray.questions.review.draw import Draw, hash_content
from medr_ray.questions.review.verdicts import (
    ReaderVerdict,
    check_decision,
    check_reader_name,
    parse_codes,
)

MARKDOWN_SUFFIXES = (".md", ".markdown")
# What a reader says, with the columns of a table of verdicts; the id and the verdict must be there.
_SAID_COLUMNS = ("verdict", "codes", "research_question", "note")
_REQUIRED_COLUMNS = ("id", "verdict")
# Columns that an exported file has beside them.
_GIVEN_COLUMNS = ("content", "text", "answer", "aliases", "split", "trace")
_COLUMNS = ("id", "reviewer", *_SAID_COLUMNS, *_GIVEN_COLUMNS)
_YES = ("y", "yes", "true", "1")
_NO = ("n", "no", "false", "0")
_SEPARATORS = str.maketrans(";,|", "   ")


# --- out ------------------------------------------------------------------------------


def build_json_lines(
    drawn: Sequence[Question], describe: Callable[[str], Mapping[str, Any]]
) -> str:
    """A line for each question, with empty fields for the verdict. ``describe`` gives the chain and
    evidence of a question as plain values."""
    lines = [
        json.dumps(
            {
                "id": question.task.task_id,
                "verdict": "",
                "codes": [],
                "research_question": "",
                "note": "",
                "text": question.task.text,
                "answer": question.task.answer,
                "aliases": question.task.aliases,
                "split": question.split,
                "content": hash_content(question),
                "trace": describe(question.task.task_id),
            },
            ensure_ascii=False,
        )
        for question in drawn
    ]
    return "".join(f"{line}\n" for line in lines)


def build_markdown(drawn: Sequence[Question], draw: Draw, render: Callable[[str], str]) -> str:
    """The questions one below the other, each as ``render`` prints it, after what a verdict is."""
    parts = [
        f"# {len(drawn)} questions ({draw.describe()})",
        "Accept or refuse each of them, with the defects of those that you refuse, and say whether "
        "a physician or an analyst would call it a real research question. The answers come as a "
        "CSV table with the columns `id,verdict,codes,research_question,note`.",
        "\n".join(f"- `{defect.code}`: {defect.meaning}" for defect in DEFECTS),
    ]
    for number, question in enumerate(drawn, 1):
        rendered = render(question.task.task_id).rstrip()
        # Four spaces keep the text as it is, whatever signs are in it.
        block = "\n".join(f"    {line}".rstrip() for line in rendered.splitlines())
        parts += [f"## {number}. {question.task.task_id}", block]
    return "\n\n".join(parts) + "\n"


# --- in -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImportedVerdicts:
    """What a file of verdicts holds: the verdicts, a message with file and line for every row that
    is none, the number of rows that leave the verdict open, and the columns that nobody reads."""

    verdicts: tuple[ReaderVerdict, ...]
    problems: tuple[str, ...]
    open_rows: int
    unread_columns: tuple[str, ...]


class _OpenRow(Exception):
    """The row has no verdict yet."""


def read_verdicts(
    path: Path, drawn: Sequence[Question], draw: Draw, reviewer: str | None, time: str
) -> ImportedVerdicts:
    """Read the verdicts of another person on the drawn questions.

    ``reviewer`` gives them where a row names none. Raises DataError for a file that cannot be read
    at all.
    """
    questions = {question.task.task_id: question for question in drawn}
    verdicts: dict[tuple[str, str], ReaderVerdict] = {}
    lines: dict[tuple[str, str], int] = {}
    problems = []
    open_rows = 0
    columns: dict[str, None] = {}
    for line, row in _read_rows(path):
        try:
            if isinstance(row, DataError):
                raise row
            columns |= dict.fromkeys(row)
            verdict = _parse_row(row, questions, draw, reviewer, time)
            key = (verdict.reviewer, verdict.question_id)
            if key in verdicts:
                raise DataError(f"line {lines[key]} has a verdict on {key[1]} already")
        except _OpenRow:
            open_rows += 1
            continue
        except DataError as error:
            problems.append(f"{path} line {line}: {error}")
            continue
        verdicts[key] = verdict
        lines[key] = line
    unread = tuple(column for column in columns if column not in _COLUMNS)
    return ImportedVerdicts(tuple(verdicts.values()), tuple(problems), open_rows, unread)


def _read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | DataError]]:
    """(line, row) of a table or of JSON lines; the error in the place of a row that is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    if path.suffix.lower() == ".csv":
        yield from _read_csv_rows(path, content)
        return
    for line, text in enumerate(content.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            row = parse_json(text, "the line")
        except DataError as error:
            yield line, error
            continue
        yield line, row if isinstance(row, dict) else DataError("it is no JSON object")


def _read_csv_rows(
    path: Path, content: bytes
) -> Iterator[tuple[int, Mapping[str, Any] | DataError]]:
    try:
        # The mark at the beginning is what spreadsheets write.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in _REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{path} has no column {missing[0]}: the first line names the columns")
    before = reader.line_num
    rows = iter(reader)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            # Where a quotation mark is missing nobody can tell where the next row begins.
            yield before + 1, DataError(f"it is no row of a table ({error}), nor is what follows")
            return
        # A cell may have line breaks: a row is named by its first line.
        line = before + 1
        before = reader.line_num
        if None in row or None in row.values():
            yield line, DataError("it has more or fewer cells than there are columns")
        else:
            yield line, row


def _parse_row(
    row: Mapping[str, Any],
    questions: Mapping[str, Question],
    draw: Draw,
    reviewer: str | None,
    time: str,
) -> ReaderVerdict:
    """The verdict of a row. Raises _OpenRow where there is none yet, and DataError."""
    question_id = _read_text(row, "id")
    decision = _read_text(row, "verdict").lower()
    question = questions.get(question_id)
    if question is None:
        raise DataError(f"{question_id or 'a row without id'} is no question of this draw")
    if not decision:
        if any(row.get(name) for name in ("codes", "note", "research_question")):
            raise DataError(f"{question_id} has codes or a note and no verdict")
        raise _OpenRow
    content = hash_content(question)
    if _read_text(row, "content") not in ("", content):
        raise DataError(f"{question_id} has another text or answer now: export it again")
    name = _read_text(row, "reviewer") or reviewer
    if not name:
        raise DataError("it names no reviewer: give --reviewer")
    codes = parse_codes(_read_codes(row))
    return ReaderVerdict(
        question_id,
        content,
        check_reader_name(name),
        check_decision(decision, codes),
        codes,
        _read_opinion(row),
        " ".join(_read_text(row, "note").split()),
        time,
        draw,
    )


def _read_text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{name} is no text: {value!r}")
    return value.strip()


def _read_codes(row: Mapping[str, Any]) -> list[str]:
    """The codes of a row: a list, or a text with blanks or commas between them."""
    value = row.get("codes")
    if isinstance(value, list):
        if not all(isinstance(code, str) for code in value):
            raise DataError(f"codes are no texts: {value!r}")
        return value
    return _read_text(row, "codes").translate(_SEPARATORS).split()


def _read_opinion(row: Mapping[str, Any]) -> bool | None:
    """Whether it is a research question; None where the row does not say."""
    value = row.get("research_question")
    if isinstance(value, bool):
        return value
    text = _read_text(row, "research_question").lower()
    if text not in ("", *_YES, *_NO):
        raise DataError(f"research_question is neither yes nor no: {text!r}")
    return text in _YES if text else None
