"""The options that several commands share, and the configuration to which they resolve."""

import sys
from collections.abc import Callable
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

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would happen to each stage, what would stop it, and what models would "
        "use.",
    ),
]
Consent = Annotated[
    bool,
    typer.Option("--yes", help="Make trained weights and paid results anew without asking."),
]


def ask_consent(yes: bool) -> Callable[[str], bool]:
    """What asks whether to go on: nobody with ``--yes``, the user at a terminal; without either the
    answer is no."""

    def ask(question: str) -> bool:
        if yes:
            return True
        return sys.stdin.isatty() and typer.confirm(f"{question}\nGo on?")

    return ask


def resolve_config(config: Path | None, overrides: list[str] | None) -> "PipelineConfig":
    """The configuration: the YAML file, overridden by the environment, overridden by ``--set``.
    Raises ConfigError."""
    from medr_ray.core.settings import load_config

    return load_config(config, overrides or ())
