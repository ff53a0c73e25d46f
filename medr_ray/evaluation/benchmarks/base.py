"""What a benchmark is: tasks, the scorers of their answers, and the groups they are reported by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers.base import Scorer


class Benchmark(Protocol):
    """A set of tasks with its scorers. Results are keyed by (name, model, task_id, rollout)."""

    @property
    def name(self) -> str:
        """What the configuration, the results and report.json call it."""
        ...

    @property
    def title(self) -> str:
        """What the printed report calls it."""
        ...

    @property
    def slices(self) -> tuple[str, ...]:
        """Names of task metadata; exact match is also reported for each of their values."""
        ...

    def load_tasks(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Task]:
        """All tasks, in a fixed order. Raises DataError when they cannot be read."""
        ...

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        """The scorers of the answers: the official one first, ours beside. At least one."""
        ...

    def describe_source(self) -> str | None:
        """A text that changes with the tasks, where they come from outside the run; else None.

        It is part of the stage's fingerprint, so that changed tasks are answered anew.
        """
        ...


@dataclass(frozen=True)
class BenchmarkTask:
    """A task and the benchmark that asked it: a row of the evaluation's ``tasks.parquet``."""

    benchmark: str
    task: Task
