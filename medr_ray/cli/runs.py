"""``medr runs``: the runs of a root with their results, and the removal of results not in use."""

from typing import TYPE_CHECKING, Annotated

import typer

from medr_ray.cli.options import OptionalConfigFile, Overrides, resolve_config

if TYPE_CHECKING:
    from medr_ray.core.run import RunDirectory

app = typer.Typer(help="Runs and the results they keep.", no_args_is_help=True)


@app.command("list")
def list_runs(config: OptionalConfigFile = None, overrides: Overrides = None) -> None:
    """List the runs under ``run.root``: their stages, and the earlier results that they keep."""
    from rich.console import Console

    from medr_ray.core.run import Directory, RunDirectory

    root = Directory(resolve_config(config, overrides).run.root)
    console = Console()
    for name in root.list_folders():
        run = RunDirectory(f"{root.uri.rstrip('/')}/{name}")
        lines = _describe_run(run)
        if lines:
            console.print(name, style="bold", highlight=False, markup=False)
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


@app.command("prune")
def prune(
    config: OptionalConfigFile = None,
    overrides: Overrides = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it they are listed.")] = False,
) -> None:
    """Delete the earlier results of the configured run; those in use stay."""
    from medr_ray.core.earlier_results import delete_earlier_results, list_earlier_results
    from medr_ray.core.lock import run_lock
    from medr_ray.core.run import open_run

    run = open_run(resolve_config(config, overrides))
    if not list_earlier_results(run):
        typer.echo(f"{run.uri} keeps no earlier results")
        return
    # The run must not be taking any of them back meanwhile.
    with run_lock(run):
        for results in list_earlier_results(run):
            left = delete_earlier_results(results) if yes else []
            verb = "deleted" if yes else "would delete"
            typer.echo(f"{verb} {results.directory.uri}, {_format_size(results.size)}")
            if left:
                typer.echo(f"left there, as no stage has written them: {', '.join(left)}")
    if not yes:
        typer.echo("nothing was deleted: --yes deletes them")


def _describe_run(run: "RunDirectory") -> list[str]:
    """A line for each stage with results, and one for each of the earlier ones; none for a folder
    that is not a run's."""
    from medr_ray.core.earlier_results import list_earlier_results
    from medr_ray.core.stages import STAGES

    lines = []
    for stage in STAGES:
        directory = run.stage(stage)
        fingerprint = directory.fingerprint()
        if not fingerprint:
            continue
        damage = directory.find_damage()
        state = f"damaged: {damage}" if damage else "unfinished"
        manifest = None if damage else directory.manifest()
        if manifest is not None:
            state = f"finished in {manifest.get('seconds', 0):,.0f} s"
        size = _format_size(sum(directory.list_sizes().values()))
        lines.append(f"{stage:<13} {fingerprint[:12]}  {size:>10}  {state}")
    for results in list_earlier_results(run):
        state = "finished" if results.is_finished else "unfinished"
        name = results.directory.uri.rsplit("/", 1)[-1]
        lines.append(
            f"{results.stage:<13} {name}  {_format_size(results.size):>10}  earlier, {state}"
        )
    return lines


def _format_size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
