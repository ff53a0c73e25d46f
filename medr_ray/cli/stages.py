"""One command group per stage, made by one mechanism: ``medr STAGE run``, ``medr STAGE show``, and
what ``FURTHER`` adds to a stage or puts in the place of one of the two."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli import corpus, entities, graph, questions, trajectories
from medr_ray.cli.options import ConfigFile, Overrides, resolve
from medr_ray.core.stages import STAGES

if TYPE_CHECKING:
    from rich.console import Console

FURTHER: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "corpus": {"download": corpus.download},
    "entities": {"show": entities.show},
    "graph": {"show": graph.show, "export": graph.export},
    "questions": {"generate": questions.generate, "show": questions.show},
    "trajectories": {
        "show": trajectories.show,
        "stats": trajectories.stats,
        "policy": trajectories.policy,
        "export": trajectories.export,
    },
}
_COMMAND_NAMES = {"evaluation": "evaluate"}


def groups() -> list[typer.Typer]:
    """A typer application for each stage, in pipeline order."""
    return [_group(stage, entry.summary) for stage, entry in STAGES.items()]


def _group(stage: str, summary: str) -> typer.Typer:
    group = typer.Typer(name=_COMMAND_NAMES.get(stage, stage), help=summary, no_args_is_help=True)
    commands = {"run": _runner(stage), "show": _shower(stage), **FURTHER.get(stage, {})}
    for name, command in commands.items():
        group.command(name)(command)
    return group


def _runner(stage: str) -> Callable[..., None]:
    def run(
        config: ConfigFile,
        overrides: Overrides = None,
        again: Annotated[
            bool, typer.Option("--again", help="Make this stage anew, and later ones too.")
        ] = False,
    ) -> None:
        from medr_ray.pipeline import run_pipeline

        run_pipeline(resolve(config, overrides), stage if again else None, stage)

    run.__doc__ = f"Run the {stage} stage, after whatever before it is not finished."
    return run


def _shower(stage: str) -> Callable[..., None]:
    def show(
        config: ConfigFile,
        overrides: Overrides = None,
        rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to show.")] = 5,
    ) -> None:
        show_stage(stage, config, overrides, rows)

    show.__doc__ = f"Show the {stage} stage's counts and a few of its rows."
    return show


def show_stage(stage: str, config: Path, overrides: list[str] | None, rows: int) -> None:
    """Print the stage's counts and ``rows`` of its rows. Raises DataError when it has no finished
    results."""
    from rich.console import Console

    from medr_ray.cli.previews import PREVIEWS, preview_rows
    from medr_ray.core.errors import DataError
    from medr_ray.core.run import run_directory

    directory = run_directory(resolve(config, overrides)).stage(stage)
    manifest = directory.manifest()
    if manifest is None:
        group = _COMMAND_NAMES.get(stage, stage)
        raise DataError(f"{directory.uri} has no finished results: run `medr {group} run`")
    console = Console()
    _print_counts(console, stage, manifest)
    if stage in PREVIEWS:
        _print_rows(console, preview_rows(directory, PREVIEWS[stage], rows))


def _print_counts(console: "Console", stage: str, manifest: dict[str, Any]) -> None:
    console.print(f"[bold]{stage}[/bold] in {manifest['seconds']:,.1f} s", highlight=False)
    for name, value in manifest["counts"].items():
        shown = (
            f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        )
        console.print(f"  {name.replace('_', ' '):<28} {shown}", highlight=False, markup=False)


def _print_rows(console: "Console", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            *("; ".join(value) if isinstance(value, list) else str(value) for value in row.values())
        )
    console.print(table, markup=False)
