"""The records of which a report consists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.core.records import StopReason, Task, Verdict
from medr_ray.evaluation.figures import BenchmarkFigures
from medr_ray.questions.review.summary import ReviewSummary


@dataclass(frozen=True)
class Machine:
    """Where the report was made. ``memory_gib`` is physical memory in GiB."""

    cpus: int
    memory_gib: float
    python: str


@dataclass(frozen=True)
class StageSummary:
    """A finished stage, from its manifest; ``models`` has a row for each role that a language model
    played in it, with what it used and what was estimated."""

    name: str
    seconds: float
    resumed: bool
    counts: Mapping[str, Any]
    models: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class TrainingLog:
    """The lines of a training stage's ``metrics.jsonl``: one a step of SFT, one an update of
    GRPO."""

    lines: tuple[Mapping[str, Any], ...]

    def curve(self, field: str) -> list[float | None]:
        """A field line by line; None where a line does not have it."""
        return [line.get(field) for line in self.lines]


@dataclass(frozen=True)
class RewardSpread:
    """The rewards of one update's rollouts: a quarter is below ``low``, a quarter above ``high``.
    ``update`` counts from 1."""

    update: int
    low: float
    high: float


@dataclass(frozen=True)
class ModelAnswer:
    """What a model answered to a task; ``prediction`` is None without an answer."""

    model: str
    prediction: str | None
    verdict: Verdict
    stop_reason: StopReason


@dataclass(frozen=True)
class SampleTask:
    """A task with every model's first answer to it."""

    task: Task
    answers: tuple[ModelAnswer, ...]


@dataclass(frozen=True)
class BenchmarkReport:
    """A benchmark: its figures, what they show in sentences, and some tasks with answers."""

    figures: BenchmarkFigures
    conclusions: tuple[str, ...]
    samples: tuple[SampleTask, ...]


@dataclass(frozen=True)
class Report:
    """All that a run has reached. ``stages`` are in pipeline order; ``benchmarks`` is empty before
    the evaluation has finished; ``versions`` are those of the last finished stage; ``review`` is
    what readers found of the questions, None where nobody read them."""

    run: str
    seed: int
    directory: str
    policy: str
    machine: Machine
    versions: Mapping[str, str]
    stages: tuple[StageSummary, ...]
    sft_steps: TrainingLog
    grpo_updates: TrainingLog
    rollout_files: tuple[str, ...]
    benchmarks: tuple[BenchmarkReport, ...]
    review: ReviewSummary | None = None
    reward_spreads: tuple[RewardSpread, ...] = ()

    @property
    def seconds(self) -> float:
        """The time of all stages together."""
        return round(sum(stage.seconds for stage in self.stages), 2)

    @property
    def conclusions(self) -> tuple[str, ...]:
        """Those of all benchmarks; each names its benchmark where there are several."""
        if len(self.benchmarks) == 1:
            return self.benchmarks[0].conclusions
        return tuple(
            f"{benchmark.figures.title}: {conclusion}"
            for benchmark in self.benchmarks
            for conclusion in benchmark.conclusions
        )
