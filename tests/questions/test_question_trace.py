"""A question drawn from its record alone, and what the commands print of it."""

import json
from pathlib import Path

import pytest
from support.small_graph import MARFAN, MASS, fact_index_of, small_graph

from medr_ray.cli.questions import show_question
from medr_ray.core.errors import DataError
from medr_ray.core.records import Question
from medr_ray.core.run import RunDirectory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.hops import make_walk, mark_other_hops
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.checks.question_verification import QuestionVerifier
from medr_ray.questions.drafting.assembly import assemble_question
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.question_trace import read_question_trace
from medr_ray.questions.split import Candidate
from medr_ray.questions.wording.writers import Draft, EnglishRulesWriter

GRAPH = small_graph()


def make_question(*walks: tuple[str, tuple[str, ...]]) -> Question:
    facts = fact_index_of(GRAPH)
    disambiguator = Disambiguator(GRAPH.relations.values(), facts)
    hops = []
    for start, relations in walks:
        walk = make_walk(start, [GRAPH.relations[relation_id] for relation_id in relations])
        assert walk is not None
        hops.append(disambiguator.disambiguate_walk(mark_other_hops(walk, facts), {start}))
    path = QuestionPath(MARFAN, "chain-m", hops[0], True, hops[1] if len(hops) > 1 else ())
    draft = Draft(path)
    text = EnglishRulesWriter(GRAPH.entities).write([draft])[0].text
    verdict = QuestionVerifier(GRAPH.entities, GRAPH.relations, facts).verify(draft, text)
    return assemble_question(
        Candidate(draft, text, verdict), "train", GRAPH.entities, GRAPH.specialties, "en"
    )


def write_run(tmp_path: Path, question: Question) -> RunDirectory:
    run = RunDirectory(str(tmp_path))
    run.write(QUESTIONS, [question])
    run.write(RELATIONS, GRAPH.relations.values())
    run.write(ENTITIES, GRAPH.entities.values())
    return run


def test_steps_follow_the_walk_and_further_facts_come_after(tmp_path: Path) -> None:
    example = make_question(("GENE:FBN1", ("fbn1", "lens")))
    trace = read_question_trace(write_run(tmp_path, example), example.task.task_id)
    assert [
        (step.known.name, step.target.name, step.walked, step.begins) for step in trace.steps[:2]
    ] == [
        ("FBN1", "Marfan syndrome", True, True),
        ("Marfan syndrome", "Ectopia lentis", True, False),
    ]
    assert trace.steps[2:], "Marfan syndrome is told apart from MASS syndrome"
    assert not any(step.walked for step in trace.steps[2:])


def test_a_second_walk_begins_anew(tmp_path: Path) -> None:
    example = make_question((MARFAN, ("fbn1",)), (MASS, ("fbn1-mass",)))
    trace = read_question_trace(write_run(tmp_path, example), example.task.task_id)
    assert [(step.known.name, step.target.name, step.begins) for step in trace.steps] == [
        ("Marfan syndrome", "FBN1", True),
        ("MASS syndrome", "FBN1", True),
    ]


def test_the_command_prints_every_sentence_and_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = make_question(("GENE:FBN1", ("fbn1", "lens")))
    run = write_run(tmp_path, example)
    show_question(run, example.task.task_id, as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    for relation in example.relations:
        assert GRAPH.relations[relation].evidence[0].sentence in printed
    for words in (
        example.task.text,
        "Ectopia lentis",
        "unique yes",
        "not closed book not asked",
        "citing PMID:1",
    ):
        assert words in printed
    show_question(run, example.task.task_id, as_json=True)
    assert len(json.loads(capsys.readouterr().out)["legs"]) == len(example.relations)


def test_an_unknown_question_and_a_newer_graph_are_errors(tmp_path: Path) -> None:
    example = make_question((MARFAN, ("fbn1",)))
    run = write_run(tmp_path, example)
    with pytest.raises(DataError, match="has no question q-0"):
        read_question_trace(run, "q-0")
    run.write(RELATIONS, [])
    with pytest.raises(DataError, match="the graph is newer"):
        read_question_trace(run, example.task.task_id)
