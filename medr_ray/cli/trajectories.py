"""The commands of ``medr trajectories``.

- ``show [ID]``: the stage's counts and some rows, or one dialogue with its verdict.
- ``stats``: figures of the accepted trajectories beside the paper's, and the shares accepted.
- ``policy``: a model of which tool the accepted trajectories choose, as a prior for agents.
- ``export``: the trajectories in the formats of other trainers.
- ``card``: the card of the set, README.md of a data set on Hugging Face.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config
from medr_ray.cli.showing import (
    print_or_write_card,
    read_finished_manifest,
    show_stage_or_item,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from medr_ray.agent.tool_fitting import ChoiceFit
    from medr_ray.agent.tool_policy import ToolPolicy
    from medr_ray.core.config import PipelineConfig
    from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
    from medr_ray.core.run import RunDirectory
    from medr_ray.trajectories.export import ExportFormat

# Characters of a tool response on a terminal.
_MAX_RESPONSE_CHARS = 600
_STATUS_STYLES = {"open": "default", "supported": "green", "rejected": "red"}
_ROLE_STYLES = {"system": "dim", "user": "cyan", "assistant": "default"}


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

    def show_item(run: "RunDirectory", item: str) -> None:
        from rich.console import Console

        print_dialogue(read_trajectory(run, item), whole, Console())

    show_stage_or_item("trajectories", config, overrides, rows, trajectory_id, show_item)


def stats(
    config: ConfigFile,
    overrides: Overrides = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Also by kind: mode, hops, specialty, source or style."),
    ] = None,
) -> None:
    """Print figures of the accepted trajectories beside the paper's, and the shares accepted by
    kind."""
    from rich.console import Console

    from medr_ray.core.run import open_run

    directory = open_run(resolve_config(config, overrides)).stage("trajectories")
    counts = read_finished_manifest(directory, "trajectories")["counts"]
    groups = counts.get("statistics_by_kind", {})
    if by is not None and by not in groups:
        raise typer.BadParameter(f"{by} is none of {', '.join(groups)}", param_hint="--by")
    print_statistics(counts, Console(), by)


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
    weights and how well it predicts the choices of held-out questions."""
    from rich.console import Console

    from medr_ray.agent.tool_features import read_choices
    from medr_ray.agent.tool_fitting import cross_validate, fit_tool_policy
    from medr_ray.core.run import open_run
    from medr_ray.tools.registry import open_tools

    settings = resolve_config(config, overrides)
    run = open_run(settings)
    rarity = open_tools(settings, run.stage("index")).rarity
    choices = [
        choice for entry in read_accepted(run) for choice in read_choices(entry.trajectory, rarity)
    ]
    fitted = fit_tool_policy(choices, l2)
    print_policy(fitted, cross_validate(choices, l2), Console())
    if output is not None:
        fitted.save(output)


def export(
    config: ConfigFile,
    overrides: Overrides = None,
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            help="chat: messages with loss spans; sharegpt: conversations; tool_calls: messages "
            "with native calls; pairs: accepted against rejected dialogues.",
        ),
    ] = "chat",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A file, in place of standard output: Parquet where its name ends in .parquet.",
        ),
    ] = None,
    sampled: Annotated[
        bool,
        typer.Option(
            "--sampled", help="Each as often as training takes it (trajectories.balance)."
        ),
    ] = False,
    pairs_per_question: Annotated[
        int, typer.Option("--pairs-per-question", min=1, help="With pairs: of each question.")
    ] = 1,
) -> None:
    """Print the accepted trajectories, or pairs with rejected ones, a JSON object a line."""
    from medr_ray.core.run import open_run
    from medr_ray.trajectories.export import EXPORT_FORMATS
    from medr_ray.trajectories.export_files import render_lines, write_rows

    if format_name not in EXPORT_FORMATS:
        known_formats = ", ".join(EXPORT_FORMATS)
        raise typer.BadParameter(f"{format_name} is none of {known_formats}", param_hint="--format")
    settings = resolve_config(config, overrides)
    run = open_run(settings)
    read_finished_manifest(run.stage("trajectories"), "trajectories")
    if format_name == "pairs":
        if sampled:
            raise typer.BadParameter("--sampled is for whole dialogues: leave it out with pairs")
        rows = build_pair_rows(run, pairs_per_question)
    else:
        rows = build_rows(run, settings, format_name, sampled)  # type: ignore[arg-type]
    if output is None:
        for line in render_lines(rows):
            typer.echo(line)
        return
    write_rows(rows, format_name, output)  # type: ignore[arg-type]
    typer.echo(f"{len(rows):,} rows in {output}", err=True)


def build_rows(
    run: "RunDirectory", settings: "PipelineConfig", format_name: "ExportFormat", sampled: bool
) -> "list[dict[str, Any]]":
    """The accepted trajectories of a run as rows, in the order of their ids: each once, or with
    ``sampled`` as often as training takes it.

    Raises DataError when none was accepted.
    """
    from medr_ray.core.errors import DataError
    from medr_ray.trajectories.dataset import read_copies

    build_row = _open_row_builder(run, settings, format_name)
    questions = _read_questions(run)
    copies = read_copies(run.stage("trajectories")) if sampled else {}
    rows = []
    for entry in read_accepted(run):
        trajectory = entry.trajectory
        count = copies.get(trajectory.trajectory_id, 0) if sampled else 1
        if count:
            rows += [build_row(entry, questions[trajectory.question_id])] * count
    if not rows:
        raise DataError(
            f"{run.stage('trajectories').uri} has no accepted trajectories to export: "
            "`medr trajectories stats` says why they were rejected"
        )
    return rows


def _open_row_builder(
    run: "RunDirectory", settings: "PipelineConfig", format_name: "ExportFormat"
) -> "Callable[[FilteredTrajectory, Question], dict[str, Any]]":
    from medr_ray.tools.registry import open_tools
    from medr_ray.trajectories.export import (
        NativeTools,
        build_chat_row,
        build_sharegpt_row,
        build_tool_calls_row,
    )

    if format_name == "chat":
        return build_chat_row
    if format_name == "sharegpt":
        return build_sharegpt_row
    native = NativeTools(open_tools(settings, run.stage("index")), settings.agent)
    return partial(build_tool_calls_row, native=native)


def build_pair_rows(run: "RunDirectory", per_question: int) -> "list[dict[str, Any]]":
    """Preference pairs of a run as rows. Raises DataError, with the setting that gives pairs, when
    there are none."""
    from medr_ray.core.errors import DataError
    from medr_ray.trajectories.artifacts import TRAJECTORIES
    from medr_ray.trajectories.preference_pairs import build_pair_row, find_pairs

    questions = _read_questions(run)
    pairs, counts = find_pairs(run.read(TRAJECTORIES), per_question)
    if not pairs:
        raise DataError(
            f"{run.stage('trajectories').uri} has no preference pairs: {counts.describe()}. "
            f"{counts.suggest()}; then `medr trajectories run`"
        )
    return [build_pair_row(pair, questions) for pair in pairs]


def card(
    config: ConfigFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write it to a file instead of the terminal."),
    ] = None,
) -> None:
    """Print the card of the set: counts, statistics, sources with licences, limits. As README.md
    beside exported files it is what Hugging Face reads."""
    from medr_ray.core.run import open_run
    from medr_ray.trajectories.dataset_card import build_card

    settings = resolve_config(config, overrides)
    print_or_write_card(build_card(open_run(settings), settings), output)


def read_accepted(run: "RunDirectory") -> "list[FilteredTrajectory]":
    """The accepted trajectories of a run, in the order of their ids."""
    from medr_ray.trajectories.artifacts import TRAJECTORIES

    accepted = [entry for entry in run.read(TRAJECTORIES) if entry.accepted]
    return sorted(accepted, key=lambda entry: entry.trajectory.trajectory_id)


def read_trajectory(run: "RunDirectory", trajectory_id: str) -> "FilteredTrajectory":
    """A trajectory with its verdict. Raises DataError when the run has none of that id."""
    import pyarrow.dataset as pads

    from medr_ray.core.errors import DataError
    from medr_ray.trajectories.artifacts import TRAJECTORIES

    matches = run.read(TRAJECTORIES, pads.field("trajectory", "trajectory_id") == trajectory_id)
    if not matches:
        raise DataError(
            f"{run.stage('trajectories').uri} has no trajectory {trajectory_id}: "
            "`medr trajectories show` lists some it has"
        )
    return matches[0]


def _read_questions(run: "RunDirectory") -> "dict[str, Question]":
    from medr_ray.questions.artifacts import QUESTIONS

    return {question.task.task_id: question for question in run.read(QUESTIONS)}


# --- on a terminal --------------------------------------------------------------------


def print_dialogue(judged: "FilteredTrajectory", whole: bool, console: "Console") -> None:
    """The verdict with its reasons, the dialogue with the labels of each reply, and the agent's
    state at the end; tool responses in full when ``whole``."""
    from rich.text import Text

    trajectory = judged.trajectory
    details = (
        f"  {trajectory.mode}, {len(trajectory.tool_events)} calls, {trajectory.stop_reason}, "
        f"question {trajectory.question_id}"
    )
    console.print(Text.assemble((trajectory.trajectory_id, "cyan"), (details, "dim")))
    if judged.accepted:
        console.print(Text("accepted", "green"))
    else:
        console.print(Text("rejected: " + "; ".join(judged.reasons), "red"))
    labels = {entry.reply: entry.labels for entry in judged.labels}
    reply = 0
    for message in trajectory.messages:
        content = message.content
        # Tool responses are messages of the user.
        if message.role == "user" and len(content) > _MAX_RESPONSE_CHARS and not whole:
            content = f"{content[:_MAX_RESPONSE_CHARS]}… ({len(content):,} characters)"
        title = Text(f"[{message.role}]", "bold")
        if message.role == "assistant":
            words = ", ".join(labels.get(reply, ())).replace("_", " ")
            title.append(f" {reply}  {words}".rstrip(), "dim")
            reply += 1
        console.print(title)
        console.print(Text(content, _ROLE_STYLES.get(message.role, "")))
    _print_state(trajectory, console)


def _print_state(trajectory: "Trajectory", console: "Console") -> None:
    """The hypotheses with their status and the documents that name them, and which documents each
    query found."""
    from rich.table import Table
    from rich.text import Text

    if trajectory.hypotheses:
        table = Table("hypothesis", "kind", "reply", "status", "named by", box=None, pad_edge=False)
        for hypothesis in trajectory.hypotheses:
            sources = [
                edge.source
                for edge in trajectory.evidence
                if edge.kind == "names" and edge.target == hypothesis.text
            ]
            table.add_row(
                Text(hypothesis.text),
                hypothesis.kind,
                str(hypothesis.reply),
                Text(hypothesis.status, _STATUS_STYLES[hypothesis.status]),
                Text(", ".join(dict.fromkeys(sources))),
            )
        console.print(table)
    documents_by_query: dict[tuple[int, str], list[str]] = {}
    for edge in trajectory.evidence:
        if edge.kind == "found":
            documents_by_query.setdefault((edge.call, edge.source), []).append(edge.target)
    if documents_by_query:
        table = Table("call", "query", "documents", box=None, pad_edge=False)
        for (call, query), documents in documents_by_query.items():
            table.add_row(str(call), Text(query), Text(", ".join(documents)))
        console.print(table)


def print_statistics(counts: "dict[str, Any]", console: "Console", by: str | None = None) -> None:
    """The tables of a manifest's counts: figures beside the paper's, with ``by`` those of each
    kind of that group as well, shares accepted, reasons."""
    from rich.table import Table

    console.print(_tabulate_figures("accepted trajectories", counts["statistics"]))
    if by is not None:
        for kind, figures in counts["statistics_by_kind"][by].items():
            console.print(_tabulate_figures(f"{by}: {kind}", figures))
    shares = Table("", "kind", "accepted", "of", "share", box=None, pad_edge=False)
    for group, kinds in counts["passed"].items():
        for kind, (accepted, total) in kinds.items():
            share = f"{accepted / total:.0%}"
            shares.add_row(group, kind, str(accepted), str(total), share)
    console.print(shares)
    for title in ("reasons", "rewritten"):
        if counts[title]:
            table = Table(title, "", box=None, pad_edge=False)
            for name, count in counts[title].items():
                table.add_row(name, f"{count:,}")
            console.print(table)


def _tabulate_figures(title: str, figures: "dict[str, Any]") -> "Table":
    """A row for each figure: its name, its value here and in the paper, and of how many it is."""
    from rich.table import Table

    from medr_ray.trajectories.statistics import PAPER_FIGURES, read_figures

    table = Table(title, "here", "paper", "n", box=None, pad_edge=False)
    for name, figure in read_figures(figures).items():
        value = _format_figure(name, figure.value)
        paper = _format_figure(name, PAPER_FIGURES.get(name))
        table.add_row(name, value, paper, f"{figure.n:,}")
    return table


def _format_figure(name: str, value: float | None) -> str:
    """A share as a percentage, as the paper prints it; a number as it is."""
    from medr_ray.trajectories.statistics import NUMBERS

    if value is None:
        return ""
    return f"{value:,.1f}" if name in NUMBERS else f"{value:.1%}"


def print_policy(policy: "ToolPolicy", held_out: "ChoiceFit | None", console: "Console") -> None:
    """What a tool policy was fitted on, its weights, and how well it predicts held-out choices."""
    from rich.table import Table

    console.print(f"{policy.calls:,} calls, {policy.share:.0%} of them to medical_search")
    table = Table("feature", "weight", "mean", "spread", box=None, pad_edge=False)
    columns = (policy.features, policy.weights, policy.mean, policy.scale)
    for feature, *figures in zip(*columns, strict=True):
        table.add_row(str(feature), *(f"{figure:.3f}" for figure in figures))
    table.add_row("(bias)", f"{policy.bias:.3f}", "", "")
    console.print(table)
    if held_out is None:
        console.print("too few questions to hold any out")
        return
    if held_out.auc is None:
        area = "undefined: all calls went to one tool"
    else:
        area = f"{held_out.auc:.3f} (0.5 is chance)"
    console.print(
        f"on questions it was not fitted on: log-likelihood {held_out.log_likelihood:.3f} a call "
        f"(constant share: {held_out.baseline:.3f}), area under the ROC curve {area}"
    )
