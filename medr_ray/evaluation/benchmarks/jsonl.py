"""A benchmark out of a file of questions and answers that a module of yours declares.

A module that declares one is all that a new benchmark needs::

    BENCHMARK = JsonlBenchmark("rare", "Rare diseases", Path(__file__).with_name("rare.jsonl"))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Language, Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.own_file import OwnFile
from medr_ray.evaluation.scorers.base import Scorer


@dataclass(frozen=True)
class JsonlBenchmark:
    """One task a row of a file in JSON Lines, JSON or CSV; see ``own_file`` for its fields.

    A field named in ``slices`` becomes metadata of the task. Other fields are ignored.
    """

    name: str
    title: str
    path: Path
    language: Language = "en"
    slices: tuple[str, ...] = ()

    def load_tasks(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Task]:
        """Raises DataError, with file and line, for a row that is not a task."""
        return self._open_file().load_tasks(config, run)

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return self._open_file().build_scorers(config, run)

    def describe_source(self) -> str:
        """The SHA-256 of the file. Raises DataError when it cannot be read."""
        return self._open_file().describe_source()

    def _open_file(self) -> OwnFile:
        return OwnFile(
            self.name,
            self.title,
            slices=self.slices,
            paths=(str(self.path),),
            language=self.language,
        )
