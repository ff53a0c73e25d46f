"""The report of a run: ``report.json`` with every figure, ``report.md`` and the terminal with the
same tables.

``write_report`` is called once the last stage has its manifest, so that its seconds are in the
report too.
"""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.collecting import collect
from medr_ray.evaluation.layout import Block, blocks

JSON, MARKDOWN = "report.json", "report.md"


def write_report(config: PipelineConfig, run: RunDirectory) -> dict[str, Any]:
    """Write both files at the run's top level and return the report. Raises DataError when no stage
    is finished."""
    report = collect(config, run)
    if not report["stages"]:
        raise DataError(f"{run.uri}: no finished stage to report on; run `medr run` first")
    run.write_json(JSON, report)
    run.write_bytes(MARKDOWN, markdown(report).encode())
    return report


def print_report(run: RunDirectory, console: Console) -> None:
    """Print the report that ``write_report`` wrote. Raises DataError when there is none."""
    if not run.exists(JSON):
        raise DataError(
            f"{run.uri} has no {JSON} yet: run `medr run`, or `medr report` after some stages"
        )
    report = run.read_json(JSON)
    console.rule(f"[bold]{escape(report['run'])}")
    for block in blocks(report):
        _print_block(block, console)
    console.print(f"{run.uri}/{MARKDOWN}, {run.uri}/{JSON}", highlight=False)


def _print_block(block: Block, console: Console) -> None:
    console.print(f"\n[bold]{escape(block.title)}", highlight=False)
    if block.rows:
        table = Table(show_edge=False, pad_edge=False, box=SIMPLE_HEAD)
        for index, column in enumerate(block.columns):
            table.add_column(
                column, justify="left" if index == 0 or _is_text(block, index) else "right"
            )
        for row in block.rows:
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
    for note in block.notes:
        console.print(escape(note), highlight=False)


def _is_text(block: Block, index: int) -> bool:
    """Whether a column holds words: numbers are aligned to the right."""
    return any(
        not row[index][:1].isdigit() and row[index][:1] not in ("-", "") for row in block.rows
    )


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    parts = [f"# {report['run']}"]
    for block in blocks(report):
        parts.append(f"## {_inline(block.title)}")
        if block.rows:
            parts.append(_markdown_table(block.columns, block.rows))
        parts += [_inline(note) for note in block.notes]
    return "\n\n".join(parts) + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_inline(cell) for cell in line) + " |" for line in lines)


def _inline(text: str) -> str:
    """Text that cannot break out of its line or cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
