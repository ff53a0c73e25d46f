"""Questions that models answer from memory are replaced by harder ones, or rejected."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from rich.console import Console
from support.examinee import Examinee, prompt_of
from support.misbehaving_endpoint import fresh_governor
from support.questions import with_task, worded_question
from werkzeug import Response

from medr_ray.core.config import EndpointConfig, QuestionsConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Question
from medr_ray.core.run import Directory
from medr_ray.questions.calibration.closed_book import Examination
from medr_ray.questions.calibration.panel import LEDGER_FOLDER, QuestionExaminations, open_panel
from medr_ray.questions.calibration.rounds import CalibrationState, calibrate_questions
from medr_ray.questions.cost_estimate import estimate_examinations

_ATTEMPTS = 4


def _make_question(name: str, complexity: int = 1) -> Question:
    return with_task(
        replace(worded_question(), complexity=complexity),
        task_id=f"q-{name}",
        text=f"What is {name}?",
        answer=f"the {name} itself",
    )


def _harder(question: Question, complexity: int) -> Question:
    """The next question of a family: a, a+, a++."""
    return replace(
        _make_question(f"{question.task.task_id[2:]}+", complexity), chain_id=question.chain_id
    )


def _make_examinations(*correct: int, closed_book: int | None = None) -> QuestionExaminations:
    """So many right answers of four by the models m0, m1, ...; and of the closed-book model."""
    closed = None if closed_book is None else Examination("closed", 2, closed_book, 0, 5)
    return QuestionExaminations(
        closed,
        tuple(Examination(f"m{n}", _ATTEMPTS, count, 0, 10) for n, count in enumerate(correct)),
    )


class _CalibrationSetup:
    """Prepared examinations by question text; records the requests for harder questions."""

    def __init__(
        self,
        examinations: dict[str, QuestionExaminations],
        harder: Callable[[Question, int], Question | None] = _harder,
    ):
        self._examinations, self._harder = examinations, harder
        self.requests: list[list[tuple[str, int]]] = []

    def examine(self, questions: Sequence[Question]) -> list[QuestionExaminations]:
        return [self._examinations[question.task.task_id[2:]] for question in questions]

    def find_replacements(self, too_easy: Sequence[tuple[Question, int]]) -> list[Question | None]:
        self.requests.append(
            [(question.task.task_id[2:], complexity) for question, complexity in too_easy]
        )
        return [self._harder(question, complexity) for question, complexity in too_easy]

    def run(self, *names: str, rounds: int = 3) -> list[CalibrationState]:
        return calibrate_questions(
            [_make_question(name) for name in names],
            self.examine,
            self.find_replacements,
            0.5,
            rounds,
        )


# --- the rule -------------------------------------------------------------------------


def test_a_question_below_the_threshold_is_kept_with_what_was_measured() -> None:
    setup = _CalibrationSetup({"a": _make_examinations(1, 0, closed_book=0)})
    (state,) = setup.run("a")
    assert (state.status, state.reason, state.replaced) == ("kept", "", ())
    first, second = state.question.calibration
    assert (
        first.model,
        first.attempts,
        first.correct,
        first.accuracy,
        first.rounds,
        first.tokens,
    ) == ("m0", 4, 1, 0.25, 0, 10)
    assert first.lower == pytest.approx(0.0063, abs=1e-4)
    assert first.upper == pytest.approx(0.8059, abs=1e-4)
    assert second.correct == 0
    assert state.question.verification.not_closed_book is True
    assert setup.requests == []


def test_one_model_at_the_threshold_is_enough_to_ask_harder() -> None:
    setup = _CalibrationSetup({"a": _make_examinations(0, 2), "a+": _make_examinations(1, 1)})
    (state,) = setup.run("a")
    assert setup.requests == [[("a", 2)]]
    assert (state.status, state.question.task.task_id, state.question.complexity) == (
        "kept",
        "q-a+",
        2,
    )
    assert [entry.rounds for entry in state.question.calibration] == [1, 1]
    (replaced,) = state.replaced
    assert (replaced.question.task.task_id, replaced.reason) == (
        "q-a",
        "calibration: answered by m1 with accuracy 0.50",
    )
    assert [entry.correct for entry in replaced.question.calibration] == [0, 2]


def test_each_round_asks_for_one_more() -> None:
    setup = _CalibrationSetup(
        {
            "a": _make_examinations(4),
            "a+": _make_examinations(3),
            "a++": _make_examinations(2),
            "a+++": _make_examinations(1),
        }
    )
    (state,) = setup.run("a", rounds=3)
    assert setup.requests == [[("a", 2)], [("a+", 3)], [("a++", 4)]]
    assert (state.status, state.replacement_count, state.question.task.task_id) == (
        "kept",
        3,
        "q-a+++",
    )


def test_a_replacement_of_the_same_length_does_not_ask_for_the_same_again() -> None:
    """It may be harder by what it hides."""
    setup = _CalibrationSetup(
        {"a": _make_examinations(4), "a+": _make_examinations(3), "a++": _make_examinations(1)},
        lambda question, _: _harder(question, 1),
    )
    setup.run("a")
    assert setup.requests == [[("a", 2)], [("a+", 3)]]


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        (2, "calibration: still answered after 2 rounds, by m0 with accuracy 0.75"),
        (1, "calibration: still answered after 1 round, by m0 with accuracy 0.75"),
        (0, "calibration: answered by m0 with accuracy 0.75"),
    ],
)
def test_a_question_is_rejected_at_the_limit(rounds: int, reason: str) -> None:
    setup = _CalibrationSetup(
        {"a": _make_examinations(3), "a+": _make_examinations(3), "a++": _make_examinations(3)}
    )
    (state,) = setup.run("a", rounds=rounds)
    assert (state.status, state.reason, len(setup.requests)) == ("rejected", reason, rounds)
    assert state.question.calibration[0].accuracy == 0.75


def test_a_question_is_rejected_when_nothing_harder_exists() -> None:
    (state,) = _CalibrationSetup({"a": _make_examinations(3)}, lambda *_: None).run("a")
    assert (state.status, state.reason) == (
        "rejected",
        "calibration: answered by m0 with accuracy 0.75 and nothing harder exists",
    )


def test_a_question_in_use_is_no_replacement() -> None:
    examinations = {
        "a": _make_examinations(4),
        "b": _make_examinations(4),
        "c": _make_examinations(0),
        "c+": _make_examinations(0),
    }
    states = _CalibrationSetup(examinations, lambda *_: _make_question("c")).run("a", "c")
    assert [state.status for state in states] == ["rejected", "kept"]
    states = _CalibrationSetup(examinations, lambda *_: _make_question("c+")).run("a", "b")
    assert [state.status for state in states] == ["kept", "rejected"], (
        "two questions cannot become the same one"
    )


def test_one_right_answer_without_a_search_rejects_a_question() -> None:
    setup = _CalibrationSetup(
        {"a": _make_examinations(closed_book=1), "b": _make_examinations(0, closed_book=0)}
    )
    answered, unknown = setup.run("a", "b")
    assert (
        answered.status,
        answered.reason,
        answered.question.verification.not_closed_book,
    ) == (
        "rejected",
        "not_closed_book: closed answered without a search in 1 of 2 attempts",
        False,
    )
    assert (unknown.status, unknown.question.verification.not_closed_book) == ("kept", True)
    assert setup.requests == []


def test_without_models_nothing_is_recorded() -> None:
    (state,) = _CalibrationSetup({"a": QuestionExaminations(None, ())}).run("a")
    assert state == CalibrationState(_make_question("a"), 1, "kept")
    assert state.question.verification.not_closed_book is None


def test_questions_keep_their_order_and_rounds_are_shared() -> None:
    setup = _CalibrationSetup(
        {
            "a": _make_examinations(4),
            "a+": _make_examinations(0),
            "b": _make_examinations(0),
            "c": _make_examinations(4),
            "c+": _make_examinations(4),
            "c++": _make_examinations(0),
        }
    )
    states = setup.run("a", "b", "c")
    assert [state.question.task.task_id for state in states] == ["q-a+", "q-b", "q-c++"]
    assert setup.requests == [[("a", 2), ("c", 2)], [("c+", 3)]]


# --- over HTTP ------------------------------------------------------------------------


class _ScriptedModels:
    """Three models behind one server. ``knowing`` maps (model, question) to the number of correct
    attempts."""

    def __init__(
        self, server: HTTPServer, folder: Path, knowing: dict[tuple[str, str], int]
    ) -> None:
        self.examinee, self._knowing, self._folder = Examinee(server, self._answer), knowing, folder
        self.config = QuestionsConfig(
            closed_book=self.examinee.endpoint("closed", cache=False),
            calibration=tuple(self.examinee.endpoint(model, cache=False) for model in ("m0", "m1")),
        )

    def _answer(self, body: dict[str, Any]) -> str:
        name = prompt_of(body).split("What is ")[1].split("?")[0]
        right = body["seed"] < self._knowing.get((body["model"], name), 0)
        return f"Answer: the {name} itself" if right else "Answer: something else"

    def calibrate(self, *names: str) -> list[CalibrationState]:
        stage = Directory(str(self._folder / "questions"))
        panel = open_panel(self.config, Directory(str(self._folder)), stage, Console(quiet=True))
        assert panel is not None
        return calibrate_questions(
            [_make_question(name) for name in names],
            panel.examine,
            lambda easy: [_harder(*pair) for pair in easy],
            self.config.calibration_threshold,
            self.config.calibration_rounds,
        )

    def count_requests(self, model: str, name: str) -> int:
        return self.examinee.count_requests(f"What is {name}?", model)


@pytest.fixture
def models(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> _ScriptedModels:
    fresh_governor(monkeypatch)
    return _ScriptedModels(
        httpserver, tmp_path, {("closed", "known"): 1, ("m1", "easy"): 3, ("m0", "easy+"): 2}
    )


def test_models_are_asked_as_often_as_configured(models: _ScriptedModels) -> None:
    answered, easy, hard = models.calibrate("known", "easy", "hard")
    assert [state.status for state in (answered, easy, hard)] == ["rejected", "kept", "kept"]
    assert easy.question.task.task_id == "q-easy++"
    assert [(entry.model, entry.correct, entry.rounds) for entry in easy.question.calibration] == [
        ("m0", 0, 2),
        ("m1", 0, 2),
    ]
    assert [
        models.count_requests("closed", name) for name in ("known", "easy", "easy++", "hard")
    ] == [
        1,
        1,
        1,
        1,
    ]
    assert [models.count_requests("m1", name) for name in ("known", "easy", "easy++", "hard")] == [
        0,
        4,
        4,
        4,
    ]


def test_a_killed_run_continues_and_ends_the_same(models: _ScriptedModels, tmp_path: Path) -> None:
    answer = models.examinee.answer
    models.examinee.answer = lambda body: (
        Response("oops", status=500) if "easy+?" in prompt_of(body) else answer(body)
    )
    with pytest.raises(InfrastructureError):
        models.calibrate("easy", "hard")
    models.examinee.answer = answer
    resumed = models.calibrate("easy", "hard")
    assert [models.count_requests("m0", name) for name in ("easy", "hard")] == [4, 4], (
        "finished questions were not asked again"
    )
    for name in (
        ledger := Directory(str(tmp_path / "questions")).child(LEDGER_FOLDER)
    ).list_files():
        ledger.remove(name)
    assert models.calibrate("easy", "hard") == resumed


def test_without_a_model_there_is_no_panel(tmp_path: Path) -> None:
    assert (
        open_panel(QuestionsConfig(), Directory(str(tmp_path)), Directory(str(tmp_path)), Console())
        is None
    )


# --- estimate and configuration -------------------------------------------------------


def test_an_estimate_covers_the_requests_made(models: _ScriptedModels) -> None:
    plain = {cost.endpoint.model: cost for cost in estimate_examinations(models.config, 2)}
    models.calibrate("hard", "harder")
    for model, cost in plain.items():
        assert cost.requests == sum(body["model"] == model for body in models.examinee.bodies)
        assert cost.input_tokens + cost.output_tokens < cost.most_tokens
    models.examinee.bodies.clear()
    models.calibrate("easy", "known")
    for model, cost in plain.items():
        assert sum(body["model"] == model for body in models.examinee.bodies) <= cost.most_requests


def test_an_estimate_names_requests_tokens_and_minutes() -> None:
    model = EndpointConfig(model="m", requests_per_minute=100, max_tokens=8192)
    config = QuestionsConfig(calibration=(model,), calibration_rounds=1)
    (cost,) = estimate_examinations(config, 1000)
    assert (cost.requests, cost.most_requests, cost.minutes) == (4000, 8000, 40)
    assert cost.most_tokens > 8000 * 8192
    assert cost.describe().startswith("calibration by m: about 4,000 requests, ")
    assert "no price set, 40 min by requests_per_minute; at most 8,000 req" in cost.describe()
    tokens = cost.input_tokens + cost.output_tokens
    slow = model.model_copy(update={"tokens_per_minute": tokens / 60})
    (slow_cost,) = estimate_examinations(QuestionsConfig(calibration=(slow,)), 1000)
    assert slow_cost.minutes == pytest.approx(60)
    assert estimate_examinations(QuestionsConfig(), 1000) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"calibration": [{"model": "m"}, {"model": ""}]}, "empty model"),
        ({"calibration": [{"model": "m"}, {"model": "m", "concurrency": 2}]}, "listed twice"),
        ({"closed_book": {"base_url": "http://127.0.0.1:1/v1"}}, "closed_book.model is empty"),
    ],
)
def test_incomplete_model_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        QuestionsConfig.model_validate(settings)
