"""``medr``: the root of the command line and the one place where errors become exit codes.

A MedrError and an error of the system that a user can mend (a full disk, a missing right) are one
red line and exit 1, also when they come from a Ray worker. A usage error is exit 2, Ctrl-C is exit
130. Anything else is a defect and keeps its traceback; MEDR_TRACEBACK=1 keeps all.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import medr_ray
from medr_ray.cli import (
    ask,
    bench,
    config,
    doctor,
    models,
    registries,
    report,
    roles,
    run,
    runs,
    serve,
    stages,
    submit,
    trace,
    train,
)
from medr_ray.core.errors import explain_error, is_interruption

INTERRUPTED_EXIT_CODE = 130

app = typer.Typer(
    name="medr",
    help="Medical literature to a trained, served and measured research agent, on Ray.",
    no_args_is_help=True,
    # Typer's own tracebacks show local variables, which may hold keys.
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"medr {medr_ray.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


app.command("run")(run.run)
for _stage_group in stages.build_stage_groups():
    app.add_typer(_stage_group)
app.command("report")(report.report)
app.command("ask")(ask.ask)
app.command("trace")(trace.trace)
app.command("submit")(submit.submit)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.add_typer(config.app)
app.add_typer(models.app)
app.add_typer(registries.app)
app.add_typer(roles.app)
app.add_typer(train.app)
app.add_typer(serve.app, name="serve")
app.add_typer(runs.app, name="runs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``medr`` with ``arguments`` (default: the process's own) and exit with its status."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="medr")
    except Exception as error:
        explanation = explain_error(error)
        if explanation is None or os.environ.get("MEDR_TRACEBACK") == "1":
            raise
        if is_interruption(error):
            explanation += _describe_continuation(list(arguments or sys.argv[1:]))
        from rich.console import Console

        Console(stderr=True).print(
            # Paths and messages of others may hold brackets; a line break would split what is to be
            # copied.
            explanation,
            style="bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        sys.exit(1)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this status without a word.
        if ended.code == INTERRUPTED_EXIT_CODE:
            print(_describe_interruption(list(arguments or sys.argv[1:])), file=sys.stderr)
        raise


def _describe_interruption(arguments: Sequence[str]) -> str:
    """What is kept after Ctrl-C, and the command that goes on."""
    return f"\nstopped{_describe_continuation(arguments)}"


def _describe_continuation(arguments: Sequence[str]) -> str:
    """What is kept and how it goes on, "" for a command that is no part of the pipeline."""
    if "run" not in arguments and "generate" not in arguments:
        return ""
    command = shlex.join(["medr", *arguments])
    return f"; what is finished is kept, and the same command goes on: {command}"


if __name__ == "__main__":
    main()
