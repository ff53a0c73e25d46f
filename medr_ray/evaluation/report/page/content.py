"""What a report page shows, as the plain values that its scripts draw."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from medr_ray.core.records import Task
from medr_ray.evaluation.report.answers import ReportedAnswer
from medr_ray.evaluation.report.blocks import (
    Block,
    build_figure_blocks,
    build_question_block,
    name_figures,
)
from medr_ray.evaluation.report.curves import Curve, build_curves
from medr_ray.evaluation.report.document_sources import list_source_names
from medr_ray.evaluation.report.records import BenchmarkReport, Report


@dataclass(frozen=True)
class Headline:
    """The shares of right answers on a benchmark with their intervals, and what they mean.
    ``models`` have name, value, low, high, n and unscored each."""

    title: str
    confidence: float
    models: tuple[Mapping[str, Any], ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class PageContent:
    """A page. ``notes`` stand at its end."""

    title: str
    headlines: tuple[Headline, ...]
    curves: tuple[Curve, ...]
    tables: tuple[Block, ...]
    answers: tuple[ReportedAnswer, ...]
    notes: tuple[str, ...]


def build_run_page(report: Report, answers: Sequence[ReportedAnswer]) -> PageContent:
    """The page of a run of the pipeline."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    tables = tuple(_drop_conclusions(block, report) for block in build_figure_blocks(report))
    notes = (f"Run {report.directory}.", f"Made with {versions}." if versions else "")
    return PageContent(
        title=report.run,
        headlines=tuple(build_headline(benchmark) for benchmark in report.benchmarks),
        curves=tuple(build_curves(report)),
        tables=(*tables, build_question_block(answers)) if answers else tables,
        answers=tuple(answers),
        notes=tuple(filter(None, notes)),
    )


def _drop_conclusions(block: Block, report: Report) -> Block:
    """The block without what the headline says already."""
    conclusions = {text for benchmark in report.benchmarks for text in benchmark.conclusions}
    return replace(block, notes=tuple(note for note in block.notes if note not in conclusions))


def build_headline(benchmark: BenchmarkReport, prefix: str = "") -> Headline:
    """The headline of a benchmark. ``prefix`` stands before its title."""
    figures = benchmark.figures
    models = tuple(
        {
            "name": model.model,
            "value": model.exact_match.value,
            "low": model.exact_match.low,
            "high": model.exact_match.high,
            "n": model.exact_match.n,
            "unscored": model.unscored,
        }
        for model in figures.models
    )
    meaning = (
        f"A dot is the share of right answers to {figures.tasks} questions, its bar what so many "
        "questions leave open. Whether two models differ is said by the paired test, not by their "
        "bars."
    )
    title = figures.title
    if figures.scorer:
        title = name_figures(figures)
    return Headline(
        f"{prefix}{title}", figures.confidence, models, (*benchmark.conclusions, meaning)
    )


def build_page_values(content: PageContent) -> dict[str, Any]:
    """The page as plain values, but for the trajectories: an answer has the number of its own."""
    tasks: dict[tuple[str, str], int] = {}
    task_rows: list[dict[str, Any]] = []
    answer_rows: list[dict[str, Any]] = []
    trajectory_count = 0
    for answer in content.answers:
        key = (answer.benchmark, answer.task.task_id)
        if key not in tasks:
            tasks[key] = len(task_rows)
            task_rows.append(_build_task_row(answer.benchmark, answer.task))
        number = None
        if answer.trajectory is not None:
            number = trajectory_count
            trajectory_count += 1
        answer_rows.append(_build_answer_row(answer, tasks[key], number))
    return {
        "headlines": [asdict(headline) for headline in content.headlines],
        "curves": [_build_curve_row(curve) for curve in content.curves],
        "tables": [asdict(table) for table in content.tables],
        "tasks": task_rows,
        "answers": answer_rows,
    }


def _build_curve_row(curve: Curve) -> dict[str, Any]:
    return {
        "title": curve.title,
        "step": curve.step,
        "points": curve.points,
        "band": curve.band,
        "bandMeaning": curve.band_meaning,
    }


def _build_task_row(benchmark: str, task: Task) -> dict[str, Any]:
    return {
        "id": task.task_id,
        "benchmark": benchmark,
        "text": task.text,
        "language": task.language,
        "isSecret": task.is_secret,
        "answer": task.answer,
        "aliases": task.aliases,
        "hops": task.hops,
        "metadata": [(item.name, item.value) for item in task.metadata],
    }


def _build_answer_row(
    answer: ReportedAnswer, task_number: int, trajectory_number: int | None
) -> dict[str, Any]:
    trajectory = answer.trajectory
    events = trajectory.tool_events if trajectory is not None else ()
    documents = trajectory.documents if trajectory is not None else ()
    return {
        "run": answer.run,
        "task": task_number,
        "model": answer.model,
        "rollout": answer.rollout,
        "prediction": answer.prediction,
        "scores": [asdict(score) for score in answer.scores],
        "stop": answer.stop_reason,
        # Nothing is known of an episode that is withheld or never ended.
        "calls": len(events) if trajectory is not None else None,
        "tools": sorted({event.tool for event in events if event.tool}),
        "sources": list_source_names(documents),
        "tokens": answer.usage.output_tokens,
        "seconds": answer.seconds,
        "cost": answer.cost,
        "trajectory": trajectory_number,
    }
