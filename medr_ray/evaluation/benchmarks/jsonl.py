"""A benchmark out of a JSONL file of questions and answers.

A module that declares one is all that a new benchmark needs::

    BENCHMARK = JsonlBenchmark("rare", "Rare diseases", Path(__file__).with_name("rare.jsonl"))
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.records import MetadataItem, Task, content_id
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.configured import build_configured_scorers


@dataclass(frozen=True)
class JsonlBenchmark:
    """One task a line: an object with ``question`` and ``answer``.

    ``aliases`` (further names of the answer), ``language`` and ``answer_type`` may be given. A
    field named in ``slices`` becomes metadata of the task. Other fields are ignored.
    """

    name: str
    title: str
    path: Path
    language: str = "en"
    slices: tuple[str, ...] = ()

    def load_tasks(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Task]:
        """Raises DataError, with file and line, for a line that is not a task."""
        lines = self._read_bytes().decode("utf-8").splitlines()
        return [
            self._parse_task(line, number) for number, line in enumerate(lines, 1) if line.strip()
        ]

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return build_configured_scorers(config, run)

    def describe_source(self) -> str:
        """The SHA-256 of the file. Raises DataError when it cannot be read."""
        return hashlib.sha256(self._read_bytes()).hexdigest()

    def _read_bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"benchmark {self.name}: {self.path}: {error.strerror}") from None

    def _parse_task(self, line: str, number: int) -> Task:
        try:
            row = parse_json(line, "it")
            return self._build_task(row)
        except (InvalidJson, KeyError, TypeError) as error:
            raise DataError(
                f"{self.path}, line {number}: not an object with a question and an answer "
                f"({type(error).__name__}: {error})"
            ) from None

    def _build_task(self, row: dict[str, Any]) -> Task:
        question = str(row["question"])
        answer = str(row["answer"])
        # A field that a line lacks gives no metadata item: the task is in no part of that slice.
        metadata = tuple(MetadataItem(name, str(row[name])) for name in self.slices if name in row)
        return Task(
            # Made of the content: a line that moves, or is in two files, keeps its id.
            task_id=content_id("task", question, answer),
            text=question,
            language=row.get("language", self.language),
            answer=answer,
            aliases=tuple(row.get("aliases", ())),
            answer_type=row.get("answer_type", ""),
            metadata=metadata,
        )
