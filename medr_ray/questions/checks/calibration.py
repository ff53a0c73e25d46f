"""Difficulty as measured (paper section 3.1.3): a question that a model answers from memory is
asked harder.

What holds: a kept question was answered by every calibration model with an accuracy below the
threshold, and by the closed-book model not at all; one that was not is replaced by a harder one, at
most ``rounds`` times, or given up with the reason. Replacements are asked for in the order of the
questions, so that the outcome follows from the answers and not from who answered first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from rich.console import Console

from medr_ray.core.config.models import EndpointConfig
from medr_ray.core.config.questions import QuestionsConfig
from medr_ray.core.progress import Bar
from medr_ray.core.records import Language, Question
from medr_ray.core.run import Directory
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.checks.closed_book import (
    ENOUGH_TOKENS,
    Examination,
    ExaminationLedger,
    Examiner,
    closed_book_prompt,
    examine_all,
)

LEDGER = "examinations"
_QUESTION_TOKENS, _REPLY_TOKENS = (
    90,
    30,
)  # of a question of four hops, and of a reply that does as it is told
_BYTES_PER_TOKEN = 3  # as the chat client estimates


# --- what was found -------------------------------------------------------------------


@dataclass(frozen=True)
class Findings:
    """What the models made of one question: the closed-book model (None where none is configured),
    and each calibration model; these are not asked what the closed-book model knew."""

    closed_book: Examination | None
    calibration: tuple[Examination, ...]

    @property
    def known(self) -> bool:
        """Whether the closed-book model was right even once."""
        return self.closed_book is not None and self.closed_book.correct > 0


Role = Literal["closed book", "calibration"]
Examine = Callable[[Sequence[Question]], Sequence[Findings]]


class Regenerate(Protocol):
    """Makes questions harder."""

    def __call__(self, too_easy: Sequence[tuple[Question, int]]) -> Sequence[Question | None]:
        """For each question and the complexity it is to have, in order: a verified question to take
        its place, or None where nothing harder exists."""
        ...


# --- one question's way ---------------------------------------------------------------


@dataclass(frozen=True)
class Replaced:
    """A question that was too easy, and by whose account."""

    question: Question
    reason: str


@dataclass(frozen=True)
class Course:
    """Where a question stands: ``open`` until it is ``kept`` or ``rejected`` with a reason,
    ``too_easy`` while a harder one is looked for. ``question`` is the one now asked, ``replaced``
    those it took the place of, the oldest first; ``complexity`` is what was asked for last."""

    question: Question
    complexity: int
    state: Literal["open", "too_easy", "kept", "rejected"] = "open"
    reason: str = ""
    replaced: tuple[Replaced, ...] = ()

    @property
    def rounds(self) -> int:
        return len(self.replaced)


def examined(course: Course, findings: Findings, threshold: float, rounds: int) -> Course:
    """An open course after its question was examined; at most ``rounds`` replacements are made."""
    question = _with_findings(course, findings)
    closed = findings.closed_book
    if closed is not None and findings.known:
        reason = (
            f"not_closed_book: {closed.model} answered without a search in {closed.correct} of "
            f"{closed.attempts} attempts"
        )
        return replace(course, question=question, state="rejected", reason=reason)
    best = max(findings.calibration, key=lambda one: one.accuracy, default=None)
    if best is None or best.accuracy < threshold:
        return replace(course, question=question, state="kept")
    told = f"{best.model} with accuracy {best.accuracy:.2f}"
    if course.rounds < rounds:
        return replace(
            course, question=question, state="too_easy", reason=f"calibration: answered by {told}"
        )
    after = f"still answered after {_times(rounds)}, by {told}" if rounds else f"answered by {told}"
    return replace(course, question=question, state="rejected", reason=f"calibration: {after}")


def regenerated(course: Course, harder: Question | None) -> Course:
    """A course that was too easy, with what was found to take its question's place."""
    if harder is None:
        return replace(
            course, state="rejected", reason=f"{course.reason} and nothing harder exists"
        )
    done = Replaced(course.question, course.reason)
    complexity = max(course.complexity + 1, harder.complexity)
    return Course(harder, complexity, replaced=(*course.replaced, done))


def _with_findings(course: Course, findings: Findings) -> Question:
    verification = course.question.verification
    if findings.closed_book is not None:
        verification = replace(verification, not_closed_book=not findings.known)
    rows = tuple(one.calibration(course.rounds) for one in findings.calibration)
    return replace(course.question, verification=verification, calibration=rows)


def _times(rounds: int) -> str:
    return f"{rounds} round{'' if rounds == 1 else 's'}"


# --- all questions --------------------------------------------------------------------


def calibrate(
    questions: Sequence[Question],
    examine: Examine,
    regenerate: Regenerate,
    threshold: float,
    rounds: int,
) -> list[Course]:
    """The course of each question to its end, in their order.

    Each round examines all open questions together, then asks for replacements of all that were too
    easy. A replacement that is in play already counts as none.
    """
    courses = [Course(one, one.complexity) for one in questions]
    in_play = {one.task.task_id for one in questions}
    while waiting := _in_state(courses, "open"):
        found = examine([courses[at].question for at in waiting])
        for at, findings in zip(waiting, found, strict=True):
            courses[at] = examined(courses[at], findings, threshold, rounds)
        easy = _in_state(courses, "too_easy")
        wanted = [(courses[at].question, courses[at].complexity + 1) for at in easy]
        for at, harder in zip(easy, regenerate(wanted) if wanted else (), strict=True):
            new = harder if harder is not None and harder.task.task_id not in in_play else None
            in_play |= {new.task.task_id} if new is not None else set()
            courses[at] = regenerated(courses[at], new)
    return courses


def _in_state(courses: Sequence[Course], state: str) -> list[int]:
    return [at for at, one in enumerate(courses) if one.state == state]


class Panel:
    """The configured models as an ``Examine``: the closed-book model first, then those that
    calibrate. Examinations are kept in ``ledger``."""

    def __init__(
        self,
        closed_book: Examiner | None,
        models: Sequence[Examiner],
        ledger: ExaminationLedger,
        console: Console,
    ) -> None:
        self._closed_book, self._models = closed_book, tuple(models)
        self._ledger, self._console = ledger, console

    def __call__(self, questions: Sequence[Question]) -> list[Findings]:
        closed = self._ask(
            "closed book", questions, (self._closed_book,) if self._closed_book else ()
        )
        first = [Findings(one[0] if one else None, ()) for one in closed]
        unknown = [at for at, one in enumerate(first) if not one.known]
        rows = self._ask("calibration", [questions[at] for at in unknown], self._models)
        later = dict(zip(unknown, rows, strict=True))
        return [replace(one, calibration=later.get(at, ())) for at, one in enumerate(first)]

    def _ask(
        self, label: str, questions: Sequence[Question], examiners: Sequence[Examiner]
    ) -> list[tuple[Examination, ...]]:
        with Bar(self._console, label, len(questions) * len(examiners), "examinations") as bar:
            return examine_all([one.task for one in questions], examiners, self._ledger, bar)


def build_panel(
    config: QuestionsConfig, run: Directory, directory: Directory, console: Console
) -> Panel | None:
    """The panel that ``config`` names, None where it names no model. Responses are cached in the
    ``run`` directory, the ledger lies in the stage's ``directory``."""
    if config.closed_book is None and not config.calibration:
        return None
    closed = config.closed_book
    return Panel(
        Examiner(closed, open_chat_client(closed, run), config.closed_book_attempts)
        if closed
        else None,
        [
            Examiner(one, open_chat_client(one, run), config.calibration_attempts)
            for one in config.calibration
        ],
        ExaminationLedger(directory.child(LEDGER)),
        console,
    )


# --- what it will take ----------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What examining takes of one model: at least when every question is kept at once and answered
    in a line, at most when each is replaced until the limit and every reply runs to its end."""

    role: Role
    model: str
    requests: int
    most_requests: int
    tokens: int
    most_tokens: int
    minutes: float

    def describe(self) -> str:
        """One line for ``--dry-run``."""
        return (
            f"{self.role} by {self.model}: {self.requests:,} to {self.most_requests:,} requests, "
            f"{self.tokens:,} to {self.most_tokens:,} tokens, at least {self.minutes:,.0f} min"
        )


def estimate(config: QuestionsConfig, questions: int) -> list[Estimate]:
    """The estimate for each configured model, for so many questions."""
    rounds = config.calibration_rounds if config.calibration else 0
    closed = (config.closed_book,) if config.closed_book is not None else ()
    roles: list[tuple[Role, EndpointConfig, int]] = [
        *(("closed book", one, config.closed_book_attempts) for one in closed),
        *(("calibration", one, config.calibration_attempts) for one in config.calibration),
    ]
    return [
        _estimate(role, one, config.language, questions * attempts, rounds)
        for role, one, attempts in roles
    ]


def _estimate(
    role: Role, endpoint: EndpointConfig, language: Language, attempts: int, rounds: int
) -> Estimate:
    prompt = len(closed_book_prompt("", language).encode()) // _BYTES_PER_TOKEN + _QUESTION_TOKENS
    again = endpoint.max_tokens < ENOUGH_TOKENS
    longest = prompt + endpoint.max_tokens + (prompt + ENOUGH_TOKENS if again else 0)
    tokens = attempts * (prompt + min(_REPLY_TOKENS, endpoint.max_tokens))
    by_tokens = tokens / endpoint.tokens_per_minute if endpoint.tokens_per_minute else 0.0
    return Estimate(
        role,
        endpoint.model,
        attempts,
        attempts * (rounds + 1) * (2 if again else 1),
        tokens,
        attempts * (rounds + 1) * longest,
        max(attempts / endpoint.requests_per_minute, by_tokens),
    )
