"""The options that several commands share, and the configuration to which they resolve."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medr_ray.core.config import PipelineConfig

ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", help="YAML file, such as configs/quickstart.yaml.")
]
OptionalConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", help="YAML file; defaults without it.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Set one configuration key; may be repeated."),
]


def resolve_config(config: Path | None, overrides: list[str] | None) -> "PipelineConfig":
    """The configuration: the YAML file, overridden by the environment, overridden by ``--set``.
    Raises ConfigError."""
    from medr_ray.core.settings import load_config

    return load_config(config, overrides or ())
