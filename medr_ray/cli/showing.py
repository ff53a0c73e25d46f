"""Shared by every ``medr STAGE show``: prints the stage's counts and rows, or one item of it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from medr_ray.cli.options import resolve_config

if TYPE_CHECKING:
    from rich.console import Console

    from medr_ray.core.run import RunDirectory, StageDirectory

# Stages whose command group has another name.
_COMMAND_NAMES = {"evaluation": "evaluate"}


def command_name(stage: str) -> str:
    """Return the name of the stage's command group."""
    return _COMMAND_NAMES.get(stage, stage)


def show_stage_or_item(
    stage: str,
    config: Path,
    overrides: list[str] | None,
    rows: int,
    item: str | None,
    show_item: "Callable[[RunDirectory, str], None]",
    json_error: str = "",
    read_more_counts: "Callable[[RunDirectory], Mapping[str, Any]] | None" = None,
) -> None:
    """Print ``item`` of the stage's results with ``show_item``, or the stage itself when no item is
    given (see ``show_stage``).

    A ``json_error`` says that ``--json`` was given without an item, and is then the usage error.
    """
    from medr_ray.core.run import open_run

    if item is not None:
        show_item(open_run(resolve_config(config, overrides)), item)
        return
    if json_error:
        raise typer.BadParameter(json_error)
    show_stage(stage, config, overrides, rows, read_more_counts)


def show_stage(
    stage: str,
    config: Path,
    overrides: list[str] | None,
    rows: int,
    read_more_counts: "Callable[[RunDirectory], Mapping[str, Any]] | None" = None,
) -> None:
    """Print the stage's counts and ``rows`` of its rows.

    ``read_more_counts`` gives counts that the manifest lacks, or that take the place of its own.
    Raises DataError when the stage is not finished.
    """
    from rich.console import Console

    from medr_ray.cli.previews import PREVIEWS, read_preview
    from medr_ray.core.run import open_run

    run = open_run(resolve_config(config, overrides))
    directory = run.stage(stage)
    console = Console()
    manifest = read_finished_manifest(directory, stage)
    more_counts = read_more_counts(run) if read_more_counts else {}
    counts = {**manifest["counts"], **more_counts}
    _print_counts(console, stage, {**manifest, "counts": counts})
    if stage in PREVIEWS:
        _print_rows(console, read_preview(directory, PREVIEWS[stage], rows))


def print_or_write_card(text: str, output: Path | None) -> None:
    """Print the card of a data set, or write it to a file where one is given."""
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def read_finished_manifest(directory: "StageDirectory", stage: str) -> dict[str, Any]:
    """Return the stage's manifest.

    Raises DataError, with the command to run, when the stage is not finished.
    """
    from medr_ray.core.errors import DataError

    manifest = directory.manifest()
    if manifest is None:
        command = f"medr {command_name(stage)} run"
        raise DataError(f"{directory.uri} has no finished results: run `{command}`")
    return manifest


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line of standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def _print_counts(console: "Console", stage: str, manifest: dict[str, Any]) -> None:
    console.print(f"[bold]{stage}[/bold] in {manifest['seconds']:,.1f} s", highlight=False)
    for name, value in manifest["counts"].items():
        label = name.replace("_", " ")
        console.print(f"  {label:<28} {_format_count(value)}", highlight=False, markup=False)


def _format_count(value: Any) -> str:
    # ``bool`` is a subclass of ``int``; it is printed as True or False.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_number else str(value)


def _print_rows(console: "Console", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_format_cell(value) for value in row.values()))
    console.print(table, markup=False)


def _format_cell(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)
