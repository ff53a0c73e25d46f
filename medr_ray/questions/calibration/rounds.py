"""Rounds of calibration (paper section 3.1.3): a question that a model answers from memory is
replaced by a harder one.

Every calibration model answered a kept question with an accuracy below the threshold, and the
closed-book model never answered it. A question that a calibration model answers too well is
replaced by a harder one, at most ``max_rounds`` times, and then rejected with the reason. A
question that the closed-book model answers is rejected at once. Replacements are requested in the
order of the questions, so the outcome depends on the answers and not on which model answered first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from medr_ray.core.records import Question
from medr_ray.questions.calibration.panel import QuestionExaminations

CalibrationStatus = Literal["open", "too_easy", "kept", "rejected"]
ExamineQuestions = Callable[[Sequence[Question]], Sequence[QuestionExaminations]]


class FindReplacements(Protocol):
    """Finds harder questions."""

    def __call__(self, too_easy: Sequence[tuple[Question, int]]) -> Sequence[Question | None]:
        """Return a verified replacement for each pair of a question and its required complexity.

        The order is that of ``too_easy``; an entry is None where no harder question exists.
        """
        ...


# --- one question ---------------------------------------------------------------------


@dataclass(frozen=True)
class ReplacedQuestion:
    """A question that was too easy, and the reason with the model that answered it."""

    question: Question
    reason: str


@dataclass(frozen=True)
class CalibrationState:
    """The state of a question during calibration.

    It is ``open`` until it is ``kept`` or ``rejected`` with a reason, and ``too_easy`` while a
    harder question is searched. ``question`` is the current question, ``replaced`` are the ones it
    replaces, oldest first. ``requested_complexity`` is the complexity that was requested last.
    """

    question: Question
    requested_complexity: int
    status: CalibrationStatus = "open"
    reason: str = ""
    replaced: tuple[ReplacedQuestion, ...] = ()

    @property
    def replacement_count(self) -> int:
        """How often the question was replaced so far."""
        return len(self.replaced)


def apply_examinations(
    state: CalibrationState, examinations: QuestionExaminations, threshold: float, max_rounds: int
) -> CalibrationState:
    """Return an open state after its question was examined; ``max_rounds`` bounds replacements."""
    question = _record_examinations(state, examinations)
    closed_book = examinations.closed_book
    # The closed-book model comes first: a question that it answers is rejected, not replaced.
    if closed_book is not None and examinations.is_answered_from_memory:
        reason = (
            f"not_closed_book: {closed_book.model} answered without a search in "
            f"{closed_book.correct} of {closed_book.attempts} attempts"
        )
        return replace(state, question=question, status="rejected", reason=reason)
    best = max(examinations.calibration, key=lambda examination: examination.accuracy, default=None)
    if best is None or best.accuracy < threshold:
        return replace(state, question=question, status="kept")
    account = f"{best.model} with accuracy {best.accuracy:.2f}"
    if state.replacement_count < max_rounds:
        reason = f"calibration: answered by {account}"
        return replace(state, question=question, status="too_easy", reason=reason)
    if max_rounds:
        reason = f"calibration: still answered after {_format_rounds(max_rounds)}, by {account}"
    else:
        reason = f"calibration: answered by {account}"
    return replace(state, question=question, status="rejected", reason=reason)


def apply_replacement(state: CalibrationState, replacement: Question | None) -> CalibrationState:
    """Return a too easy state with its replacement, or rejected where there is none."""
    if replacement is None:
        return replace(state, status="rejected", reason=f"{state.reason} and nothing harder exists")
    replaced = (*state.replaced, ReplacedQuestion(state.question, state.reason))
    # The replacement may be less complex than requested; the next request must still ask for more.
    complexity = max(state.requested_complexity + 1, replacement.complexity)
    return CalibrationState(replacement, complexity, replaced=replaced)


def _record_examinations(state: CalibrationState, examinations: QuestionExaminations) -> Question:
    """The question with the results of its examinations in its record."""
    verification = state.question.verification
    # Without a closed-book model the check stays None, which means that it was not made.
    if examinations.closed_book is not None:
        verification = replace(
            verification, not_closed_book=not examinations.is_answered_from_memory
        )
    rows = tuple(
        examination.to_calibration_record(state.replacement_count)
        for examination in examinations.calibration
    )
    return replace(state.question, verification=verification, calibration=rows)


def _format_rounds(rounds: int) -> str:
    return "1 round" if rounds == 1 else f"{rounds} rounds"


# --- all questions --------------------------------------------------------------------


def calibrate_questions(
    questions: Sequence[Question],
    examine: ExamineQuestions,
    find_replacements: FindReplacements,
    threshold: float,
    max_rounds: int,
) -> list[CalibrationState]:
    """Return the final state of each question, in the order of ``questions``.

    Each round examines all open questions together, then requests replacements for all that were
    too easy. A replacement that equals a question already in use counts as no replacement.
    """
    states = [CalibrationState(question, question.complexity) for question in questions]
    used_ids = {question.task.task_id for question in questions}
    # The loop ends: an examined state is open again only with one more replaced question, and
    # ``max_rounds`` bounds those.
    while open_positions := _positions_with_status(states, "open"):
        examinations = examine([states[position].question for position in open_positions])
        for position, examination in zip(open_positions, examinations, strict=True):
            states[position] = apply_examinations(
                states[position], examination, threshold, max_rounds
            )
        _replace_too_easy(states, used_ids, find_replacements)
    return states


def _replace_too_easy(
    states: list[CalibrationState], used_ids: set[str], find_replacements: FindReplacements
) -> None:
    """Replace the too easy questions of one round in ``states``, and add their ids to
    ``used_ids``."""
    positions = _positions_with_status(states, "too_easy")
    if not positions:
        return
    requests = [
        (states[position].question, states[position].requested_complexity + 1)
        for position in positions
    ]
    for position, replacement in zip(positions, find_replacements(requests), strict=True):
        if replacement is not None and replacement.task.task_id in used_ids:
            replacement = None
        if replacement is not None:
            # Added at once, so that two questions of a round cannot get the same replacement.
            used_ids.add(replacement.task.task_id)
        states[position] = apply_replacement(states[position], replacement)


def _positions_with_status(
    states: Sequence[CalibrationState], status: CalibrationStatus
) -> list[int]:
    return [position for position, state in enumerate(states) if state.status == status]
