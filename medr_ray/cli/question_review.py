"""``medr questions review``: a drawn sample of the questions, read by people; their verdicts, and
what comes of them."""

import contextlib
import getpass
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config
from medr_ray.cli.questions import print_trace, to_json_object
from medr_ray.cli.showing import read_finished_manifest

if TYPE_CHECKING:
    from rich.console import Console

    from medr_ray.core.records import Question
    from medr_ray.core.run import RunDirectory
    from medr_ray.questions.question_trace import QuestionTrace
    from medr_ray.questions.review.draw import Draw
    from medr_ray.questions.review.session import Judgement
    from medr_ray.questions.review.verdicts import ReaderVerdict

# Facts of a step: whoever judges an answer has to see the one that decides; a screen has no more.
_MAX_FACTS = 40
# Characters of a line in an exported Markdown file, whatever terminal exports it.
_MARKDOWN_WIDTH = 110
_END_OF_INPUT = "\x04"  # Ctrl-D, where keys come one by one


def review(
    config: ConfigFile,
    overrides: Overrides = None,
    size: Annotated[int, typer.Option("-n", min=1, help="Questions to draw.")] = 50,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the draw; the run's own without it.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Draw from `train` or `heldout` alone.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Who reads; the login without it.")
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            "--verdicts",
            metavar="FILE",
            help="Take over what somebody else has judged: JSON lines, or CSV with the columns "
            "id, verdict, codes, research_question, note.",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write the drawn questions for somebody else: Markdown for .md, else JSON lines.",
        ),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Print what readers found so far.")
    ] = False,
) -> None:
    """Read a drawn sample of the questions, each with its chain and evidence, and judge it by keys.

    Every verdict is kept at once; the same command goes on where it stopped.
    """
    from rich.console import Console

    from medr_ray.core.run import open_run
    from medr_ray.questions.artifacts import QUESTIONS
    from medr_ray.questions.review.draw import Draw, draw_questions

    if sum((verdicts is not None, export is not None, summary)) > 1:
        raise typer.BadParameter("--verdicts, --export and --summary exclude each other")
    if split not in (None, "train", "heldout"):
        raise typer.BadParameter(f"--split is train or heldout, not {split!r}")
    resolved = resolve_config(config, overrides)
    run = open_run(resolved)
    read_finished_manifest(run.stage("questions"), "questions")
    console = Console()
    if summary:
        print_summary(run, console)
        return
    draw = Draw(resolved.run.seed if seed is None else seed, size, cast(Any, split))
    drawn = draw_questions(run.stage("questions").read(QUESTIONS), draw)
    if len(drawn) < size:
        _print_line(console, f"there are {len(drawn)} questions, fewer than {size}: all are drawn")
    if export is not None:
        export_drawn(run, drawn, draw, export)
        _print_line(console, f"{len(drawn)} questions in {export}")
    elif verdicts is not None:
        import_verdicts(run, drawn, draw, verdicts, reviewer, console)
    else:
        read_drawn(run, drawn, draw, reviewer or _find_login(), console)


# --- reading --------------------------------------------------------------------------


def read_drawn(
    run: "RunDirectory",
    drawn: "Sequence[Question]",
    draw: "Draw",
    reviewer: str,
    console: "Console",
) -> None:
    """Ask the reviewer about the drawn questions that have no verdict of theirs yet."""
    from medr_ray.questions.review.draw import hash_content
    from medr_ray.questions.review.session import ReviewSession
    from medr_ray.questions.review.verdicts import ReaderVerdict, VerdictStore, check_reader_name

    name = check_reader_name(reviewer)
    store = VerdictStore(run)
    # Before anybody has judged anything.
    store.require_local()
    stored = store.read()
    for problem in stored.problems:
        _print_line(console, problem)
    standing = [row for row in stored.select_standing(drawn) if row.reviewer == name]
    _print_line(console, f"{name}: {len(standing)} of {len(drawn)} judged ({draw.describe()})")

    def save(question: "Question", judgement: "Judgement") -> "ReaderVerdict":
        verdict = ReaderVerdict(
            question.task.task_id,
            hash_content(question),
            name,
            judgement.decision,
            judgement.codes,
            judgement.is_research,
            judgement.note,
            _format_now(),
            draw,
        )
        store.append(verdict)
        return verdict

    traces = _read_traces(run, drawn)
    session = ReviewSession(
        drawn,
        standing,
        _Keys(),
        lambda question_id: print_trace(traces[question_id], console, _MAX_FACTS),
        lambda line: _print_line(console, line),
        save,
    )
    with _read_keys_at_once():
        session.run()
    missing = len(drawn) - len(session.verdicts)
    if missing:
        _print_line(console, f"{missing} of {len(drawn)} have no verdict of {name} yet")
    print_summary(run, console)
    _record_in_manifest(run, console)


@contextlib.contextmanager
def _read_keys_at_once() -> Iterator[None]:
    """Inside the block a terminal hands over each key as it is pressed, and keys pressed ahead are
    kept. Text on a pipe needs nothing."""
    if not sys.stdin.isatty():
        yield
        return
    settings = termios.tcgetattr(sys.stdin)
    # Not with TCSAFLUSH, the default: it throws away what was typed before.
    tty.setcbreak(sys.stdin, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)


class _Keys:
    """Keys from standard input: a terminal in ``_read_keys_at_once``, or a pipe."""

    def __init__(self) -> None:
        self._line_settings = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None

    def read_key(self) -> str:
        key = sys.stdin.read(1)
        return "" if key == _END_OF_INPUT else key

    def read_line(self, prompt: str) -> str:
        if self._line_settings is None:
            typer.echo(prompt)
            return sys.stdin.readline()
        # As a line is typed elsewhere: with echo, and Backspace.
        key_settings = termios.tcgetattr(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._line_settings)
        try:
            # Only now: whoever sees the prompt finds a line to type in.
            typer.echo(prompt)
            return sys.stdin.readline()
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, key_settings)


def _read_traces(run: "RunDirectory", drawn: "Sequence[Question]") -> "dict[str, QuestionTrace]":
    """The chain of each drawn question with its evidence, by the question's id."""
    from medr_ray.questions.question_trace import read_traces

    return {trace.question.task.task_id: trace for trace in read_traces(run, drawn)}


def _find_login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise typer.BadParameter("nobody is logged in here: give --reviewer") from error


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# --- files of other readers -----------------------------------------------------------


def export_drawn(
    run: "RunDirectory", drawn: "Sequence[Question]", draw: "Draw", path: Path
) -> None:
    """Write the drawn questions. Raises DataError where the file exists: verdicts may be in it."""
    from medr_ray.core.errors import DataError
    from medr_ray.questions.review.exchange import (
        MARKDOWN_SUFFIXES,
        build_json_lines,
        build_markdown,
    )

    traces = _read_traces(run, drawn)
    if path.suffix.lower() in MARKDOWN_SUFFIXES:
        text = build_markdown(drawn, draw, lambda question_id: _render_trace(traces[question_id]))
    else:
        text = build_json_lines(drawn, lambda question_id: to_json_object(traces[question_id]))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise DataError(f"{path} exists, and verdicts may be in it: give another name") from None


def _render_trace(trace: "QuestionTrace") -> str:
    """A question as it is printed, without colours."""
    import io

    from rich.console import Console

    lines = io.StringIO()
    console = Console(file=lines, width=_MARKDOWN_WIDTH, color_system=None)
    print_trace(trace, console, _MAX_FACTS)
    return lines.getvalue()


def import_verdicts(
    run: "RunDirectory",
    drawn: "Sequence[Question]",
    draw: "Draw",
    path: Path,
    reviewer: str | None,
    console: "Console",
) -> None:
    """Keep the verdicts of a file. Raises DataError at the end when it had rows that are none; the
    others are kept."""
    from medr_ray.core.errors import DataError
    from medr_ray.questions.review.exchange import read_verdicts
    from medr_ray.questions.review.verdicts import VerdictStore

    imported = read_verdicts(path, drawn, draw, reviewer, _format_now())
    store = VerdictStore(run)
    standing = {(row.reviewer, row.question_id): row for row in store.read().select_standing(drawn)}
    added = 0
    for verdict in imported.verdicts:
        earlier = standing.get((verdict.reviewer, verdict.question_id))
        if earlier is None or not verdict.says_the_same(earlier):
            store.append(verdict)
            added += 1
    unchanged = len(imported.verdicts) - added
    _print_line(
        console,
        f"{path}: {added} verdicts taken over, {unchanged} were there already, "
        f"{imported.open_rows} rows have none yet",
    )
    if imported.unread_columns:
        names = ", ".join(imported.unread_columns)
        _print_line(console, f"{path}: nobody reads the columns {names}")
    print_summary(run, console)
    _record_in_manifest(run, console)
    if imported.problems:
        for problem in imported.problems:
            typer.echo(problem, err=True)
        raise DataError(
            f"{path}: {len(imported.problems)} rows are not taken over, see above; mend them and "
            "give the file again"
        )


# --- results --------------------------------------------------------------------------


def print_summary(run: "RunDirectory", console: "Console") -> None:
    """Print what readers found so far."""
    from medr_ray.questions.review.summary import describe_review, read_review

    result = read_review(run)
    lines = describe_review(result) if result else ["nobody has read the questions of this run"]
    for line in lines:
        _print_line(console, line)


def _record_in_manifest(run: "RunDirectory", console: "Console") -> None:
    from medr_ray.questions.review.summary import record_in_manifest

    problem = record_in_manifest(run)
    if problem:
        _print_line(console, problem)


def _print_line(console: "Console", line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
