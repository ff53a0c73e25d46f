"""``medr config``: what a configuration resolves to, and whether it is valid."""

from typing import Annotated

import typer

from medr_ray.cli.options import ConfigFile, OptionalConfigFile, Overrides, resolve_config

app = typer.Typer(name="config", help="Show or validate a configuration.", no_args_is_help=True)
Describe = Annotated[
    bool, typer.Option("--describe", help="One key at a time, with what it means.")
]


@app.command()
def show(
    config: OptionalConfigFile = None, overrides: Overrides = None, describe: Describe = False
) -> None:
    """Print the resolved configuration: file, then environment, then --set."""
    from medr_ray.core.settings import dump_yaml, list_settings

    resolved = resolve_config(config, overrides)
    if not describe:
        typer.echo(dump_yaml(resolved), nl=False)
        return
    for setting in list_settings(resolved):
        typer.echo(f"{setting.key} = {setting.value}")
        typer.echo(f"    {setting.description}")


@app.command()
def validate(config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a configuration; exit 1 with the wrong key and its nearest known one."""
    resolve_config(config, overrides)
    typer.echo(f"{config}: valid")
