"""Readers' verdicts, and the files that keep them: a line of JSON for each, one file a reader.

A line is appended and flushed to disk at once. A later verdict of the same reader on the same
question stands in place of an earlier one, which stays in the file. A line that a killed process
left unfinished is named and costs nothing but itself.
"""

import fcntl
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import parse_json
from medr_ray.core.private_files import flush_to_disk, make_private_folder, open_private
from medr_ray.core.records import Question, Split, canonical_json, literal_values
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.questions.review.defects import DEFECTS_BY_NAME, DefectCode
from medr_ray.questions.review.draw import Draw, hash_content

Decision = Literal["accept", "refuse"]
DECISIONS: tuple[str, ...] = literal_values(Decision)

_FOLDER = "reviews/questions"
_SUFFIX = ".jsonl"
# Characters of a reader's name: it is the name of a file.
_MAX_NAME_LENGTH = 64
_READER_NAME = re.compile(r"\w[\w. @+-]*")


@dataclass(frozen=True)
class ReaderVerdict:
    """What a reader says of a question.

    ``content`` is the hash of what was read (see ``hash_content``). A refusal has at least one
    code, an acceptance none. ``is_research`` says whether a physician or an analyst would call it a
    real research question; None where the reader was not asked. ``time`` is UTC, ISO 8601.
    """

    question_id: str
    content: str
    reviewer: str
    decision: Decision
    codes: tuple[DefectCode, ...]
    is_research: bool | None
    note: str
    time: str
    draw: Draw

    def says_the_same(self, other: "ReaderVerdict") -> bool:
        """Whether both are of one reader on one question, and agree in everything that was said."""
        return _list_statements(self) == _list_statements(other)

    def describe(self) -> str:
        """The verdict in words: "refuse (wording, leak), no research question"."""
        codes = f" ({', '.join(self.codes)})" if self.codes else ""
        research = {True: ", a research question", False: ", no research question", None: ""}
        note = f", note: {self.note}" if self.note else ""
        return f"{self.decision}{codes}{research[self.is_research]}{note}"


def _list_statements(verdict: ReaderVerdict) -> tuple[Any, ...]:
    return (
        verdict.question_id,
        verdict.content,
        verdict.reviewer,
        verdict.decision,
        verdict.codes,
        verdict.is_research,
        verdict.note,
    )


@dataclass(frozen=True)
class StoredVerdicts:
    """All verdicts of a run in the order in which each reader gave them, and a message for every
    line that could not be read."""

    verdicts: tuple[ReaderVerdict, ...]
    problems: tuple[str, ...]

    def select_standing(self, questions: Iterable[Question]) -> list[ReaderVerdict]:
        """The last verdict of each reader on each of these questions, as far as it is on the text
        and answer that the question has now; the latest given come last."""
        contents = {question.task.task_id: hash_content(question) for question in questions}
        standing: dict[tuple[str, str], ReaderVerdict] = {}
        for verdict in self.verdicts:
            if contents.get(verdict.question_id) != verdict.content:
                continue
            key = (verdict.reviewer, verdict.question_id)
            # Taken out first, so that a changed verdict counts as given when it was changed.
            standing.pop(key, None)
            standing[key] = verdict
        return list(standing.values())


class VerdictStore:
    """The verdicts of a run."""

    def __init__(self, run: RunDirectory) -> None:
        self._folder = Directory.child(run, _FOLDER)

    @property
    def uri(self) -> str:
        return self._folder.uri

    def require_local(self) -> None:
        """Raise MedrError where the run is on object storage, to which nothing can be appended."""
        _ = self._folder.local

    def read(self) -> StoredVerdicts:
        """Every verdict of every reader. Raises DataError only where a file cannot be opened."""
        verdicts: list[ReaderVerdict] = []
        problems: list[str] = []
        for name in self._folder.list_files():
            if not name.endswith(_SUFFIX):
                continue
            content = self._folder.read_bytes(name)
            for number, line in enumerate(content.split(b"\n"), 1):
                if not line.strip():
                    continue
                try:
                    verdicts.append(_parse_line(line))
                except DataError as error:
                    problems.append(
                        f"{self._folder.uri}/{name} line {number} is no verdict ({error}): the "
                        "others are kept"
                    )
        return StoredVerdicts(tuple(verdicts), tuple(problems))

    def append(self, verdict: ReaderVerdict) -> None:
        """Write a verdict behind the reader's others; it survives a kill and a power cut from here
        on. Raises MedrError where the run is not on a local disk."""
        path = self._folder.local / f"{verdict.reviewer}{_SUFFIX}"
        make_private_folder(path.parent)
        line = canonical_json(_to_row(verdict)).encode() + b"\n"
        is_new = not path.exists()
        with open(path, "a+b", opener=open_private) as file:
            # Two sessions of one reader take turns; the kernel lifts the lock with the file.
            fcntl.flock(file, fcntl.LOCK_EX)
            # What a kill left unfinished ends here, and does not swallow this verdict.
            file.write(line if _ends_with_line_break(file.fileno()) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            # Its name, too.
            flush_to_disk(path.parent)


def check_reader_name(name: str) -> str:
    """The name as verdicts give it. Raises DataError for one that cannot be the name of a file."""
    name = " ".join(name.split())
    if len(name) > _MAX_NAME_LENGTH or not _READER_NAME.fullmatch(name):
        raise DataError(
            f"{name!r} cannot be a reader's name: letters, digits, spaces and . @ + - _, at most "
            f"{_MAX_NAME_LENGTH}"
        )
    return name


def parse_codes(values: Iterable[str]) -> tuple[DefectCode, ...]:
    """Defect codes by their names or letters, each once. Raises DataError for an unknown one."""
    codes: dict[DefectCode, None] = {}
    for value in values:
        defect = DEFECTS_BY_NAME.get(value.strip().lower())
        if defect is None:
            raise DataError(f"there is no defect {value!r}")
        codes[defect.code] = None
    return tuple(codes)


def check_decision(decision: str, codes: tuple[DefectCode, ...]) -> Decision:
    """The decision, when it is one and fits its codes. Raises DataError."""
    if decision not in DECISIONS:
        raise DataError(f"the verdict {decision!r} is neither accept nor refuse")
    if decision == "accept" and codes:
        raise DataError("it accepts the question and names defects")
    if decision == "refuse" and not codes:
        raise DataError("it refuses the question and names no defect")
    return cast(Decision, decision)


def _ends_with_line_break(file: int) -> bool:
    size = os.fstat(file).st_size
    return size == 0 or os.pread(file, 1, size - 1) == b"\n"


def _to_row(verdict: ReaderVerdict) -> dict[str, Any]:
    return {
        "question_id": verdict.question_id,
        "content": verdict.content,
        "reviewer": verdict.reviewer,
        "verdict": verdict.decision,
        "codes": list(verdict.codes),
        "research_question": verdict.is_research,
        "note": verdict.note,
        "time": verdict.time,
        "seed": verdict.draw.seed,
        "n": verdict.draw.size,
        "split": verdict.draw.split,
    }


def _parse_line(line: bytes) -> ReaderVerdict:
    """A verdict as ``append`` wrote it. Raises DataError for anything else."""
    row = parse_json(line, "the line")
    if not isinstance(row, Mapping):
        raise DataError("it is no JSON object")
    texts = [
        row.get(key) for key in ("question_id", "content", "reviewer", "verdict", "note", "time")
    ]
    codes = row.get("codes")
    numbers = [row.get("seed"), row.get("n")]
    is_complete = (
        all(isinstance(text, str) for text in texts)
        and isinstance(codes, list)
        and all(isinstance(code, str) for code in codes)
        and all(isinstance(number, int) for number in numbers)
        and isinstance(row.get("research_question"), bool | None)
        and row.get("split") in (None, *literal_values(Split))
    )
    if not is_complete:
        raise DataError("a field is missing or has another type")
    defects = parse_codes(row["codes"])
    return ReaderVerdict(
        row["question_id"],
        row["content"],
        check_reader_name(row["reviewer"]),
        check_decision(row["verdict"], defects),
        defects,
        row["research_question"],
        row["note"],
        row["time"],
        Draw(row["seed"], row["n"], row["split"]),
    )
