"""The panel of models that examine questions: the closed-book model, then the calibration
models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from medr_ray.core.config import EndpointConfig, QuestionsConfig
from medr_ray.core.progress import Bar
from medr_ray.core.records import Question
from medr_ray.core.run import Directory
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.calibration.closed_book import (
    Examination,
    ExaminationLedger,
    Examiner,
    examine_all,
)

LEDGER_FOLDER = "examinations"


@dataclass(frozen=True)
class QuestionExaminations:
    """The examinations of one question by the closed-book model and each calibration model.

    ``closed_book`` is None where no such model is configured. ``calibration`` is empty for a
    question that the closed-book model answered: it is not put to the calibration models.
    """

    closed_book: Examination | None
    calibration: tuple[Examination, ...]

    @property
    def is_answered_from_memory(self) -> bool:
        """Whether the closed-book model was right even once."""
        return self.closed_book is not None and self.closed_book.correct > 0


class ExaminationPanel:
    """Examines questions with the configured models. Examinations are kept in ``ledger``."""

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

    def examine(self, questions: Sequence[Question]) -> list[QuestionExaminations]:
        """Return the examinations of each question, in order."""
        closed_book_models = (self._closed_book,) if self._closed_book else ()
        rows = self._examine_with("closed book", questions, closed_book_models)
        results = [QuestionExaminations(row[0] if row else None, ()) for row in rows]
        # A question that the closed-book model answers is rejected whatever others answer, so it
        # is not put to the calibration models.
        unanswered = [
            position
            for position, result in enumerate(results)
            if not result.is_answered_from_memory
        ]
        rows = self._examine_with(
            "calibration", [questions[position] for position in unanswered], self._models
        )
        for position, row in zip(unanswered, rows, strict=True):
            results[position] = replace(results[position], calibration=row)
        return results

    def _examine_with(
        self, label: str, questions: Sequence[Question], examiners: Sequence[Examiner]
    ) -> list[tuple[Examination, ...]]:
        with Bar(self._console, label, len(questions) * len(examiners), "examinations") as bar:
            return examine_all(
                [question.task for question in questions], examiners, self._ledger, bar
            )


def open_panel(
    config: QuestionsConfig, run: Directory, directory: Directory, console: Console
) -> ExaminationPanel | None:
    """Return the panel that ``config`` names, or None where it names no model.

    Responses are cached in the ``run`` directory; the ledger is in the stage's ``directory``.
    """
    if config.closed_book is None and not config.calibration:
        return None
    closed_book = None
    if config.closed_book is not None:
        client = open_chat_client(config.closed_book, run, "closed_book")
        closed_book = Examiner(config.closed_book, client, config.closed_book_attempts)
    models = [
        _open_examiner(endpoint, run, config.calibration_attempts)
        for endpoint in config.calibration
    ]
    return ExaminationPanel(
        closed_book, models, ExaminationLedger(directory.child(LEDGER_FOLDER)), console
    )


def _open_examiner(endpoint: EndpointConfig, run: Directory, attempts: int) -> Examiner:
    return Examiner(endpoint, open_chat_client(endpoint, run, "calibration"), attempts)
