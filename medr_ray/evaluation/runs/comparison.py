"""Any two runs against each other, on the tasks that both were asked."""

from collections.abc import Iterator
from dataclasses import dataclass

from medr_ray.core.errors import DataError
from medr_ray.evaluation.figures import Comparison, JudgedAnswer, compare_answers
from medr_ray.evaluation.runs.records import ScorerRecord
from medr_ray.evaluation.runs.store import EvaluationRun
from medr_ray.evaluation.statistics import Proportion, share_interval


@dataclass(frozen=True)
class RunComparison:
    """Two respondents of two runs on the tasks of a benchmark that both were scored on.

    ``scorer`` is the first run's. ``same_scorer`` is false where other code, another judge or
    another prompt decided in the second: the difference may then be theirs.
    """

    benchmark: str
    scorer: str
    same_scorer: bool
    comparison: Comparison
    first_share: Proportion
    second_share: Proportion


def compare_runs(
    first: EvaluationRun, second: EvaluationRun, scorer: str = "", confidence: float = 0.95
) -> Iterator[RunComparison]:
    """Every respondent of the first run against every one of the second, benchmark by benchmark.

    ``scorer`` names the scorer, "" the first that both have. Raises DataError where the runs have
    no benchmark in common, or one was not scored.
    """
    benchmarks = [benchmark.name for benchmark in first.plan.benchmarks]
    second_names = {benchmark.name for benchmark in second.plan.benchmarks}
    shared = [name for name in benchmarks if name in second_names]
    if not shared:
        raise DataError(
            f"{first.directory.uri} and {second.directory.uri} have no benchmark in common: "
            f"{', '.join(benchmarks)} and {', '.join(sorted(second_names))}"
        )
    for name in shared:
        scorers = _choose_scorers(first, second, name, scorer)
        first_by_name = _group_answers(first, name, scorers[0].identity)
        second_by_name = _group_answers(second, name, scorers[1].identity)
        for first_name, first_answers in first_by_name.items():
            for second_name, second_answers in second_by_name.items():
                if first.directory.uri == second.directory.uri and first_name == second_name:
                    continue
                labels = _label(first_name, second_name)
                yield RunComparison(
                    name,
                    scorers[0].name,
                    scorers[0].identity == scorers[1].identity,
                    compare_answers(
                        labels[0], first_answers, labels[1], second_answers, confidence
                    ),
                    _share(first_answers, second_answers, confidence),
                    _share(second_answers, first_answers, confidence),
                )


def _choose_scorers(
    first: EvaluationRun, second: EvaluationRun, benchmark: str, name: str
) -> tuple[ScorerRecord, ScorerRecord]:
    """The scorer of each run: the same in both where there is such a one."""
    own = [row for row in first.scorers.get(benchmark, ()) if name in ("", row.name)]
    others = [row for row in second.scorers.get(benchmark, ()) if name in ("", row.name)]
    for row in own:
        for other in others:
            if row.identity == other.identity:
                return row, other
    for row in own:
        for other in others:
            if row.name == other.name:
                return row, other
    scored = [
        f"{run.directory.uri}: {', '.join(row.name for row in run.scorers.get(benchmark, ()))}"
        for run in (first, second)
    ]
    raise DataError(
        f"{benchmark}: no scorer {name or 'in common'} ({'; '.join(scored)}): `medr evaluate "
        "score` scores a run"
    )


def _group_answers(
    run: EvaluationRun, benchmark: str, scorer: str
) -> dict[str, list[JudgedAnswer]]:
    groups: dict[str, list[JudgedAnswer]] = {
        respondent.name: [] for respondent in run.plan.respondents
    }
    for answer in run.judged_answers(benchmark, scorer):
        groups[answer.result.model].append(answer)
    return groups


def _label(first: str, second: str) -> tuple[str, str]:
    """Names that tell the two apart."""
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _share(
    answers: list[JudgedAnswer], others: list[JudgedAnswer], confidence: float
) -> Proportion:
    """The share of right answers to the tasks that the other was scored on too."""
    shared = {answer.result.task_id for answer in others if answer.is_scored}
    outcomes: dict[str, list[bool]] = {}
    for answer in answers:
        if answer.is_scored and answer.result.task_id in shared:
            outcomes.setdefault(answer.result.task_id, []).append(answer.is_correct)
    return share_interval(outcomes, confidence)
