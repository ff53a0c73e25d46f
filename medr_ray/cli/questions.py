"""``medr questions generate``: the stage, or an estimate of what it will take; ``medr questions
show [ID]``: the stage's counts, or one question with its chain drawn and the evidence for every
fact."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Consent, DryRun, Overrides, ask_consent, resolve_config
from medr_ray.cli.showing import print_json, print_or_write_card, show_stage_or_item

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.records import Fact
    from medr_ray.core.run import RunDirectory
    from medr_ray.questions.question_trace import QuestionTrace, TraceStep

# Characters of a printed value on a terminal: two to three lines.
_MAX_PRINTED_CHARS = 220
# Facts of a step on a terminal: a count rests on many.
_MAX_FACTS = 4
# Aliases of the answer on a terminal.
_MAX_ALIASES = 4


def generate(
    config: ConfigFile,
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make the questions anew, and later stages too.")
    ] = False,
    dry_run: DryRun = False,
    yes: Consent = False,
) -> None:
    """Write verified questions, after whatever before them is not finished."""
    from medr_ray.pipeline import run_pipeline

    resolved = resolve_config(config, overrides)
    from_stage = "questions" if again else None
    run_pipeline(resolved, from_stage, "questions", dry_run, confirm=ask_consent(yes))
    if dry_run:
        from rich.console import Console

        from medr_ray.questions.counts import max_question_count

        Console().print(f"at most {max_question_count(resolved):,} questions", highlight=False)


def show(
    config: ConfigFile,
    question_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", show_default=False, help="A question's id; without it, the stage."
        ),
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to show, without ID.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="With ID: one JSON object.")] = False,
) -> None:
    """Show the questions stage's counts and a few of its rows; or one question with its chain and
    evidence."""

    def show_item(run: "RunDirectory", item: str) -> None:
        show_question(run, item, as_json)

    json_error = "--json goes with an ID; all questions are in questions.jsonl"
    show_stage_or_item(
        "questions",
        config,
        overrides,
        rows,
        question_id,
        show_item,
        json_error if as_json else "",
        _read_review_counts,
    )


def _read_review_counts(run: "RunDirectory") -> dict[str, str]:
    """What readers found, in a line; nothing where nobody read the questions."""
    from medr_ray.questions.review.summary import describe_in_brief, read_review

    summary = read_review(run)
    return {"review": describe_in_brief(summary)} if summary else {}


def card(
    config: ConfigFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write it to a file instead of the terminal."),
    ] = None,
) -> None:
    """Print the card of the set: counts, sources with licences and dates, what readers found."""
    from medr_ray.core.run import open_run
    from medr_ray.questions.dataset_card import build_card

    print_or_write_card(build_card(open_run(resolve_config(config, overrides))), output)


def show_question(run: "RunDirectory", question_id: str, as_json: bool) -> None:
    """Print a question with its trace. Raises DataError when there is none with that id."""
    from rich.console import Console

    from medr_ray.questions.question_trace import read_question_trace

    trace = read_question_trace(run, question_id)
    if as_json:
        print_json(to_json_object(trace))
    else:
        print_trace(trace, Console())


def to_json_object(trace: "QuestionTrace") -> dict[str, Any]:
    """The question's own fields, and the steps of its trace with their facts as plain values."""
    return {**asdict(trace.question), "trace": [asdict(step) for step in trace.steps]}


# --- on a terminal --------------------------------------------------------------------


def print_trace(trace: "QuestionTrace", console: "Console", max_facts: int = _MAX_FACTS) -> None:
    """Print the question, its answer, each step with at most so many of the facts that state it,
    and the verdicts."""
    from rich.padding import Padding
    from rich.text import Text

    _print_question(trace, console)
    for step in trace.steps:
        console.print(_format_step(step))
        for fact in step.facts[:max_facts]:
            console.print(Padding(_format_fact(fact), (0, 0, 0, 4)))
        if len(step.facts) > max_facts:
            more = f"and {len(step.facts) - max_facts} more"
            console.print(Padding(Text(more, "dim"), (0, 0, 0, 4)))
    console.print()
    console.print(Text(_describe_verdicts(trace), "dim"))


def _print_question(trace: "QuestionTrace", console: "Console") -> None:
    from rich.text import Text

    question = trace.question
    task = question.task
    about = f"{question.shape}, {question.complexity} hops, {question.split}, {question.specialty}"
    aliases = "; ".join(task.aliases[:_MAX_ALIASES])
    also = f" (also {aliases})" if aliases else ""
    console.print(Text.assemble((task.task_id, "cyan"), (f"  {about}", "dim")))
    console.print(Text(task.text, "bold"))
    answer = (task.answer, "bold green")
    console.print(Text.assemble(("answer: ", "dim"), answer, (also, "dim")))
    console.print()


def _format_step(trace_step: "TraceStep") -> "Text":
    """What is named, or what was found from what."""
    from rich.text import Text

    step = trace_step.step
    name = (step.name, "bold")
    what = (f"  {step.value_type}", "dim")
    if not trace_step.inputs:
        return Text.assemble("● ", name, what)
    kind = (step.kind.replace("_", " "), "yellow")
    date = f", as of {step.as_of}" if step.as_of else ""
    return Text.assemble("↓ ", kind, f" {' and '.join(trace_step.inputs)}{date}: ", name, what)


def _format_fact(fact: "Fact") -> "Text":
    """A fact with the field of the record that states it, as printed there."""
    from rich.text import Text

    evidence = fact.evidence
    printed = " ".join(evidence.value.split())
    if len(printed) > _MAX_PRINTED_CHARS:
        printed = f"{printed[:_MAX_PRINTED_CHARS]}…"
    qualifiers = "".join(f"; {item.name}: {item.value}" for item in fact.qualifiers)
    origin = (f"  {evidence.source} {evidence.record_id}, {evidence.field}", "cyan")
    return Text.assemble(f'"{printed}"', (qualifiers, "dim"), origin)


def _describe_verdicts(trace: "QuestionTrace") -> str:
    """Each check with its verdict, and how often each model answered the question."""
    words = {True: "yes", False: "no", None: "not asked"}
    checks = asdict(trace.question.verification)
    verdicts = [f"{name.replace('_', ' ')} {words[value]}" for name, value in checks.items()]
    lines = [f"verified: {'; '.join(verdicts)}"]
    for row in trace.question.calibration:
        interval = f"95 % interval {row.lower:.2f} to {row.upper:.2f}"
        lines.append(f"calibrated: {row.model} {row.correct} of {row.attempts} right ({interval})")
    return "\n".join(lines)
