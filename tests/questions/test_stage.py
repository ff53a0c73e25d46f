"""The questions stage over real records: verified questions, two sides that share nothing, reasons
for the rest, and the same bytes after a resumed run."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.candidates import make_candidate
from support.registry_facts import write_registry_run
from support.without_ray import use_this_process
from werkzeug import Request, Response

from medr_ray.core.config import QuestionsConfig
from medr_ray.core.records import Question, question_metadata
from medr_ray.core.run import Counts, StageContext
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.answer_matching import occurs_in
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.calibration.replacement_pool import ReplacementPool
from medr_ray.questions.drafting.assembly import assemble_question
from medr_ray.questions.shapes import MAX_UNANSWERABLE_SHARE, SHAPES, UNANSWERABLE
from medr_ray.questions.split import split_and_balance
from medr_ray.questions.stage import QUESTIONS_STAGE, drop_contaminated

_FILES = ("questions.parquet", "questions.jsonl", "rejected.jsonl")
_LEADING = ("trial", "drug", "substance", "company", "application", "disease", "gene", "patent")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_process(monkeypatch, "medr_ray.questions.stage")


@pytest.fixture(scope="module")
def questions(finished: StageContext) -> list[Question]:
    return finished.directory.read(QUESTIONS)


@pytest.fixture(scope="module")
def counts(finished: StageContext) -> Counts:
    return finished.directory.read_json("counts.json")


def test_every_question_is_verified_and_rests_on_facts_of_the_run(
    questions: list[Question], finished: StageContext
) -> None:
    facts = {fact.fact_id: fact for fact in finished.run.stage("facts").read(FACTS)}
    assert len(questions) > 100
    assert [q.task.task_id for q in questions] == sorted(q.task.task_id for q in questions)
    for question in questions:
        checks = question.verification
        assert checks.unique
        assert checks.back_reading
        assert checks.uncontaminated is None, "without benchmarks nothing is claimed"
        assert set(question.facts) <= set(facts)
        assert {facts[fact_id].evidence.source for fact_id in question.facts} <= set(
            question.sources
        )
        assert question.steps[-1].name == question.task.answer
        assert question.complexity == question.task.hops
        assert question.skill == SHAPES[question.shape].skill
        assert question.task.metadata == question_metadata(
            question.paradigm, question.complexity, question.specialty, question.shape
        )
        assert (question.paradigm == "lookup") == (question.complexity == 1)


def test_guidance_and_cheat_sheet_contain_no_name(questions: list[Question]) -> None:
    for question in questions:
        masked = question.cheat_sheet + " ".join(str(step) for step in question.guidance)
        for placeholder, step in zip(question.entity_mapping, question.steps, strict=True):
            assert placeholder.placeholder in question.cheat_sheet
            assert placeholder.entity_id == step.value
            # A category such as "E" is in every text.
            assert step.value.startswith("VALUE:") or not occurs_in(step.name, masked)


def test_no_heldout_and_train_question_share_a_record(
    questions: list[Question], counts: Counts
) -> None:
    sides = {
        split: [question for question in questions if question.split == split]
        for split in ("train", "heldout")
    }
    assert (counts["train"], counts["heldout"]) == (len(sides["train"]), len(sides["heldout"]))
    led = {
        split: {
            step.value
            for question in side
            for step in question.steps
            if step.value_type in _LEADING and step.value
        }
        for split, side in sides.items()
    }
    assert led["train"]
    assert led["heldout"]
    assert not led["train"] & led["heldout"]


def test_no_shape_and_no_answer_takes_more_than_its_share(
    questions: list[Question], finished: StageContext
) -> None:
    config = finished.config.questions
    for split in ("train", "heldout"):
        side = [question for question in questions if question.split == split]
        shapes = Counter(question.shape for question in side)
        assert max(shapes.values()) <= max(1, config.max_shape_share * len(side))
        assert shapes[UNANSWERABLE] <= MAX_UNANSWERABLE_SHARE * len(side)
        answers = Counter((question.steps[-1].kind, question.task.answer) for question in side)
        assert max(answers.values()) <= max(3, round(config.max_answer_share * len(side)))
    assert len({question.task.text for question in questions}) == len(questions)


def test_what_was_refused_is_counted_and_keeps_its_reasons(
    finished: StageContext, counts: Counts
) -> None:
    rows = [
        json.loads(line) for line in finished.directory.read_bytes("rejected.jsonl").splitlines()
    ]
    assert rows
    assert all(row["reasons"] and row["shape"] for row in rows)
    kept = {reason.partition(":")[0] for row in rows for reason in row["reasons"]}
    assert kept == set(counts["reasons"])
    assert counts["accepted"] == sum(counts["by_shape"].values())
    assert counts["candidates_verified"] >= counts["accepted"]


def test_a_resumed_run_drafts_what_is_missing_and_ends_with_the_same_bytes(
    finished: StageContext, tmp_path: Path
) -> None:
    context = write_registry_run(tmp_path)
    done = finished.directory
    names = done.list_files("drafts/accepted")
    # What a killed run leaves: some units, and one whose accepted part was still to come.
    for name in names[:20]:
        for folder in ("drafts/rejected", "drafts/accepted"):
            path = f"{folder}/{name}"
            if folder == "drafts/rejected" or name != names[0]:
                context.directory.write_bytes(path, done.read_bytes(path))
        reasons = f"drafts/rejected/{name}.reasons.json"
        context.directory.write_bytes(reasons, done.read_bytes(reasons))
    before = {
        name: (context.directory.local / "drafts/accepted" / name).stat().st_mtime_ns
        for name in names[1:20]
    }
    QUESTIONS_STAGE.execute(context)
    for name, time in before.items():
        path = context.directory.local / "drafts/accepted" / name
        assert path.stat().st_mtime_ns == time
    for name in _FILES:
        assert context.directory.read_bytes(name) == done.read_bytes(name)


def test_questions_of_a_benchmark_are_not_asked(tmp_path: Path) -> None:
    first, second = make_candidate(1), make_candidate(2)
    long = "Which company was the lead sponsor of the trial of omalizumab in children with eczema?"
    first = replace(first, text=long)
    file = tmp_path / "benchmark.jsonl"
    file.write_text(json.dumps({"question": long, "answer": "Novartis"}) + "\n", encoding="utf-8")
    clean, rejected = drop_contaminated([first, second], [str(file)])
    assert [candidate.key for candidate in clean] == [second.key]
    assert clean[0].verification.uncontaminated is True
    assert [(draft.key, len(draft.reasons)) for draft in rejected] == [(first.key, 1)]


def test_a_question_that_was_too_easy_gives_way_to_a_harder_one_of_its_seed_and_side() -> None:
    easy = make_candidate(1)
    harder = [
        replace(
            make_candidate(10 + hops, shape="trial_to_approval", chain=("x",), hops=hops),
            seed=easy.seed,
        )
        for hops in (4, 2, 3)
    ]
    other = make_candidate(2, hops=5)
    config = QuestionsConfig(max_shape_share=1, heldout_fraction=0)
    split = split_and_balance([easy, *harder, other], config, 0)
    chosen = replace(split, train=(easy, other))
    pool = ReplacementPool(chosen, partial(assemble_question, language="en"))
    question = assemble_question(easy, "train", "en")
    replaced = pool.find_replacements([(question, 2), (question, 2), (question, 4), (question, 5)])
    assert [choice and choice.complexity for choice in replaced] == [2, 3, 4, None]
    assert {(choice.split, choice.seed) for choice in replaced if choice} == {("train", easy.seed)}


def test_a_configuration_that_can_ask_nothing_is_refused_before_it_runs(
    finished: StageContext,
) -> None:
    def list_problems(**sections: Any) -> list[str]:
        config = finished.config.model_copy(
            update={
                name: getattr(finished.config, name).model_copy(update=fields)
                for name, fields in sections.items()
            }
        )
        return list(QUESTIONS_STAGE.check(config, finished.run))

    assert list_problems() == []
    (problem,) = list_problems(questions={"min_hops": 30, "max_hops": 40})
    assert "no shape has a chain of steps" in problem
    (problem,) = list_problems(index={"sources": ()})
    assert "none of them is searchable" in problem


@pytest.mark.slow
def test_questions_that_a_model_answers_from_memory_are_rejected(
    table: FactTable, tmp_path: Path, httpserver: HTTPServer
) -> None:
    """A model that knows who sponsored every trial that Genentech did, and nothing else."""

    def reply(request: Request) -> Response:
        message = {"role": "assistant", "content": "Answer: Genentech"}
        return Response(
            json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}),
            content_type="application/json",
        )

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(reply)
    endpoint = {"base_url": httpserver.url_for("/v1"), "model": "m", "requests_per_minute": 1e6}
    context = write_registry_run(
        tmp_path, closed_book=endpoint, max_questions=60, shapes=["trial_record"], max_shape_share=1
    )
    counts = QUESTIONS_STAGE.execute(context)
    questions = context.directory.read(QUESTIONS)
    assert questions
    assert counts["reasons"]["not_closed_book"] > 0
    assert all(question.verification.not_closed_book for question in questions)
    assert not any(question.task.answer == "Genentech" for question in questions)
