"""The figures of judged answers: what counts, over how many attempts, and split by what."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.questions import make_question
from support.waiting_environment import trajectory_of

from medr_ray.core.records import EvaluationResult, ToolEvent, Usage, Verdict
from medr_ray.core.run import Directory
from medr_ray.evaluation.benchmarks.heldout import BENCHMARK as HELDOUT
from medr_ray.evaluation.figures import (
    JudgedAnswer,
    ModelFigures,
    Slice,
    compute_figures,
    read_figures,
    write_figures,
)
from medr_ray.evaluation.report.json_layout import build_evaluation_json
from medr_ray.rollouts.worker import RolloutRequest

TASKS = [make_question(number, hops=1 + number % 2).task for number in range(4)]


def judged(
    task: int,
    verdict: Verdict = "correct",
    *,
    model: str = "m",
    rollout: int = 0,
    said: str | None = "x",
    tools: tuple[str, ...] = (),
    documents: tuple[str, ...] = (),
    cost: float | None = None,
    value: float | None = None,
) -> JudgedAnswer:
    events = tuple(ToolEvent(tool, "{}", "ok", 0.1, False) for tool in tools)
    request = RolloutRequest(TASKS[task], model, rollout)
    trajectory = replace(
        trajectory_of(request), tool_events=events, documents=documents, cost=cost, answer=said
    )
    result = EvaluationResult(
        *("heldout", model, TASKS[task].task_id, rollout, said, verdict, "rules", "answered"),
        Usage(100, 50, 2),
        2.0,
    )
    return JudgedAnswer(result, trajectory, value=value)


def figures_of(*answers: JudgedAnswer) -> ModelFigures:
    (figures,) = compute_figures(HELDOUT, TASKS, answers, ["m"], 0.95).models
    return figures


def slice_of(figures: ModelFigures, name: str) -> dict[str, tuple[float | None, int]]:
    part_of: Slice = next(part for part in figures.slices if part.name == name)
    return {part.value: (part.exact_match.value, part.exact_match.n) for part in part_of.parts}


def test_unscored_answers_count_neither_for_nor_against() -> None:
    figures = figures_of(
        judged(0), judged(1, "incorrect", said=None), judged(2, "unscored"), judged(3, "unscored")
    )
    assert (figures.exact_match.value, figures.exact_match.n, figures.unscored) == (0.5, 2, 2)
    assert figures.answer_rate == 0.5


def test_every_repeat_counts_and_tasks_weigh_alike() -> None:
    figures = figures_of(
        *(judged(0, "correct", rollout=rollout) for rollout in range(3)),
        judged(1, "correct", rollout=0),
        judged(1, "incorrect", rollout=1),
        judged(1, "unscored", rollout=2),
        *(judged(2, "incorrect", rollout=rollout) for rollout in range(3)),
    )
    assert figures.exact_match.value == pytest.approx(0.5)
    assert (figures.exact_match.n, figures.exact_match.interval) == (3, "bootstrap")
    assert (figures.attempts, figures.unscored) == (9, 1)
    assert [(each.k, each.value) for each in figures.pass_at_k] == [
        (1, pytest.approx(0.5)),
        (2, pytest.approx(2 / 3)),
        (3, 0.5),
    ]
    assert figures.majority == pytest.approx((1 + 0.5 + 0) / 3)


def test_attempts_are_split_by_tool_source_and_how_they_ended() -> None:
    figures = figures_of(
        judged(0, "correct", tools=("search", "read", "search"), documents=("PMID:1", "HPO:2")),
        judged(1, "incorrect", tools=("search",), documents=("PMID:3",)),
        judged(2, "correct"),
    )
    assert slice_of(figures, "tool") == {"none": (1.0, 1), "read": (1.0, 1), "search": (0.5, 2)}
    assert slice_of(figures, "source") == {"HPO": (1.0, 1), "PMID": (0.5, 2), "none": (1.0, 1)}
    assert slice_of(figures, "stop reason") == {"answered": (pytest.approx(2 / 3), 3)}
    assert slice_of(figures, "hops") == {"1": (1.0, 2), "2": (0.0, 1)}


def test_costs_and_seconds_are_of_an_attempt_and_the_sum_of_all() -> None:
    figures = figures_of(judged(0, cost=0.5), judged(1, cost=0.25), judged(2))
    assert (figures.usd, figures.total_usd, figures.seconds) == (0.375, 0.75, 2.0)
    assert figures_of(judged(0)).total_usd is None


def test_a_measure_such_as_f1_has_its_own_mean() -> None:
    figures = figures_of(judged(0, value=1.0), judged(1, "incorrect", value=0.5))
    assert figures.value is not None
    assert (figures.value.value, figures.value.n) == (0.75, 2)
    assert figures_of(judged(0, value=1.0), judged(1, "incorrect", value=0.0)).value is None


def test_a_measure_has_a_mean_for_each_part_of_a_slice() -> None:
    # As of BioASQ: 1 / rank of a factoid beside right and wrong of yes or no.
    answers = (
        judged(0, value=1.0),
        judged(1, "incorrect", value=0.25),
        judged(2, "incorrect", value=0.0),
        judged(3, value=1.0),
    )
    figures = compute_figures(HELDOUT, TASKS, answers, ["m"], 0.95)
    (hops, *_) = figures.models[0].slices
    scores = {part.value: part.mean_score and part.mean_score.value for part in hops.parts}
    assert scores == {"1": None, "2": pytest.approx(0.625)}
    layout = build_evaluation_json([figures])["m"]["by_hops"]
    assert layout["2"]["mean_score"]["value"] == pytest.approx(0.625)
    assert "mean_score" not in layout["1"]


def test_every_two_models_are_compared_neighbours_first() -> None:
    models = ["base", "sft", "grpo"]
    answers = [
        judged(task, "correct" if task < right else "incorrect", model=model)
        for model, right in zip(models, (0, 1, 4), strict=True)
        for task in range(4)
    ]
    comparisons = compute_figures(HELDOUT, TASKS, answers, models, 0.95).comparisons
    assert [(each.first, each.second) for each in comparisons] == [
        ("base", "sft"),
        ("sft", "grpo"),
        ("base", "grpo"),
    ]
    whole = comparisons[2]
    assert (whole.test.b, whole.test.c, whole.test.p_value) == (0, 4, 0.125)
    assert whole.difference is not None
    assert (whole.difference.value, whole.difference.low, whole.difference.n) == (1.0, 1.0, 4)


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    figures = compute_figures(
        HELDOUT, TASKS, [judged(0, value=0.5), judged(0, rollout=1)], ["m", "n"], 0.9, "rules"
    )
    directory = Directory(str(tmp_path))
    write_figures(directory, [figures])
    assert read_figures(directory) == (figures,)
