"""``medr questions generate``: the stage, or an estimate of what it will take; ``medr questions
show [ID]``: the stage's counts, or one question with its chain drawn and the evidence for every
fact."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.config import PipelineConfig
    from medr_ray.core.run import RunDirectory
    from medr_ray.questions.question_trace import Itinerary, Leg

_SENTENCE = 220  # characters of evidence on a terminal


def generate(
    config: ConfigFile,
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make the questions anew, and later stages too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run, and what models would cost.")
    ] = False,
) -> None:
    """Write verified questions, after whatever before them is not finished."""
    from medr_ray.pipeline import run_pipeline

    resolved = resolve(config, overrides)
    run_pipeline(resolved, "questions" if again else None, "questions", dry_run)
    if dry_run:
        from rich.console import Console

        for line in expected(resolved):
            Console().print(line, highlight=False, markup=False, soft_wrap=True)


def expected(config: "PipelineConfig") -> list[str]:
    """What the questions stage may give and what its models may take, a line each."""
    from medr_ray.core.run import run_directory
    from medr_ray.questions.checks.calibration import estimate
    from medr_ray.questions.stage import most_questions

    most = most_questions(config, run_directory(config))
    if most is None:
        return [
            "no seeds are counted yet: run `medr entities run` first for an estimate of questions and cost"
        ]
    lines = [f"at most {most:,} questions ({config.questions.per_seed} of each seed)"]
    if config.questions.writer == "llm":
        lines.append(f"writer {config.llm.model}: {most:,} to {2 * most:,} requests")
    return lines + [one.describe() for one in estimate(config.questions, most)]


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
    if question_id is None:
        from medr_ray.cli.stages import show_stage

        if as_json:
            raise typer.BadParameter("--json goes with an ID; all questions are in questions.jsonl")
        show_stage("questions", config, overrides, rows)
        return
    from medr_ray.core.run import run_directory

    show_question(run_directory(resolve(config, overrides)), question_id, as_json)


def show_question(run: "RunDirectory", question_id: str, as_json: bool) -> None:
    """Print a question with its itinerary. DataError when there is none of that id."""
    from rich.console import Console

    from medr_ray.questions.question_trace import read_itinerary

    itinerary = read_itinerary(run, question_id)
    if as_json:
        typer.echo(json.dumps(as_object(itinerary), ensure_ascii=False))
    else:
        print_itinerary(itinerary, Console())


def as_object(itinerary: "Itinerary") -> dict[str, Any]:
    """The question's own fields, and its legs as plain values."""
    return {**asdict(itinerary.question), "legs": [asdict(one) for one in itinerary.legs]}


# --- on a terminal --------------------------------------------------------------------


def print_itinerary(itinerary: "Itinerary", console: "Console") -> None:
    """The question, its answer, the chain with a sentence for each fact, what else is told, and the
    verdicts."""
    from rich.padding import Padding
    from rich.text import Text

    task = itinerary.question.task
    console.print(Text.assemble((task.task_id, "cyan"), (f"  {_about(itinerary)}", "dim")))
    console.print(Text(task.text, "bold"))
    also = f" (also {'; '.join(task.aliases[:4])})" if task.aliases else ""
    console.print(Text.assemble(("answer: ", "dim"), (task.answer, "bold green"), (also, "dim")))
    console.print()
    told = False
    for leg in itinerary.legs:
        if leg.begins:
            console.print(_node(leg, leg.known.name, leg.known.entity_type))
        if not leg.walked and not told:
            console.print(Text("told or asked on the way", "dim"))
            told = True
        for line in _drawn(leg):
            console.print(Padding(line, (0, 0, 0, 2)))
        if leg.walked:
            console.print(_node(leg, leg.target.name, leg.target.entity_type))
    console.print()
    console.print(Text(_verdicts(itinerary), "dim"))


def _about(itinerary: "Itinerary") -> str:
    one = itinerary.question
    return f"{one.paradigm}, {one.complexity} hops, obfuscation {one.obfuscation}, {one.split}, {one.specialty}"


def _node(leg: "Leg", name: str, kind: str) -> "Text":
    from rich.text import Text

    return Text.assemble("● ", (name, "bold"), (f"  {kind}", "dim"))


def _drawn(leg: "Leg") -> "list[Text]":
    """The relation with an arrow in its own direction, and the sentence that states it."""
    from rich.text import Text

    relation, evidence = leg.relation, leg.evidence
    forward = leg.known.entity_id == relation.subject
    qualifier = f" ({relation.clinical})" if relation.clinical else ""
    sentence = " ".join(evidence.sentence.split())
    cut = f"{sentence[:_SENTENCE]}…" if len(sentence) > _SENTENCE else sentence
    ends = "" if leg.walked else f"{leg.known.name} → {leg.target.name}: "
    arrow = "│ ↓ " if forward else "│ ↑ "
    return [
        Text.assemble(
            arrow if leg.walked else "· ",
            ends,
            (relation.predicate, "yellow"),
            qualifier,
            (f"  confidence {relation.confidence:.2f}", "dim"),
        ),
        Text.assemble("│   " if leg.walked else "  ", f'"{cut}"', (f"  {evidence.origin}", "cyan")),
    ]


def _verdicts(itinerary: "Itinerary") -> str:
    """Each check with its verdict, and what models made of the question."""
    one = itinerary.question
    words = {True: "yes", False: "no", None: "not asked"}
    checks = "; ".join(
        f"{name.replace('_', ' ')} {words[value]}"
        for name, value in asdict(one.verification).items()
    )
    models = [
        f"{row.model} {row.correct} of {row.attempts} right (95 % interval {row.lower:.2f} to {row.upper:.2f})"
        for row in one.calibration
    ]
    return "\n".join([f"verified: {checks}", *(f"calibrated: {line}" for line in models)])
