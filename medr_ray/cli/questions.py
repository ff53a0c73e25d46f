"""``medr questions generate``: the stage, or an estimate of what it will take; ``medr questions
show [ID]``: the stage's counts, or one question with its chain drawn and the evidence for every
fact."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Consent, Overrides, ask_consent, resolve_config
from medr_ray.cli.showing import print_json, show_stage_or_item

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.config import PipelineConfig
    from medr_ray.core.run import RunDirectory
    from medr_ray.questions.question_trace import QuestionTrace, TraceStep

# Characters of an evidence sentence on a terminal: two to three lines.
_MAX_SENTENCE_CHARS = 220
# Aliases of the answer on a terminal.
_MAX_ALIASES = 4


def generate(
    config: ConfigFile,
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make the questions anew, and later stages too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run, and what models would cost.")
    ] = False,
    yes: Consent = False,
) -> None:
    """Write verified questions, after whatever before them is not finished."""
    from medr_ray.pipeline import run_pipeline

    resolved = resolve_config(config, overrides)
    from_stage = "questions" if again else None
    run_pipeline(resolved, from_stage, "questions", dry_run, confirm=ask_consent(yes))
    if dry_run:
        from rich.console import Console

        for line in describe_estimate(resolved):
            Console().print(line, highlight=False, markup=False, soft_wrap=True)


def describe_estimate(config: "PipelineConfig") -> list[str]:
    """What the questions stage may give and what its models may take, a line each."""
    from medr_ray.core.run import open_run
    from medr_ray.questions.calibration.cost_estimate import estimate_costs
    from medr_ray.questions.counts import max_question_count

    limit = max_question_count(config, open_run(config))
    if limit is None:
        return [
            "no seeds are counted yet: run `medr entities run` first for an estimate of questions "
            "and cost"
        ]
    lines = [f"at most {limit:,} questions ({config.questions.per_seed} of each seed)"]
    if config.questions.writer == "llm":
        lines.append(f"writer {config.llm.model}: {limit:,} to {2 * limit:,} requests")
    return lines + [cost.describe() for cost in estimate_costs(config.questions, limit)]


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
    """The question's own fields, and the steps of its trace as plain values.

    The key "legs" is part of the command's output: scripts read it.
    """
    return {**asdict(trace.question), "legs": [asdict(step) for step in trace.steps]}


# --- on a terminal --------------------------------------------------------------------


def print_trace(trace: "QuestionTrace", console: "Console") -> None:
    """Print the question, its answer, the chain with a sentence for each fact, the facts beside it,
    and the verdicts."""
    from rich.padding import Padding
    from rich.text import Text

    _print_question(trace, console)
    # Walked steps come first; the others are facts that are stated or asked beside the chain.
    is_beside_chain = False
    for step in trace.steps:
        if step.begins:
            console.print(_format_entity(step.known.name, step.known.entity_type))
        if not step.walked and not is_beside_chain:
            console.print(Text("stated or asked beside the chain", "dim"))
            is_beside_chain = True
        for line in _format_step(step):
            console.print(Padding(line, (0, 0, 0, 2)))
        if step.walked:
            console.print(_format_entity(step.target.name, step.target.entity_type))
    console.print()
    console.print(Text(_describe_verdicts(trace), "dim"))


def _print_question(trace: "QuestionTrace", console: "Console") -> None:
    from rich.text import Text

    question = trace.question
    task = question.task
    about = (
        f"{question.paradigm}, {question.complexity} hops, obfuscation {question.obfuscation}, "
        f"{question.split}, {question.specialty}"
    )
    aliases = "; ".join(task.aliases[:_MAX_ALIASES])
    also = f" (also {aliases})" if aliases else ""
    console.print(Text.assemble((task.task_id, "cyan"), (f"  {about}", "dim")))
    console.print(Text(task.text, "bold"))
    answer = (task.answer, "bold green")
    console.print(Text.assemble(("answer: ", "dim"), answer, (also, "dim")))
    console.print()


def _format_entity(name: str, entity_type: str) -> "Text":
    from rich.text import Text

    return Text.assemble("● ", (name, "bold"), (f"  {entity_type}", "dim"))


def _format_step(step: "TraceStep") -> "list[Text]":
    """The relation, with an arrow in its own direction where the chain walks it, and the sentence
    that states it."""
    from rich.text import Text

    relation = step.relation
    qualifier = f" ({relation.clinical})" if relation.clinical else ""
    confidence = (f"  confidence {relation.confidence:.2f}", "dim")
    sentence = " ".join(step.evidence.sentence.split())
    if len(sentence) > _MAX_SENTENCE_CHARS:
        sentence = f"{sentence[:_MAX_SENTENCE_CHARS]}…"
    origin = (f"  {step.evidence.origin}", "cyan")
    if step.walked:
        is_forward = step.known.entity_id == relation.subject
        start = "│ ↓ " if is_forward else "│ ↑ "
        indent = "│   "
    else:
        start = f"· {step.known.name} → {step.target.name}: "
        indent = "  "
    return [
        Text.assemble(start, (relation.predicate, "yellow"), qualifier, confidence),
        Text.assemble(indent, f'"{sentence}"', origin),
    ]


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
