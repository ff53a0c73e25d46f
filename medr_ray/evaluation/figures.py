"""The figures of an evaluation: for each benchmark those of every model, and paired comparisons.

The first rollout of a task is what is counted and compared; more rollouts give pass@k.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from medr_ray.core.records import EvaluationResult, Task, Trajectory, from_row
from medr_ray.core.run import Directory
from medr_ray.evaluation.artifacts import EVALUATION_FIGURES
from medr_ray.evaluation.benchmarks.base import Benchmark
from medr_ray.evaluation.scorers.base import CORRECT
from medr_ray.evaluation.statistics import (
    PairedTest,
    Proportion,
    answer_rate,
    compare_outcomes,
    exact_match,
    mean_pass_at_k,
    select_scored,
)


@dataclass(frozen=True)
class JudgedAnswer:
    """What came of an attempt.

    ``trajectory`` is None when infrastructure failed it. ``reason`` is the judge's, or what failed.
    """

    result: EvaluationResult
    trajectory: Trajectory | None
    reason: str = ""


@dataclass(frozen=True)
class SlicePart:
    """The tasks whose metadata item has this value."""

    value: str
    exact_match: Proportion


@dataclass(frozen=True)
class Slice:
    """Exact match by the values of metadata item ``name``; numbers first, in rising order."""

    name: str
    parts: tuple[SlicePart, ...]


@dataclass(frozen=True)
class PassAtK:
    """Mean chance that one of ``k`` attempts at a task is right; null without any scored."""

    k: int
    value: float | None


@dataclass(frozen=True)
class ModelFigures:
    """How one model did on a benchmark.

    ``exact_match`` and ``answer_rate`` are of scored answers, ``unscored`` counts the others.
    ``tool_calls`` and ``output_tokens`` are means over all rollouts. ``stop_reasons`` counts how
    episodes ended. ``pass_at_k`` is empty where each task was attempted once.
    """

    model: str
    exact_match: Proportion
    answer_rate: float | None
    unscored: int
    tool_calls: float | None
    output_tokens: float | None
    stop_reasons: dict[str, int]
    slices: tuple[Slice, ...]
    pass_at_k: tuple[PassAtK, ...]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same tasks; ``test.b`` counts tasks that only ``first`` got right."""

    first: str
    second: str
    test: PairedTest


@dataclass(frozen=True)
class BenchmarkFigures:
    """All figures of one benchmark. ``models`` are in the order of ``evaluation.weights``;
    ``comparisons`` are of neighbours in that order. ``confidence`` is that of all intervals."""

    benchmark: str
    title: str
    tasks: int
    confidence: float
    models: tuple[ModelFigures, ...]
    comparisons: tuple[Comparison, ...]


def compute_figures(
    benchmark: Benchmark,
    tasks: Sequence[Task],
    answers: Sequence[JudgedAnswer],
    models: Sequence[str],
    confidence: float,
) -> BenchmarkFigures:
    """The figures of one benchmark from its judged answers."""
    # Filled beforehand, so that the models come in the configured order, and one without answers is
    # listed too.
    answers_by_model: dict[str, list[JudgedAnswer]] = {model: [] for model in models}
    for answer in answers:
        answers_by_model[answer.result.model].append(answer)
    return BenchmarkFigures(
        benchmark=benchmark.name,
        title=benchmark.title,
        tasks=len(tasks),
        confidence=confidence,
        models=tuple(
            _compute_model_figures(model, model_answers, tasks, benchmark.slices, confidence)
            for model, model_answers in answers_by_model.items()
        ),
        # Neighbours only: weights are configured in training order, so each stage of training is
        # compared with the one before it.
        comparisons=tuple(
            _compare_models(first, second, answers_by_model) for first, second in pairwise(models)
        ),
    )


def write_figures(directory: Directory, figures: Sequence[BenchmarkFigures]) -> None:
    """Keep the figures of all benchmarks in the evaluation's directory."""
    rows = [asdict(benchmark_figures) for benchmark_figures in figures]
    directory.write_json(EVALUATION_FIGURES.name, rows)


def read_figures(directory: Directory) -> tuple[BenchmarkFigures, ...]:
    """What ``write_figures`` wrote."""
    rows = directory.read_json(EVALUATION_FIGURES.name)
    return tuple(from_row(BenchmarkFigures, row) for row in rows)


def _compute_model_figures(
    model: str,
    answers: Sequence[JudgedAnswer],
    tasks: Sequence[Task],
    slices: Sequence[str],
    confidence: float,
) -> ModelFigures:
    results = [answer.result for answer in answers]
    # The interval and the test take their cases as independent. Several attempts at one task are
    # not, so only the first counts; the others give pass@k.
    first_results = [result for result in results if result.rollout == 0]
    match = exact_match(first_results, confidence)
    trajectories = [answer.trajectory for answer in answers if answer.trajectory is not None]
    stop_reasons = Counter(result.stop_reason for result in first_results)
    return ModelFigures(
        model=model,
        exact_match=match,
        answer_rate=answer_rate(first_results),
        unscored=len(first_results) - match.n,
        # Costs are means over all rollouts. An attempt that infrastructure failed has no trajectory
        # and so no number of calls, but it counts with 0 tokens.
        tool_calls=_mean_or_none([len(trajectory.tool_events) for trajectory in trajectories]),
        output_tokens=_mean_or_none([result.usage.output_tokens for result in results]),
        stop_reasons=dict(sorted(stop_reasons.items())),
        slices=tuple(_compute_slice(name, first_results, tasks, confidence) for name in slices),
        pass_at_k=_compute_pass_at_k(results),
    )


def _compute_slice(
    name: str, results: Sequence[EvaluationResult], tasks: Sequence[Task], confidence: float
) -> Slice:
    value_by_task = {task.task_id: task.metadata_value(name) for task in tasks}
    results_by_value: dict[str, list[EvaluationResult]] = {}
    for result in results:
        value = value_by_task[result.task_id]
        # A task without the item is in no part, so the parts need not add up to the whole.
        if value is not None:
            results_by_value.setdefault(value, []).append(result)
    parts = [
        SlicePart(value, exact_match(results_by_value[value], confidence))
        for value in sorted(results_by_value, key=slice_value_sort_key)
    ]
    return Slice(name, tuple(parts))


def slice_value_sort_key(value: str) -> tuple[bool, int, str]:
    """A sort key: numbers first, by size, then words."""
    if value.isdecimal():
        # False sorts first. Both tuples have the same types at each place, so that any two compare.
        return (False, int(value), "")
    return (True, 0, value)


def _compute_pass_at_k(results: Sequence[EvaluationResult]) -> tuple[PassAtK, ...]:
    """pass@1 to pass@k, k being the largest number of scored attempts at one task."""
    outcomes: dict[str, list[bool]] = {}
    for result in select_scored(results):
        outcomes.setdefault(result.task_id, []).append(result.verdict == CORRECT)
    # Unscored attempts count as not made, so tasks differ in how many they have. A large k is
    # therefore averaged over fewer tasks than a small one.
    largest = max((len(attempts) for attempts in outcomes.values()), default=0)
    if largest <= 1:
        return ()
    return tuple(PassAtK(k, mean_pass_at_k(outcomes, k)) for k in range(1, largest + 1))


def _compare_models(
    first: str, second: str, answers_by_model: dict[str, list[JudgedAnswer]]
) -> Comparison:
    first_outcomes = _collect_outcomes(answers_by_model[first])
    second_outcomes = _collect_outcomes(answers_by_model[second])
    return Comparison(first, second, compare_outcomes(first_outcomes, second_outcomes))


def _collect_outcomes(answers: Sequence[JudgedAnswer]) -> dict[str, bool]:
    """Whether each task was answered right, of those whose first rollout was scored."""
    results = select_scored([answer.result for answer in answers])
    return {result.task_id: result.verdict == CORRECT for result in results if result.rollout == 0}


def _mean_or_none(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None
