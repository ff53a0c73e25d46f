"""Writes a report as ``report.json``, ``report.md`` and ``report.html``, and prints it."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.report.answers import collect_answers
from medr_ray.evaluation.report.blocks import Block, build_blocks
from medr_ray.evaluation.report.collect import collect_report
from medr_ray.evaluation.report.curves import build_curves, draw_curves
from medr_ray.evaluation.report.json_layout import build_report_json
from medr_ray.evaluation.report.page import build_run_page, write_page
from medr_ray.evaluation.report.records import Report

JSON_FILE = "report.json"
MARKDOWN_FILE = "report.md"
CURVES_FILE = "learning.svg"  # where a stage of training has finished
_PAGE = "report"  # the name of the page for browsers, without its ending


def write_report(config: PipelineConfig, run: RunDirectory) -> Report:
    """Write the files at the run's top level and return the report. Raises DataError when no stage
    is finished."""
    report = collect_report(config, run)
    if not report.stages:
        raise DataError(f"{run.uri}: no finished stage to report on; run `medr run` first")
    run.write_json(JSON_FILE, build_report_json(report))
    run.write_bytes(MARKDOWN_FILE, render_markdown(report).encode())
    curves = build_curves(report)
    if curves:
        run.write_bytes(CURVES_FILE, draw_curves(curves))
    write_page(run, _PAGE, build_run_page(report, collect_answers(run)))
    return report


def print_report(report: Report, console: Console) -> None:
    """Print a report that ``write_report`` wrote, and where its files are."""
    console.rule(f"[bold]{escape(report.run)}")
    print_blocks(build_blocks(report), console)
    directory = report.directory
    files = (f"{_PAGE}.html", MARKDOWN_FILE, JSON_FILE)
    console.print(", ".join(f"{directory}/{file}" for file in files), highlight=False)


def print_blocks(blocks: Iterable[Block], console: Console) -> None:
    """Print tables and paragraphs."""
    for block in blocks:
        _print_block(block, console)


def _print_block(block: Block, console: Console) -> None:
    console.print(f"\n[bold]{escape(block.title)}", highlight=False)
    if block.rows:
        table = Table(show_edge=False, pad_edge=False, box=SIMPLE_HEAD)
        for index, column in enumerate(block.columns):
            is_left = index == 0 or _contains_words(block, index)
            table.add_column(column, justify="left" if is_left else "right")
        for row in block.rows:
            # Answers may hold square brackets, which rich would read as markup.
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
    for note in block.notes:
        console.print(escape(note), highlight=False)


def _contains_words(block: Block, index: int) -> bool:
    """Whether a column holds words: numbers are aligned to the right."""
    first_characters = [row[index][:1] for row in block.rows]
    return any(
        not character.isdigit() and character not in ("-", "") for character in first_characters
    )


def render_markdown(report: Report) -> str:
    """The report as Markdown, which shows the curves of training from the file beside it."""
    text = render_blocks(report.run, build_blocks(report))
    if build_curves(report):
        text += f"\n![Curves of training]({CURVES_FILE})\n"
    return text


def render_blocks(title: str, blocks: Iterable[Block]) -> str:
    """Tables and paragraphs as Markdown."""
    parts = [f"# {_escape_inline(title)}"]
    for block in blocks:
        parts.append(f"## {_escape_inline(block.title)}")
        if block.rows:
            parts.append(_render_table(block.columns, block.rows))
        parts += [_escape_inline(note) for note in block.notes]
    return "\n\n".join(parts) + "\n"


def _render_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(_render_row(line) for line in lines)


def _render_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape_inline(cell) for cell in cells) + " |"


def _escape_inline(text: str) -> str:
    """Text that cannot break out of its line or cell."""
    # White space first: a line break would end the row. Answers are written by a model, so HTML in
    # them must not be read as HTML either.
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
