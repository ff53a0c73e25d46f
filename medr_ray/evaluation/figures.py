"""The figures of an evaluation: for each benchmark and scorer those of every model, and paired
comparisons of any two.

All attempts at a task count: shares and intervals weigh tasks alike (see ``statistics``). The exact
paired test compares the first attempts, the paired bootstrap all of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Protocol

from medr_ray.core.records import EvaluationResult, Task, Trajectory, from_row
from medr_ray.core.run import Directory
from medr_ray.evaluation.artifacts import EVALUATION_FIGURES
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED
from medr_ray.evaluation.statistics import (
    Mean,
    PairedDifference,
    PairedTest,
    Proportion,
    compare_outcomes,
    majority_share,
    mean_interval,
    mean_pass_at_k,
    paired_difference,
    share_interval,
)

# Names of the slices that every benchmark has, of what happened in an attempt.
TOOL_SLICE = "tool"
SOURCE_SLICE = "source"
STOP_SLICE = "stop reason"
# The value of a slice for attempts without any.
NOTHING = "none"


@dataclass(frozen=True)
class JudgedAnswer:
    """What came of an attempt.

    ``trajectory`` is None when infrastructure failed it. ``reason`` is the judge's, or what failed.
    ``extracted`` is what the scorer took out of the answer, ``value`` what it measured in [0, 1].
    """

    result: EvaluationResult
    trajectory: Trajectory | None
    reason: str = ""
    extracted: str = ""
    value: float | None = None

    @property
    def is_scored(self) -> bool:
        return self.result.verdict != UNSCORED

    @property
    def is_correct(self) -> bool:
        return self.result.verdict == CORRECT


@dataclass(frozen=True)
class SlicePart:
    """The attempts that belong to this value: of tasks whose metadata item has it, or in which it
    happened. ``mean_score`` is of what the scorer measures, null where it knows right and wrong
    only: of BioASQ's factoids the mean reciprocal rank, of its lists the mean F1."""

    value: str
    exact_match: Proportion
    mean_score: Mean | None = None


@dataclass(frozen=True)
class Slice:
    """Exact match by the values of ``name``; numbers first, in rising order.

    ``name`` is an item of task metadata, ``tool`` (called in the attempt), ``source`` (of documents
    that the attempt was shown) or ``stop reason``. An attempt may call several tools.
    """

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

    ``exact_match`` and ``answer_rate`` are of scored attempts, ``unscored`` counts the others.
    ``tool_calls``, ``output_tokens`` and ``seconds`` are means over all attempts with a trajectory,
    ``usd`` over those of known cost, ``total_usd`` their sum. ``stop_reasons`` counts how attempts
    ended. ``pass_at_k`` and ``majority`` (how often the most frequent answer to a task is right)
    are empty where each task was attempted once. ``value`` is the mean of what the scorer measures,
    null where it knows right and wrong only.
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
    attempts: int = 0
    majority: float | None = None
    value: Mean | None = None
    seconds: float | None = None
    usd: float | None = None
    total_usd: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Two models on the same tasks; ``test.b`` counts tasks that only ``first`` got right, by the
    first attempt. ``difference`` is what ``second`` has more, by all attempts."""

    first: str
    second: str
    test: PairedTest
    difference: PairedDifference | None = None


@dataclass(frozen=True)
class BenchmarkFigures:
    """All figures of one benchmark by one scorer. ``models`` are in the order in which they were
    asked for; ``comparisons`` are of every two. ``confidence`` is that of all intervals. ``judge``
    is the model that decided, "" where none did."""

    benchmark: str
    title: str
    tasks: int
    confidence: float
    models: tuple[ModelFigures, ...]
    comparisons: tuple[Comparison, ...]
    scorer: str = ""
    judge: str = ""


class DescribedBenchmark(Protocol):
    """What figures need of a benchmark."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def slices(self) -> tuple[str, ...]: ...


def compute_figures(
    benchmark: DescribedBenchmark,
    tasks: Sequence[Task],
    answers: Sequence[JudgedAnswer],
    models: Sequence[str],
    confidence: float,
    scorer: str = "",
    judge: str = "",
) -> BenchmarkFigures:
    """The figures of one benchmark from its answers as one scorer judged them."""
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
        comparisons=tuple(
            compare_answers(
                first, answers_by_model[first], second, answers_by_model[second], confidence
            )
            for first, second in _list_pairs(models)
        ),
        scorer=scorer,
        judge=judge,
    )


def compare_answers(
    first: str,
    first_answers: Sequence[JudgedAnswer],
    second: str,
    second_answers: Sequence[JudgedAnswer],
    confidence: float,
) -> Comparison:
    """Two models on the tasks that both were scored on, by task id."""
    test = compare_outcomes(_collect_first(first_answers), _collect_first(second_answers))
    difference = paired_difference(
        _collect_outcomes(first_answers), _collect_outcomes(second_answers), confidence
    )
    return Comparison(first, second, test, difference)


def write_figures(directory: Directory, figures: Sequence[BenchmarkFigures]) -> None:
    """Keep the figures of all benchmarks in the evaluation's directory."""
    rows = [asdict(benchmark_figures) for benchmark_figures in figures]
    directory.write_json(EVALUATION_FIGURES.name, rows)


def read_figures(directory: Directory) -> tuple[BenchmarkFigures, ...]:
    """What ``write_figures`` wrote."""
    rows = directory.read_json(EVALUATION_FIGURES.name)
    return tuple(from_row(BenchmarkFigures, row) for row in rows)


def _list_pairs(models: Sequence[str]) -> list[tuple[str, str]]:
    """Every two models: neighbours first, because weights are configured in training order, and
    each stage of training is compared with the one before it."""
    pairs = list(combinations(range(len(models)), 2))
    pairs.sort(key=lambda pair: pair[1] - pair[0])
    return [(models[first], models[second]) for first, second in pairs]


def _compute_model_figures(
    model: str,
    answers: Sequence[JudgedAnswer],
    tasks: Sequence[Task],
    slices: Sequence[str],
    confidence: float,
) -> ModelFigures:
    outcomes = _collect_outcomes(answers)
    scored = [answer for answer in answers if answer.is_scored]
    trajectories = [answer.trajectory for answer in answers if answer.trajectory is not None]
    costs = [trajectory.cost for trajectory in trajectories if trajectory.cost is not None]
    with_trajectory = [answer.result for answer in answers if answer.trajectory is not None]
    stop_reasons = Counter(answer.result.stop_reason for answer in answers)
    return ModelFigures(
        model=model,
        exact_match=share_interval(outcomes, confidence),
        answer_rate=_mean_or_none([answer.result.prediction is not None for answer in scored]),
        unscored=len(answers) - len(scored),
        # An attempt that infrastructure failed has no trajectory and so no number of calls, but it
        # counts with 0 tokens.
        tool_calls=_mean_or_none([len(trajectory.tool_events) for trajectory in trajectories]),
        output_tokens=_mean_or_none([answer.result.usage.output_tokens for answer in answers]),
        stop_reasons=dict(sorted(stop_reasons.items())),
        slices=tuple(_compute_slices(answers, tasks, slices, confidence)),
        pass_at_k=_compute_pass_at_k(outcomes),
        attempts=len(answers),
        majority=_compute_majority(scored),
        value=_compute_value(scored, confidence),
        seconds=_mean_or_none([result.seconds for result in with_trajectory]),
        usd=_mean_or_none(costs),
        total_usd=sum(costs) if costs else None,
    )


def _collect_outcomes(answers: Iterable[JudgedAnswer]) -> dict[str, list[bool]]:
    """Whether each scored attempt was right, by task."""
    outcomes: dict[str, list[bool]] = {}
    for answer in answers:
        if answer.is_scored:
            outcomes.setdefault(answer.result.task_id, []).append(answer.is_correct)
    return outcomes


def _collect_first(answers: Iterable[JudgedAnswer]) -> dict[str, bool]:
    """Whether each task was answered right, of those whose first attempt was scored."""
    return {
        answer.result.task_id: answer.is_correct
        for answer in answers
        if answer.is_scored and answer.result.rollout == 0
    }


def _compute_slices(
    answers: Sequence[JudgedAnswer],
    tasks: Sequence[Task],
    names: Sequence[str],
    confidence: float,
) -> Iterable[Slice]:
    """The slices by task metadata, then those by what happened in the attempts."""
    tasks_by_id = {task.task_id: task for task in tasks}

    def read_metadata(name: str) -> Callable[[JudgedAnswer], Iterable[str]]:
        def read_value(answer: JudgedAnswer) -> Iterable[str]:
            value = tasks_by_id[answer.result.task_id].metadata_value(name)
            # A task without the item is in no part, so the parts need not add up to the whole.
            return () if value is None else (value,)

        return read_value

    for name in names:
        yield _compute_slice(name, answers, read_metadata(name), confidence)
    # Without a single call these say nothing.
    if any(answer.trajectory and answer.trajectory.tool_events for answer in answers):
        yield _compute_slice(TOOL_SLICE, answers, _list_tools, confidence)
        yield _compute_slice(SOURCE_SLICE, answers, _list_sources, confidence)
    if answers:
        yield _compute_slice(STOP_SLICE, answers, _list_stop_reason, confidence)


def _compute_slice(
    name: str,
    answers: Sequence[JudgedAnswer],
    list_values: Callable[[JudgedAnswer], Iterable[str]],
    confidence: float,
) -> Slice:
    answers_by_value: dict[str, list[JudgedAnswer]] = {}
    for answer in answers:
        for value in list_values(answer):
            answers_by_value.setdefault(value, []).append(answer)
    parts = [
        _compute_slice_part(value, answers_by_value[value], confidence)
        for value in sorted(answers_by_value, key=slice_value_sort_key)
    ]
    return Slice(name, tuple(parts))


def _compute_slice_part(
    value: str, answers: Sequence[JudgedAnswer], confidence: float
) -> SlicePart:
    scored = [answer for answer in answers if answer.is_scored]
    exact_match = share_interval(_collect_outcomes(answers), confidence)
    return SlicePart(value, exact_match, _compute_value(scored, confidence))


def _list_tools(answer: JudgedAnswer) -> Iterable[str]:
    if answer.trajectory is None:
        return ()
    return {event.tool for event in answer.trajectory.tool_events} or {NOTHING}


def _list_sources(answer: JudgedAnswer) -> Iterable[str]:
    """The sources of the documents that were shown: what their ids begin with."""
    if answer.trajectory is None:
        return ()
    return {document.partition(":")[0] for document in answer.trajectory.documents} or {NOTHING}


def _list_stop_reason(answer: JudgedAnswer) -> Iterable[str]:
    return (answer.result.stop_reason,)


def slice_value_sort_key(value: str) -> tuple[bool, int, str]:
    """A sort key: numbers first, by size, then words."""
    if value.isdecimal():
        # False sorts first. Both tuples have the same types at each place, so that any two compare.
        return (False, int(value), "")
    return (True, 0, value)


def _compute_pass_at_k(outcomes: Mapping[str, Sequence[bool]]) -> tuple[PassAtK, ...]:
    """pass@1 to pass@k, k being the largest number of scored attempts at one task."""
    # Unscored attempts count as not made, so tasks differ in how many they have. A large k is
    # therefore averaged over fewer tasks than a small one.
    largest = max((len(attempts) for attempts in outcomes.values()), default=0)
    if largest <= 1:
        return ()
    return tuple(PassAtK(k, mean_pass_at_k(outcomes, k)) for k in range(1, largest + 1))


def _compute_majority(scored: Sequence[JudgedAnswer]) -> float | None:
    """The mean over tasks of how right the most frequent answer is; None where no task has several
    attempts."""
    votes: dict[str, list[tuple[str, bool]]] = {}
    for answer in scored:
        task_votes = votes.setdefault(answer.result.task_id, [])
        # Where no answer was given, nobody votes, and a task without votes is not right.
        if answer.result.prediction is not None:
            text = answer.extracted or answer.result.prediction
            task_votes.append((" ".join(text.casefold().split()), answer.is_correct))
    if len(scored) <= len(votes):
        return None
    return _mean_or_none([majority_share(task_votes) for task_votes in votes.values()])


def _compute_value(scored: Sequence[JudgedAnswer], confidence: float) -> Mean | None:
    values: dict[str, list[float]] = {}
    for answer in scored:
        if answer.value is not None:
            values.setdefault(answer.result.task_id, []).append(answer.value)
    if all(value in (0, 1) for measured in values.values() for value in measured):
        return None
    return mean_interval(values, confidence)


def _mean_or_none(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
