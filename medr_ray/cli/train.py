"""``medr train plan``: what training will take, before it starts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medr_ray.cli.options import Overrides, resolve_config
from medr_ray.cli.showing import print_json

if TYPE_CHECKING:
    from medr_ray.core.config import PipelineConfig
    from medr_ray.training.planner.plan import TrainingPlan

app = typer.Typer(name="train", help="What training takes, before it starts.", no_args_is_help=True)

ConfigFiles = Annotated[
    list[Path],
    typer.Option("-c", "--config", help="YAML file; may be repeated with --table."),
]


@app.callback()
def _group() -> None:
    # With a single command and no callback, typer would drop the group's name.
    pass


@app.command("plan")
def plan(
    config: ConfigFiles,
    overrides: Overrides = None,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", help="Type of GPU, such as h200 or a100-80; default: ray.gpu."),
    ] = None,
    model_config: Annotated[
        Path | None,
        typer.Option(
            "--model-config", help="config.json of the model, where models.policy is not here."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line a stage.")] = False,
    as_table: Annotated[
        bool, typer.Option("--table", help="Print a Markdown table, a row a stage.")
    ] = False,
) -> None:
    """Print what SFT and GRPO will take: bytes a GPU and a host by part, GPUs, disk, steps, tokens,
    hours, and the longest dialogue that fits.

    Nothing is loaded or started. Exit 1 where something does not fit; the plan then says which
    setting to change to which value.
    """
    # Imported here, because the planner's rooms are slow to import.
    from medr_ray.training.planner.report import (
        TABLE_HEAD,
        describe_plan,
        format_table_rows,
        plan_to_json,
    )

    if as_table:
        for line in TABLE_HEAD:
            typer.echo(line)
    has_problems = False
    for file in config:
        plans = _make_plans(resolve_config(file, overrides), gpu, model_config)
        has_problems |= any(stage_plan.problems for stage_plan in plans)
        if as_table:
            for row in format_table_rows(f"`{file}`", plans):
                typer.echo(row)
        for stage_plan in () if as_table else plans:
            if as_json:
                print_json(plan_to_json(stage_plan))
                continue
            for line in describe_plan(stage_plan):
                typer.echo(line)
            typer.echo("")
    if has_problems:
        raise typer.Exit(1)


def _make_plans(
    config: "PipelineConfig", gpu: str | None, model_config: Path | None
) -> "list[TrainingPlan]":
    """The plans of both training stages. Raises ConfigError for an unknown type of GPU."""
    from medr_ray.core.config.names import check_known
    from medr_ray.core.errors import ConfigError
    from medr_ray.core.run import open_run
    from medr_ray.training.planner.gpus import GPUS
    from medr_ray.training.planner.plan import plan_training

    if gpu is not None:
        try:
            check_known(gpu, GPUS, "type of GPU")
        except ValueError as error:
            raise ConfigError(f"--gpu: {error}") from None
    run = open_run(config)
    return [plan_training(stage, config, run, gpu, model_config) for stage in ("sft", "grpo")]
