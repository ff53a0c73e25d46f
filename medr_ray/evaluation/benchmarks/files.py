"""Benchmarks that are files of their publishers: which file, which rows, which tasks.

The files are read where they lie and copied nowhere. A file with a row that is no question is
refused with every such row named, because a part of a benchmark has no score of the benchmark.
"""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import ENCRYPTED_KEY, Language, MetadataItem, Task, content_id
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.knowledge.benchmark_files import (
    BenchmarkRow,
    list_benchmark_files,
    read_benchmark_rows,
)
from medr_ray.knowledge.vocabulary_reading import file_digest

ITEM_KEY = "item"  # of the metadata item that holds the publisher's id of the question
_MAX_NAMED_ROWS = 5  # broken rows that an error names; all are counted
_REPEATS = "repeats of questions of earlier files"
_HAN = re.compile("[\\u4e00-\\u9fff]")


class BrokenRow(ValueError):
    """A row that is no question; the message says what is wrong with it."""


class SkippedRow(Exception):
    """A sound row that is no question for an agent; the message names its kind."""


@dataclass(frozen=True)
class BenchmarkContent:
    """The tasks of a benchmark's files, and how many rows are none, by kind."""

    tasks: tuple[Task, ...] = field(repr=False)
    skipped: Mapping[str, int]


@dataclass(frozen=True)
class FileBenchmark(ABC):
    """A benchmark that is one or several files; ``open`` names them.

    ``is_encrypted``: its publisher encrypts the questions to keep them out of training data, so
    they must not be written down in plain text.
    """

    name: str
    title: str
    slices: tuple[str, ...] = ()
    is_encrypted: bool = False
    paths: tuple[str, ...] = ()

    def open(self, path: str) -> Self:
        """The benchmark with the file at a path or URI, or those of a folder.

        Raises DataError when there is none.
        """
        return replace(self, paths=list_benchmark_files(path))

    def load_tasks(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Task]:
        """Raises DataError, with file and place, for rows that are no question."""
        return self.read_content().tasks

    def read_content(self) -> BenchmarkContent:
        """The tasks of the files, in their order, and what was left out.

        Raises DataError, with file and place, for rows that are no question.
        """
        tasks: list[Task] = []
        skipped: Counter[str] = Counter()
        for path in self._require_paths():
            file_tasks = self._read_file(path, skipped)
            # BioASQ asked some questions in two of its batches.
            earlier_ids = {task.task_id for task in tasks}
            new_tasks = [task for task in file_tasks if task.task_id not in earlier_ids]
            skipped[_REPEATS] += len(file_tasks) - len(new_tasks)
            tasks += new_tasks
        return BenchmarkContent(tuple(tasks), {kind: n for kind, n in skipped.items() if n})

    def _read_file(self, path: str, skipped: Counter[str]) -> list[Task]:
        tasks: list[Task] = []
        problems: list[str] = []
        rows = read_benchmark_rows(path)
        for row in rows:
            try:
                tasks.append(self.parse_row(row))
            except SkippedRow as reason:
                skipped[str(reason)] += 1
            except BrokenRow as problem:
                problems.append(f"{row.place} {problem}")
        if problems:
            raise _build_error(path, problems, len(rows))
        return tasks

    def describe_source(self) -> str:
        """The SHA-256 of the files. Raises DataError when one cannot be read."""
        return " ".join(file_digest(path) for path in self._require_paths())

    @abstractmethod
    def parse_row(self, row: BenchmarkRow) -> Task:
        """The task of a row. Raises BrokenRow, and SkippedRow for what is no question."""

    @abstractmethod
    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        """The official scorer first, ours beside."""

    def build_task(
        self,
        text: str,
        answer: str,
        *,
        aliases: Sequence[str] = (),
        language: Language | None = None,
        answer_type: str = "",
        metadata: Sequence[MetadataItem] = (),
    ) -> Task:
        """A task with an id made of its content: a row that moves, or is in two files, keeps it."""
        secret = [MetadataItem(ENCRYPTED_KEY, "yes")] if self.is_encrypted else []
        return Task(
            task_id=content_id("task", text, answer),
            text=text,
            language=language or detect_language(text),
            answer=answer,
            aliases=tuple(aliases),
            answer_type=answer_type,
            metadata=(*metadata, *secret),
        )

    def _require_paths(self) -> tuple[str, ...]:
        if not self.paths:
            raise ConfigError(
                f"benchmark {self.name} needs its file: name it as {self.name}:/path/to/file, or "
                f"under evaluation.benchmark_files.{self.name}"
            )
        return self.paths


def get_text(row: BenchmarkRow, *names: str) -> str:
    """The text in the first of the fields that has one, as it is written.

    Raises BrokenRow when none has.
    """
    for name in names:
        value = row.fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
    raise BrokenRow(f"has no text in {' or '.join(map(repr, names))}")


def get_answer(row: BenchmarkRow, *names: str) -> str:
    """The text, number or truth value in the first of the fields that has one, as text."""
    for name in names:
        value = row.fields.get(name)
        if isinstance(value, bool | int | float) or (isinstance(value, str) and value.strip()):
            return str(value).strip()
    raise BrokenRow(f"has no answer in {' or '.join(map(repr, names))}")


def get_texts(row: BenchmarkRow, name: str) -> list[str]:
    """The texts in a field that holds one or a list of them; none where there is no such field."""
    value = row.fields.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return [text for text in value if text.strip()]
    raise BrokenRow(f"has no list of texts in {name!r}")


def list_metadata(row: BenchmarkRow, names: Mapping[str, str]) -> list[MetadataItem]:
    """The metadata items of the fields that the row has; ``names`` are theirs by field."""
    values: list[tuple[str, Any]] = [(key, row.fields.get(name)) for name, key in names.items()]
    return [MetadataItem(key, str(value)) for key, value in values if value not in (None, "")]


def detect_language(text: str) -> Language:
    """Chinese where there is a Chinese character, else English."""
    return "zh" if _HAN.search(text) else "en"


def _build_error(path: str, problems: Sequence[str], row_count: int) -> DataError:
    named = "; ".join(problems[:_MAX_NAMED_ROWS])
    more = len(problems) - _MAX_NAMED_ROWS
    rest = f"; and {more} more" if more > 0 else ""
    return DataError(
        f"{path}: {len(problems)} of {row_count} rows are no question: {named}{rest}. Mend the "
        "file, or download it again"
    )
