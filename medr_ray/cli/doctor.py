"""``medr doctor``: what this machine has and lacks, each with how to mend it."""

import typer

from medr_ray.cli.options import OptionalConfigFile, Overrides, resolve

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(config: OptionalConfigFile = None, overrides: Overrides = None) -> None:
    """Check the environment for a configuration. Exit 1 when something must be mended first."""
    from rich.console import Console
    from rich.text import Text

    from medr_ray.cli.checks import examine

    console = Console()
    findings = examine(resolve(config, overrides))
    for one in findings:
        line = Text.assemble(
            (f"{one.status:<5}", _STYLES[one.status]), f"{one.subject:<18}", one.detail
        )
        console.print(line, soft_wrap=True)
        if one.status != "ok":
            console.print(Text(f"     -> {one.remedy}"), soft_wrap=True)
    if any(one.status == "fail" for one in findings):
        raise typer.Exit(1)
