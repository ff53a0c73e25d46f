"""``medr trajectories show [ID]``: the stage, or one dialogue; ``medr trajectories stats``: what
the accepted look like beside the paper's, and how many passed; ``medr trajectories policy``: which
tool they choose when, as a prior for agents; ``medr trajectories export``: them as other trainers
read them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve

if TYPE_CHECKING:
    from rich.console import Console

    from medr_ray.agent.tool_fitting import ChoiceFit
    from medr_ray.agent.tool_policy import ToolPolicy
    from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
    from medr_ray.core.run import RunDirectory
    from medr_ray.trajectories.export import Format

_RESPONSE = 600  # characters of a tool response on a terminal
_COLOURS = {"system": "dim", "user": "cyan", "assistant": "default"}


def show(
    config: ConfigFile,
    trajectory_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", show_default=False, help="A trajectory's id; without it, the stage."
        ),
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to show, without ID.")] = 5,
    whole: Annotated[
        bool, typer.Option("--whole", help="With ID: tool responses in full.")
    ] = False,
) -> None:
    """Show the trajectories stage's counts and a few of its rows; or one dialogue with its
    verdict."""
    if trajectory_id is None:
        from medr_ray.cli.stages import show_stage

        show_stage("trajectories", config, overrides, rows)
        return
    from rich.console import Console

    from medr_ray.core.run import run_directory

    print_dialogue(
        read_one(run_directory(resolve(config, overrides)), trajectory_id), whole, Console()
    )


def stats(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print what the accepted trajectories look like beside the paper's, and how many passed by
    kind."""
    from rich.console import Console

    from medr_ray.core.errors import DataError
    from medr_ray.core.run import run_directory

    stage = run_directory(resolve(config, overrides)).stage("trajectories")
    manifest = stage.manifest()
    if manifest is None:
        raise DataError(f"{stage.uri} has no finished results: run `medr trajectories run`")
    print_statistics(manifest["counts"], Console())


def policy(
    config: ConfigFile,
    overrides: Overrides = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="Where to save it (a path or URI), for agent.tool_policy."
        ),
    ] = None,
    l2: Annotated[float, typer.Option("--l2", min=0.0, help="Penalty on the weights.")] = 1.0,
) -> None:
    """Fit the choice between medical_search and search on the accepted trajectories; print its
    weights and how well it foretells the choices of questions it was not fitted on."""
    from rich.console import Console

    from medr_ray.agent.tool_features import choices_of
    from medr_ray.agent.tool_fitting import fit_tool_policy, held_out_fit
    from medr_ray.core.run import run_directory
    from medr_ray.tools.registry import open_tools

    settings = resolve(config, overrides)
    run = run_directory(settings)
    rarity = open_tools(settings, run.stage("index")).rarity
    choices = [choice for one in read_accepted(run) for choice in choices_of(one, rarity)]
    fitted = fit_tool_policy(choices, l2)
    print_policy(fitted, held_out_fit(choices, l2), Console())
    if output is not None:
        fitted.save(output)


def export(
    config: ConfigFile,
    overrides: Overrides = None,
    form: Annotated[
        str,
        typer.Option("--format", help="chat: messages with loss spans; sharegpt: conversations."),
    ] = "chat",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file, in place of standard output.")
    ] = None,
    sampled: Annotated[
        bool,
        typer.Option(
            "--sampled", help="Each as often as training takes it (trajectories.balance)."
        ),
    ] = False,
) -> None:
    """Print the accepted trajectories, a JSON object a line."""
    from medr_ray.core.run import run_directory
    from medr_ray.trajectories.export import ROWS

    if form not in ROWS:
        raise typer.BadParameter(f"{form} is none of {', '.join(ROWS)}", param_hint="--format")
    lines = rows_of(run_directory(resolve(config, overrides)), form, sampled)  # type: ignore[arg-type]
    if output is None:
        for line in lines:
            typer.echo(line)
    else:
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def rows_of(run: "RunDirectory", form: "Format", sampled: bool) -> list[str]:
    """The accepted trajectories of a run as JSON lines, in the order of their ids."""
    from medr_ray.trajectories.dataset import read_copies
    from medr_ray.trajectories.export import ROWS

    questions = _questions(run)
    copies = read_copies(run.stage("trajectories")) if sampled else {}
    return [
        json.dumps(ROWS[form](one, questions[one.question_id]), ensure_ascii=False)
        for one in read_accepted(run)
        for _ in range(copies.get(one.trajectory_id, 0) if sampled else 1)
    ]


def read_accepted(run: "RunDirectory") -> "list[Trajectory]":
    """The accepted trajectories of a run, in the order of their ids."""
    from medr_ray.core.records import FilteredTrajectory
    from medr_ray.trajectories.stage import TABLE

    judged = run.stage("trajectories").read_records(TABLE, FilteredTrajectory)
    return sorted(
        (one.trajectory for one in judged if one.accepted), key=lambda one: one.trajectory_id
    )


def read_one(run: "RunDirectory", trajectory_id: str) -> "FilteredTrajectory":
    """A trajectory with its verdict; DataError when the run has none of that id."""
    import pyarrow.dataset as pads

    from medr_ray.core.errors import DataError
    from medr_ray.core.records import FilteredTrajectory
    from medr_ray.trajectories.stage import TABLE

    stage = run.stage("trajectories")
    wanted = pads.field("trajectory", "trajectory_id") == trajectory_id
    found = stage.read_records(TABLE, FilteredTrajectory, wanted)
    if not found:
        raise DataError(
            f"{stage.uri} has no trajectory {trajectory_id}: `medr trajectories show` lists some it has"
        )
    return found[0]


def _questions(run: "RunDirectory") -> "dict[str, Question]":
    from medr_ray.core.records import Question

    rows = run.stage("questions").read_records("questions.parquet", Question)
    return {question.task.task_id: question for question in rows}


# --- on a terminal --------------------------------------------------------------------


def print_dialogue(judged: "FilteredTrajectory", whole: bool, console: "Console") -> None:
    """The verdict with its reasons, and the dialogue."""
    from rich.text import Text

    one = judged.trajectory
    about = (
        f"  {one.mode}, {len(one.tool_events)} calls, {one.stop_reason}, question {one.question_id}"
    )
    console.print(Text.assemble((one.trajectory_id, "cyan"), (about, "dim")))
    verdict = (
        Text("accepted", "green")
        if judged.accepted
        else Text("rejected: " + "; ".join(judged.reasons), "red")
    )
    console.print(verdict)
    for message in one.messages:
        shown = message.content
        if message.role == "user" and len(shown) > _RESPONSE and not whole:
            shown = f"{shown[:_RESPONSE]}… ({len(shown):,} characters)"
        console.print(Text(f"[{message.role}]", "bold"))
        console.print(Text(shown, _COLOURS.get(message.role, "")))


def print_statistics(counts: "dict[str, Any]", console: "Console") -> None:
    """The tables of a manifest's counts: figures beside the paper's, shares accepted, reasons."""
    from rich.table import Table

    from medr_ray.trajectories.statistics import PAPER

    figures = Table("accepted trajectories", "here", "paper", box=None, pad_edge=False)
    for name, value in counts["statistics"].items():
        paper = PAPER.get(name)
        figures.add_row(name, _figure(value, paper), _figure(paper, paper))
    console.print(figures)
    passed = Table("", "kind", "accepted", "of", "share", box=None, pad_edge=False)
    for group, kinds in counts["passed"].items():
        for kind, (accepted, every) in kinds.items():
            passed.add_row(group, kind, str(accepted), str(every), f"{accepted / every:.0%}")
    console.print(passed)
    for title in ("reasons", "rewritten"):
        if counts[title]:
            table = Table(title, "", box=None, pad_edge=False)
            for name, count in counts[title].items():
                table.add_row(name, f"{count:,}")
            console.print(table)


def _figure(value: float | None, paper: float | None) -> str:
    """A share as the paper prints it, anything else as a number."""
    if value is None:
        return ""
    return f"{value:.0%}" if paper is not None and paper < 1 else f"{value:,.1f}"


def print_policy(fitted: "ToolPolicy", held_out: "ChoiceFit | None", console: "Console") -> None:
    """What a tool policy was fitted on, its weights, and how well it foretells choices."""
    from rich.table import Table

    console.print(f"{fitted.calls:,} calls, {fitted.share:.0%} of them to medical_search")
    weights = Table("feature", "weight", "mean", "spread", box=None, pad_edge=False)
    for row in zip(fitted.features, fitted.weights, fitted.mean, fitted.scale, strict=True):
        weights.add_row(row[0], *(f"{one:.3f}" for one in row[1:]))
    weights.add_row("(bias)", f"{fitted.bias:.3f}", "", "")
    console.print(weights)
    if held_out is None:
        console.print("too few questions to hold any out")
        return
    area = (
        "undefined: all calls went to one tool"
        if held_out.auc is None
        else f"{held_out.auc:.3f} (0.5 is chance)"
    )
    console.print(
        f"on questions it was not fitted on: log-likelihood {held_out.log_likelihood:.3f} a call "
        f"(constant share: {held_out.baseline:.3f}), area under the ROC curve {area}"
    )
