"""A model examined without tools over HTTP: what counts as right, as wrong, and as no measurement
at all."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from support.examinee import OUTPUT_TOKENS, PROMPT_TOKENS, Examinee, completion, prompt_of
from support.misbehaving_endpoint import fresh_governor
from support.questions import worded_task
from werkzeug import Response

from medr_ray.core.errors import InfrastructureError, ModelError
from medr_ray.core.progress import Bar
from medr_ray.core.records import Task
from medr_ray.core.run import Directory
from medr_ray.governor.budget import BudgetExceeded
from medr_ray.llm.client import ChatClient
from medr_ray.questions.calibration.closed_book import (
    RETRY_TOKENS,
    SAMPLING_TEMPERATURE,
    Examination,
    ExaminationLedger,
    Examiner,
    examine_all,
    format_closed_book_prompt,
    parse_answer,
)

_PER_REPLY = PROMPT_TOKENS + OUTPUT_TOKENS
_TASK = worded_task(aliases=("AR",))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_governor(monkeypatch)


@pytest.fixture
def threaded() -> Iterator[HTTPServer]:
    """A server that answers several requests at once."""
    with HTTPServer(threaded=True) as server:
        yield server


def _bar() -> Bar:
    return Bar(Console(quiet=True), "examining", None)


def _make_tasks(count: int) -> list[Task]:
    return [
        replace(_TASK, task_id=f"q-{n}", text=f"What is thing {n:03d}?", answer=f"answer {n}")
        for n in range(count)
    ]


class _ClosedBookSetup:
    """An examinee, its examiner and a ledger on disk."""

    def __init__(
        self, server: HTTPServer, folder: Path, answer: Any, attempts: int = 1, **settings: Any
    ) -> None:
        self.examinee = Examinee(
            server, (lambda _: answer) if isinstance(answer, str | Response) else answer
        )
        self._folder, self._attempts, self._settings = folder, attempts, settings

    def examine(self, *tasks: Task, **changed: Any) -> list[Examination]:
        """Examines as a restarted run does: with a new client and a new ledger."""
        settings = {**self._settings, **changed}
        attempts = settings.pop("attempts", self._attempts)
        endpoint = self.examinee.endpoint(**settings)
        examiner = Examiner(endpoint, ChatClient(endpoint, Directory(str(self._folder))), attempts)
        ledger = ExaminationLedger(Directory(str(self._folder / "ledger")))
        return [examination for (examination,) in examine_all(tasks, [examiner], ledger, _bar())]


# --- reading a reply ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("It is recessive.\nAnswer: Autosomal recessive", "Autosomal recessive"),
        ("answer : FBN1", "FBN1"),
        ("**Final Answer:** Krabbe disease", "Krabbe disease"),
        ("**Answer: Krabbe disease**", "Krabbe disease"),
        ('- Answer:\n\n"Krabbe disease"', "Krabbe disease"),
        ("Answer: <Krabbe disease>", "Krabbe disease"),
        ("Answer: <5 mg", "<5 mg"),
        ("I think of two.\nAnswer: GALC\nNo, wait.\nAnswer: PSAP", "PSAP"),
        ("The answer is probably GALC.\nLet me check.\nAnswer: PSAP", "PSAP"),
        ("Well.\nThe answer is GALC", "GALC"),
        ("<think>Answer: GALC</think>Answer: PSAP", "PSAP"),
        ("Some thought without its opening.\nAnswer: GALC\n</think>\n\nPSAP", "PSAP"),
        ("<think>Answer: GALC", None),
        ("I reason.\n<answer>GALC</answer>", "GALC"),
        ("分析如下。\n答案：常染色体隐性遗传", "常染色体隐性遗传"),
        ("最终答案是GALC", "GALC"),
        ("Autosomal recessive", "Autosomal recessive"),
        ("I cannot say.\nNobody can.", None),
        ("Answer:", None),
        ("**Answer:**", None),
        ("", None),
    ],
)
def test_the_final_answer_of_a_reply(reply: str, answer: str | None) -> None:
    assert parse_answer(reply) == answer


def test_the_question_stands_in_the_prompt_word_for_word() -> None:
    text = "Which drug costs $5 & reads ${question} at p<0.05?"
    assert format_closed_book_prompt(text, "en").rstrip().endswith(f"Question: {text}")
    assert (
        format_closed_book_prompt("遗传方式是什么？", "zh")
        .rstrip()
        .endswith("问题：遗传方式是什么？")
    )


# --- one question ---------------------------------------------------------------------


def test_attempts_are_sampled_with_seeds_and_judged_with_aliases(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    replies = [
        "Answer: autosomal recessive inheritance",
        "Answer: AR",
        "Answer: X-linked",
        "I do not know.\nSorry.",
    ]
    room = _ClosedBookSetup(httpserver, tmp_path, lambda body: replies[body["seed"]], attempts=4)
    assert room.examine(_TASK) == [Examination("tiny", 4, 2, 1, 4 * _PER_REPLY)]
    assert sorted(body["seed"] for body in room.examinee.bodies) == [0, 1, 2, 3]
    assert {body["temperature"] for body in room.examinee.bodies} == {SAMPLING_TEMPERATURE}
    assert all(_TASK.text in prompt_of(body) for body in room.examinee.bodies)


@pytest.mark.parametrize(
    ("attempts", "configured", "sent"), [(1, 0.0, 0.0), (1, 0.3, 0.3), (4, 1.0, 1.0)]
)
def test_a_temperature_that_was_configured_stands(
    httpserver: HTTPServer, tmp_path: Path, attempts: int, configured: float, sent: float
) -> None:
    room = _ClosedBookSetup(httpserver, tmp_path, "Answer: AR", attempts, temperature=configured)
    room.examine(_TASK)
    assert {body["temperature"] for body in room.examinee.bodies} == {sent}


@pytest.mark.parametrize(
    ("correct", "attempts", "lower", "upper"),
    [
        (0, 4, 0.0, 0.6024),
        (2, 4, 0.0676, 0.9324),
        (4, 4, 0.3976, 1.0),
    ],
)
def test_an_accuracy_has_its_clopper_pearson_interval(
    correct: int, attempts: int, lower: float, upper: float
) -> None:
    record = Examination("tiny", attempts, correct, 0, 40).to_calibration_record(
        replacement_count=2
    )
    assert (record.model, record.attempts, record.correct, record.rounds, record.tokens) == (
        "tiny",
        attempts,
        correct,
        2,
        40,
    )
    assert record.accuracy == correct / attempts
    assert (record.lower, record.upper) == pytest.approx((lower, upper), abs=1e-4)


# --- replies that were cut off --------------------------------------------------------


def test_a_reply_that_was_cut_off_is_asked_for_again_with_more_room(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    def answer(body: dict[str, Any]) -> Response:
        if body["max_tokens"] < RETRY_TOKENS:
            return completion("Answer: AR is my first thou", "length")
        return completion("Answer: AR")

    room = _ClosedBookSetup(httpserver, tmp_path, answer, max_tokens=64)
    assert room.examine(_TASK) == [Examination("tiny", 1, 1, 0, 2 * _PER_REPLY)]
    assert [body["max_tokens"] for body in room.examinee.bodies] == [64, RETRY_TOKENS]


def test_half_an_answer_is_wrong_when_there_was_room_for_all_of_it(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    room = _ClosedBookSetup(
        httpserver, tmp_path, lambda _: completion("Answer: AR", "length"), max_tokens=RETRY_TOKENS
    )
    assert room.examine(_TASK) == [Examination("tiny", 1, 0, 1, _PER_REPLY)]
    assert len(room.examinee.bodies) == 1


_TOO_LONG = Response(
    (
        '{"error": {"message": "the maximum context length is 2048", "code": '
        '"context_length_exceeded"}}'
    ),
    status=400,
    content_type="application/json",
)


def test_a_reply_is_wrong_when_the_model_takes_no_more(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    def answer(body: dict[str, Any]) -> Response:
        return (
            _TOO_LONG if body["max_tokens"] == RETRY_TOKENS else completion("Let me see", "length")
        )

    room = _ClosedBookSetup(httpserver, tmp_path, answer, max_tokens=1024)
    assert room.examine(_TASK) == [Examination("tiny", 1, 0, 1, _PER_REPLY)]


def test_a_model_that_takes_no_question_at_all_is_an_error(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="2048"):
        _ClosedBookSetup(httpserver, tmp_path, _TOO_LONG).examine(_TASK)


# --- an endpoint that fails -----------------------------------------------------------

_FAILURES = {
    "429": Response("slow down", status=429, headers={"Retry-After": "0.01"}),
    "500": Response("oops", status=500),
    "malformed": Response('{"choices": [', content_type="application/json"),
    "no completion": Response('{"result": "ok"}', content_type="application/json"),
}


@pytest.mark.parametrize("failure", _FAILURES)
def test_a_failure_that_passes_costs_nothing(
    httpserver: HTTPServer, tmp_path: Path, failure: str
) -> None:
    replies = [_FAILURES[failure], completion("Answer: AR")]
    room = _ClosedBookSetup(httpserver, tmp_path, lambda _: replies.pop(0))
    assert room.examine(_TASK) == [Examination("tiny", 1, 1, 0, _PER_REPLY)]


@pytest.mark.parametrize("failure", _FAILURES)
def test_a_failure_that_stays_is_an_error_and_no_wrong_answer(
    httpserver: HTTPServer, tmp_path: Path, failure: str
) -> None:
    room = _ClosedBookSetup(httpserver, tmp_path, _FAILURES[failure], cache=False)
    with pytest.raises(InfrastructureError, match="failed 2 times"):
        room.examine(_TASK)
    room.examinee.answer = lambda _: "Answer: AR"
    assert room.examine(_TASK)[0].correct == 1, "the failure left nothing behind"


def test_an_endpoint_that_hangs_ends_at_its_deadline(threaded: HTTPServer, tmp_path: Path) -> None:
    over = threading.Event()

    def hang(_: dict[str, Any]) -> str:
        over.wait(30)
        return "Answer: AR"

    try:
        with pytest.raises(InfrastructureError):
            _ClosedBookSetup(threaded, tmp_path, hang, timeout_seconds=0.2, retries=0).examine(
                _TASK
            )
    finally:
        over.set()


# --- many questions -------------------------------------------------------------------


def _answer_even_questions(body: dict[str, Any]) -> str:
    """The right answer to every even thing."""
    number = int(prompt_of(body).split("What is thing ")[1][:3])
    return f"Answer: answer {number}" if number % 2 == 0 else "Answer: no idea"


def test_questions_are_answered_side_by_side_and_reported_in_their_order(
    threaded: HTTPServer, tmp_path: Path
) -> None:
    together = threading.Barrier(4)

    def answer(body: dict[str, Any]) -> str:
        together.wait(20)
        return _answer_even_questions(body)

    examinations = _ClosedBookSetup(threaded, tmp_path, answer, concurrency=4, retries=0).examine(
        *_make_tasks(12)
    )
    assert [examination.correct for examination in examinations] == [1, 0] * 6


def test_questions_that_wait_reserve_nothing_of_the_budget(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    settings = {"max_tokens": 1000, "concurrency": 1, "budget_tokens": 2500}
    assert (
        len(
            _ClosedBookSetup(httpserver, tmp_path, _answer_even_questions, **settings).examine(
                *_make_tasks(20)
            )
        )
        == 20
    )


def test_a_spent_budget_is_an_error(httpserver: HTTPServer, tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded):
        _ClosedBookSetup(
            httpserver, tmp_path, _answer_even_questions, max_tokens=1000, budget_tokens=500
        ).examine(*_make_tasks(2))


def test_a_killed_run_continues_with_the_missing_questions(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    questions = _make_tasks(10)

    def failing(body: dict[str, Any]) -> str | Response:
        return (
            Response("oops", status=503)
            if "thing 007" in prompt_of(body)
            else _answer_even_questions(body)
        )

    room = _ClosedBookSetup(
        httpserver, tmp_path, failing, cache=False, concurrency=1
    )  # only the ledger remembers
    with pytest.raises(InfrastructureError):
        room.examine(*questions)
    assert room.examinee.count_requests("thing 006") == 1
    room.examinee.answer = _answer_even_questions
    assert [examination.correct for examination in room.examine(*questions)] == [1, 0] * 5
    assert [room.examinee.count_requests(f"thing {n:03d}") for n in range(7)] == [1] * 7
    before = len(room.examinee.bodies)
    room.examine(*questions)
    assert len(room.examinee.bodies) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"attempts": 2},
        {"model": "other"},
        {"temperature": 0.5},
        {"max_tokens": 77},
    ],
)
def test_an_examination_under_other_terms_is_another_one(
    httpserver: HTTPServer, tmp_path: Path, changed: dict[str, Any]
) -> None:
    room = _ClosedBookSetup(httpserver, tmp_path, "Answer: AR", cache=False, temperature=0.9)
    room.examine(_TASK)
    room.examine(_TASK, concurrency=3, requests_per_minute=7e5)
    assert len(room.examinee.bodies) == 1
    room.examine(_TASK, **changed)
    assert len(room.examinee.bodies) > 1


def test_a_ledger_is_written_part_by_part(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    ledger = ExaminationLedger(directory, part_size=2)
    for number in range(3):
        ledger.add(f"key {number}", f"q-{number}", Examination("tiny", 4, number, 0, 9))
    assert "key 2" in ledger
    after_a_kill = ExaminationLedger(directory, part_size=2)
    assert ["key 1" in after_a_kill, "key 2" in after_a_kill] == [True, False]
    assert after_a_kill["key 1"] == Examination("tiny", 4, 1, 0, 9)
    after_a_kill.add("key 2", "q-2", Examination("tiny", 4, 3, 0, 9))
    after_a_kill.flush()
    assert ExaminationLedger(directory)["key 2"].correct == 3
    assert directory.list_files() == ["part-00000.parquet", "part-00001.parquet"]
