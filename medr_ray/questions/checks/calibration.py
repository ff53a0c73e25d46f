"""Measured difficulty (paper section 3.1.3): a question that a model answers from memory is
replaced by a harder one.

Every calibration model answered a kept question with an accuracy below the threshold, and the
closed-book model never answered it. A question that a calibration model answers too well is
replaced by a harder one, at most ``rounds`` times, and then rejected with the reason. A question
that the closed-book model answers is rejected at once. Replacements are requested in the order of
the questions, so the outcome depends on the answers and not on which model answered first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from rich.console import Console

from medr_ray.core.config import EndpointConfig, QuestionsConfig
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
_QUESTION_TOKENS = 90  # of a question of four hops
_REPLY_TOKENS = 30  # of a reply that follows the instructions
_BYTES_PER_TOKEN = 3  # the estimate of the chat client


# --- findings -------------------------------------------------------------------------


@dataclass(frozen=True)
class Findings:
    """The examinations of one question by the closed-book model and each calibration model.

    ``closed_book`` is None where no such model is configured. ``calibration`` is empty for a
    question that the closed-book model answered: the calibration models are not asked it.
    """

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
        """Return a verified replacement for each pair of a question and its required complexity.

        The order is that of ``too_easy``; an entry is None where no harder question exists.
        """
        ...


# --- one question ---------------------------------------------------------------------


@dataclass(frozen=True)
class Replaced:
    """A question that was too easy, and the reason with the model that answered it."""

    question: Question
    reason: str


@dataclass(frozen=True)
class Course:
    """The state of a question during calibration.

    It is ``open`` until it is ``kept`` or ``rejected`` with a reason, and ``too_easy`` while a
    harder question is searched. ``question`` is the current question, ``replaced`` are the ones it
    replaces, oldest first. ``complexity`` is the complexity that was requested last.
    """

    question: Question
    complexity: int
    state: Literal["open", "too_easy", "kept", "rejected"] = "open"
    reason: str = ""
    replaced: tuple[Replaced, ...] = ()

    @property
    def rounds(self) -> int:
        return len(self.replaced)


def examined(course: Course, findings: Findings, threshold: float, rounds: int) -> Course:
    """Return an open course after its question was examined; ``rounds`` bounds replacements."""
    question = _with_findings(course, findings)
    closed = findings.closed_book
    # The closed-book model comes first: a question that it answers is rejected, not replaced.
    if closed is not None and findings.known:
        reason = (
            f"not_closed_book: {closed.model} answered without a search in {closed.correct} of "
            f"{closed.attempts} attempts"
        )
        return replace(course, question=question, state="rejected", reason=reason)
    best = max(findings.calibration, key=lambda examination: examination.accuracy, default=None)
    if best is None or best.accuracy < threshold:
        return replace(course, question=question, state="kept")
    account = f"{best.model} with accuracy {best.accuracy:.2f}"
    if course.rounds < rounds:
        return replace(
            course,
            question=question,
            state="too_easy",
            reason=f"calibration: answered by {account}",
        )
    outcome = (
        f"still answered after {_format_rounds(rounds)}, by {account}"
        if rounds
        else f"answered by {account}"
    )
    return replace(course, question=question, state="rejected", reason=f"calibration: {outcome}")


def regenerated(course: Course, harder: Question | None) -> Course:
    """Return a too easy course with its replacement, or rejected where ``harder`` is None."""
    if harder is None:
        return replace(
            course, state="rejected", reason=f"{course.reason} and nothing harder exists"
        )
    replaced_question = Replaced(course.question, course.reason)
    # The replacement may be less complex than requested; the next request must still ask for more.
    complexity = max(course.complexity + 1, harder.complexity)
    return Course(harder, complexity, replaced=(*course.replaced, replaced_question))


def _with_findings(course: Course, findings: Findings) -> Question:
    verification = course.question.verification
    if findings.closed_book is not None:
        verification = replace(verification, not_closed_book=not findings.known)
    rows = tuple(examination.calibration(course.rounds) for examination in findings.calibration)
    return replace(course.question, verification=verification, calibration=rows)


def _format_rounds(rounds: int) -> str:
    return f"{rounds} round{'' if rounds == 1 else 's'}"


# --- all questions --------------------------------------------------------------------


def calibrate(
    questions: Sequence[Question],
    examine: Examine,
    regenerate: Regenerate,
    threshold: float,
    rounds: int,
) -> list[Course]:
    """Return the finished course of each question, in the order of ``questions``.

    Each round examines all open questions together, then requests replacements for all that were
    too easy. A replacement that equals a question already in use counts as no replacement.
    """
    courses = [Course(question, question.complexity) for question in questions]
    used_ids = {question.task.task_id for question in questions}
    # Every course ends: an examined course is open again only with one more replaced question, and
    # ``rounds`` bounds those.
    while open_positions := _positions_in_state(courses, "open"):
        round_findings = examine([courses[at].question for at in open_positions])
        for at, findings in zip(open_positions, round_findings, strict=True):
            courses[at] = examined(courses[at], findings, threshold, rounds)
        easy_positions = _positions_in_state(courses, "too_easy")
        requests = [(courses[at].question, courses[at].complexity + 1) for at in easy_positions]
        for at, harder in zip(
            easy_positions, regenerate(requests) if requests else (), strict=True
        ):
            new = harder if harder is not None and harder.task.task_id not in used_ids else None
            # Added at once, so that two questions of a round cannot get the same replacement.
            used_ids |= {new.task.task_id} if new is not None else set()
            courses[at] = regenerated(courses[at], new)
    return courses


def _positions_in_state(courses: Sequence[Course], state: str) -> list[int]:
    return [at for at, course in enumerate(courses) if course.state == state]


class Panel:
    """The configured models as an ``Examine``: the closed-book model first, then the calibration
    models. Examinations are kept in ``ledger``."""

    def __init__(
        self,
        closed_book: Examiner | None,
        models: Sequence[Examiner],
        ledger: ExaminationLedger,
        console: Console,
    ) -> None:
        self._closed_book = closed_book
        self._models = tuple(models)
        self._ledger = ledger
        self._console = console

    def __call__(self, questions: Sequence[Question]) -> list[Findings]:
        closed = self._examine(
            "closed book", questions, (self._closed_book,) if self._closed_book else ()
        )
        first = [Findings(row[0] if row else None, ()) for row in closed]
        # A question that the closed-book model knows is rejected whatever others answer, so the
        # calibration models are not asked it.
        unknown = [at for at, findings in enumerate(first) if not findings.known]
        rows = self._examine("calibration", [questions[at] for at in unknown], self._models)
        later = dict(zip(unknown, rows, strict=True))
        return [
            replace(findings, calibration=later.get(at, ())) for at, findings in enumerate(first)
        ]

    def _examine(
        self, label: str, questions: Sequence[Question], examiners: Sequence[Examiner]
    ) -> list[tuple[Examination, ...]]:
        with Bar(self._console, label, len(questions) * len(examiners), "examinations") as bar:
            return examine_all(
                [question.task for question in questions], examiners, self._ledger, bar
            )


def build_panel(
    config: QuestionsConfig, run: Directory, directory: Directory, console: Console
) -> Panel | None:
    """Return the panel that ``config`` names, or None where it names no model.

    Responses are cached in the ``run`` directory; the ledger is in the stage's ``directory``.
    """
    if config.closed_book is None and not config.calibration:
        return None
    closed = config.closed_book
    return Panel(
        Examiner(closed, open_chat_client(closed, run), config.closed_book_attempts)
        if closed
        else None,
        [
            Examiner(endpoint, open_chat_client(endpoint, run), config.calibration_attempts)
            for endpoint in config.calibration
        ],
        ExaminationLedger(directory.child(LEDGER)),
        console,
    )


# --- estimated cost -------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """The requests, tokens and minutes that examining takes of one model.

    The lower figures hold when every question is kept at once and answered in one line, the upper
    ones when each is replaced until the limit and every reply uses all its tokens.
    """

    role: Role
    model: str
    requests: int
    most_requests: int
    tokens: int
    most_tokens: int
    minutes: float

    def describe(self) -> str:
        """Return one line for ``--dry-run``."""
        return (
            f"{self.role} by {self.model}: {self.requests:,} to {self.most_requests:,} requests, "
            f"{self.tokens:,} to {self.most_tokens:,} tokens, at least {self.minutes:,.0f} min"
        )


def estimate(config: QuestionsConfig, questions: int) -> list[Estimate]:
    """Return the estimate for each configured model and this number of questions."""
    # Only calibration models ask for replacements.
    rounds = config.calibration_rounds if config.calibration else 0
    closed = (config.closed_book,) if config.closed_book is not None else ()
    roles: list[tuple[Role, EndpointConfig, int]] = [
        *(("closed book", endpoint, config.closed_book_attempts) for endpoint in closed),
        *(
            ("calibration", endpoint, config.calibration_attempts)
            for endpoint in config.calibration
        ),
    ]
    return [
        _estimate_role(role, endpoint, config.language, questions * attempts, rounds)
        for role, endpoint, attempts in roles
    ]


def _estimate_role(
    role: Role, endpoint: EndpointConfig, language: Language, attempts: int, rounds: int
) -> Estimate:
    prompt = len(closed_book_prompt("", language).encode()) // _BYTES_PER_TOKEN + _QUESTION_TOKENS
    # A reply cut off at fewer tokens than this is requested once more with more room.
    may_repeat = endpoint.max_tokens < ENOUGH_TOKENS
    longest = prompt + endpoint.max_tokens + (prompt + ENOUGH_TOKENS if may_repeat else 0)
    tokens = attempts * (prompt + min(_REPLY_TOKENS, endpoint.max_tokens))
    by_tokens = tokens / endpoint.tokens_per_minute if endpoint.tokens_per_minute else 0.0
    return Estimate(
        role,
        endpoint.model,
        attempts,
        attempts * (rounds + 1) * (2 if may_repeat else 1),
        tokens,
        attempts * (rounds + 1) * longest,
        max(attempts / endpoint.requests_per_minute, by_tokens),
    )
