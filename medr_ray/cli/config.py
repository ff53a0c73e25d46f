"""``medr config``: what a configuration resolves to, and whether it is valid."""

import typer

from medr_ray.cli.options import ConfigFile, OptionalConfigFile, Overrides, resolve_config

app = typer.Typer(name="config", help="Show or validate a configuration.", no_args_is_help=True)


@app.command()
def show(config: OptionalConfigFile = None, overrides: Overrides = None) -> None:
    """Print the resolved configuration: file, then environment, then --set."""
    from medr_ray.core.settings import dump_yaml

    typer.echo(dump_yaml(resolve_config(config, overrides)), nl=False)


@app.command()
def validate(config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a configuration; exit 1 with the wrong key and its nearest known one."""
    resolve_config(config, overrides)
    typer.echo(f"{config}: valid")
