"""The plan of a question with the facts that state each step, read from a run."""

import pytest

from medr_ray.core.errors import DataError
from medr_ray.core.run import StageContext
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.question_trace import read_facts, read_question_trace


def test_every_step_has_the_facts_that_state_it_and_the_names_it_starts_from(
    finished: StageContext,
) -> None:
    questions = finished.directory.read(QUESTIONS)
    question = max(questions, key=lambda question: (question.complexity, question.task.task_id))
    trace = read_question_trace(finished.run, question.task.task_id)
    assert trace.question == question
    assert [step.step for step in trace.steps] == list(question.steps)
    for step in trace.steps:
        assert tuple(fact.fact_id for fact in step.facts) == step.step.facts
        assert bool(step.facts) == (step.step.kind != "named")
    names = [step.name for step in question.steps]
    assert [step.inputs for step in trace.steps] == [
        tuple(names[place] for place in step.inputs) for step in question.steps
    ]


def test_a_question_that_the_run_does_not_have_says_where_to_look(finished: StageContext) -> None:
    with pytest.raises(DataError, match=r"no question q-none.*medr questions show"):
        read_question_trace(finished.run, "q-none")


def test_facts_that_were_read_again_since_are_named(
    finished: StageContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = finished.directory.read(QUESTIONS)[0]
    facts = read_facts(finished.run, [question])
    assert set(facts) == set(question.facts)
    del facts[question.facts[0]]
    monkeypatch.setattr("medr_ray.questions.question_trace.read_facts", lambda *_: facts)
    with pytest.raises(DataError, match=rf"no fact {question.facts[0]}.*medr questions generate"):
        read_question_trace(finished.run, question.task.task_id)
