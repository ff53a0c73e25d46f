"""The report of evaluation runs of their own, without a pipeline around them.

One run or several: each has its tables, and the page for browsers shows the answers of all of them,
so that two runs stand side by side on one question.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from medr_ray.core.run import Directory
from medr_ray.evaluation.report.answers import ReportedAnswer, collect_evaluation_answers
from medr_ray.evaluation.report.blocks import Block, build_benchmark_blocks, build_question_block
from medr_ray.evaluation.report.conclusions import draw_conclusions
from medr_ray.evaluation.report.inspect_logs import LoggedModel, write_inspect_logs
from medr_ray.evaluation.report.json_layout import build_evaluation_json
from medr_ray.evaluation.report.output import print_blocks, render_blocks
from medr_ray.evaluation.report.page import PageContent, build_headline, write_page
from medr_ray.evaluation.report.records import BenchmarkReport
from medr_ray.evaluation.runs import EvaluationRun

JSON_FILE = "report.json"
MARKDOWN_FILE = "report.md"
PAGE = "report"  # the name of the page for browsers, without its ending


def print_evaluation(run: EvaluationRun, console: Console) -> None:
    """Print the tables of a run, those of every scorer."""
    print_blocks(_build_blocks(run), console)


def write_evaluation_report(run: EvaluationRun, directory: Directory) -> list[str]:
    """Write report.md, report.json and report.html of a run, and return their names."""
    title = name_runs([run])[0]
    directory.write_json(JSON_FILE, build_evaluation_report_json(run))
    directory.write_bytes(MARKDOWN_FILE, render_blocks(title, _build_blocks(run)).encode())
    write_evaluation_page([run], directory)
    return [f"{PAGE}.html", MARKDOWN_FILE, JSON_FILE]


def build_evaluation_report_json(run: EvaluationRun) -> dict[str, Any]:
    """The figures of a run as plain values, as report.json of the pipeline has them."""
    return {
        "directory": run.directory.uri,
        "respondents": [
            {"name": each.name, "endpoint": each.endpoint, "model": each.model}
            for each in run.plan.respondents
        ],
        "rollouts": run.plan.rollouts,
        "evaluation": build_evaluation_json(run.figures()),
    }


def write_evaluation_page(
    runs: Sequence[EvaluationRun], directory: Directory, name: str = PAGE
) -> None:
    """Write the page of runs as ``name``.html; its answers can be compared across the runs."""
    names = name_runs(runs)
    reports = [_build_benchmark_reports(run) for run in runs]
    is_alone = len(runs) == 1
    answers: list[ReportedAnswer] = []
    blocks: list[Block] = []
    headlines = []
    for run, run_name, benchmarks in zip(runs, names, reports, strict=True):
        answers += collect_evaluation_answers(run, "" if is_alone else run_name)
        prefix = "" if is_alone else f"{run_name}: "
        headlines += [build_headline(benchmark, prefix) for benchmark in benchmarks]
        for benchmark in benchmarks:
            blocks += build_benchmark_blocks(benchmark, prefix)
    blocks.append(build_question_block(answers))
    content = PageContent(
        title=" and ".join(names),
        headlines=tuple(headlines),
        curves=(),
        tables=tuple(blocks),
        answers=tuple(answers),
        notes=tuple(f"Evaluation {run.directory.uri}." for run in runs),
    )
    write_page(directory, name, content)


def export_inspect_logs(run: EvaluationRun, directory: Directory, created: datetime) -> list[str]:
    """Write a log of inspect_ai for each respondent and benchmark, and return their names."""
    answers = collect_evaluation_answers(run)
    figures = run.figures()
    logged = [
        LoggedModel(
            benchmark=benchmark.name,
            title=benchmark.title,
            model=respondent.name,
            endpoint=respondent.endpoint,
            sampling=respondent.sampling,
            rollouts=run.plan.rollouts,
            answers=[
                answer
                for answer in answers
                if (answer.benchmark, answer.model) == (benchmark.name, respondent.name)
            ],
            figures=[each for each in figures if each.benchmark == benchmark.name],
        )
        for benchmark in run.plan.benchmarks
        for respondent in run.plan.respondents
    ]
    return write_inspect_logs(directory, logged, created)


def name_runs(runs: Sequence[EvaluationRun]) -> list[str]:
    """The last folder of each run's address, or the whole address where two have the same."""
    addresses = [run.directory.uri.rstrip("/") for run in runs]
    names = [address.rpartition("/")[2] for address in addresses]
    return names if len(set(names)) == len(names) else addresses


def _build_benchmark_reports(run: EvaluationRun) -> list[BenchmarkReport]:
    return [
        BenchmarkReport(figures, tuple(draw_conclusions(figures)), ()) for figures in run.figures()
    ]


def _build_blocks(run: EvaluationRun) -> list[Block]:
    return [
        block
        for benchmark in _build_benchmark_reports(run)
        for block in build_benchmark_blocks(benchmark)
    ]
