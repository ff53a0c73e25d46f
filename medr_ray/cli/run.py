"""``medr run``: the whole pipeline, or a part of it."""

from typing import Annotated

import typer

from medr_ray.cli.options import ConfigFile, Consent, DryRun, Overrides, ask_consent, resolve_config


def run(
    config: ConfigFile,
    from_stage: Annotated[
        str | None,
        typer.Option("--from", metavar="STAGE", help="Make this stage and all later ones anew."),
    ] = None,
    until_stage: Annotated[
        str | None, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")
    ] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare the content of finished files first.")
    ] = False,
    yes: Consent = False,
) -> None:
    """Run the pipeline: skip finished stages, resume killed ones, print the report.

    Example: medr run -c configs/quickstart.yaml --until graph --set graph.max_seeds=20
    """
    from medr_ray.pipeline import run_pipeline

    run_pipeline(
        resolve_config(config, overrides),
        from_stage,
        until_stage,
        dry_run,
        verify=verify,
        confirm=ask_consent(yes),
    )
