"""``medr doctor``: checks this machine and says how to fix what is missing."""

import typer

from medr_ray.cli.options import OptionalConfigFile, Overrides, resolve_config

_STATUS_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(config: OptionalConfigFile = None, overrides: Overrides = None) -> None:
    """Check the environment for a configuration. Exit 1 when something must be mended first."""
    from rich.console import Console
    from rich.text import Text

    from medr_ray.cli.checks import run_checks

    console = Console()
    results = run_checks(resolve_config(config, overrides))
    for result in results:
        status = (f"{result.status:<5}", _STATUS_STYLES[result.status])
        console.print(Text.assemble(status, f"{result.subject:<18}", result.detail), soft_wrap=True)
        if result.status != "ok":
            console.print(Text(f"     -> {result.remedy}"), soft_wrap=True)
    if any(result.status == "fail" for result in results):
        raise typer.Exit(1)
