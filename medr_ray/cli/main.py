"""``medr``: the root of the command line and the one place where errors become exit codes.

A MedrError is one red line and exit 1, a usage error exit 2, Ctrl-C exit 130; anything else is a
defect and keeps its traceback.
"""

import sys
from collections.abc import Sequence

import typer

from medr_ray.cli import bench, config, doctor, models, report, run, serve, stages, submit, trace
from medr_ray.core.errors import MedrError

INTERRUPTED_EXIT_CODE = 130

app = typer.Typer(
    name="medr",
    help="Medical literature to a trained, served and measured research agent, on Ray.",
    no_args_is_help=True,
    # Typer's own tracebacks show local variables, which may hold keys.
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
for _stage_group in stages.build_stage_groups():
    app.add_typer(_stage_group)
app.command("report")(report.report)
app.command("serve")(serve.serve)
app.command("trace")(trace.trace)
app.command("submit")(submit.submit)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.add_typer(config.app)
app.add_typer(models.app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``medr`` with ``arguments`` (default: the process's own) and exit with its status."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="medr")
    except MedrError as error:
        from rich.console import Console

        Console(stderr=True).print(
            # Paths and messages of others may hold brackets; a line break would split what is to be
            # copied.
            str(error),
            style="bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    main()
