"""Reads the plan of a question from its record, with the facts that state each step.

The trace has the steps in their order: what is named, and what is found from it, up to the answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.dataset as pads

from medr_ray.core.errors import DataError
from medr_ray.core.records import Fact, Question, QuestionStep
from medr_ray.core.run import RunDirectory
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.questions.artifacts import QUESTIONS


# The field names are keys of `medr questions show ID --json`, which prints every step.
@dataclass(frozen=True)
class TraceStep:
    """A step of a question, the names of what it is found from, and the facts that state it."""

    step: QuestionStep
    inputs: tuple[str, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class QuestionTrace:
    """A question with its steps; the last is the answer's."""

    question: Question
    steps: tuple[TraceStep, ...]


def read_question_trace(run: RunDirectory, question_id: str) -> QuestionTrace:
    """The trace of a question, read from the run.

    Raises DataError when the run has no such question, or when its facts lack one of the question.
    """
    questions = run.stage("questions")
    # Filtered while reading: a question needs a few rows of tables that may be large.
    matches = questions.read(QUESTIONS, pads.field("task", "task_id") == question_id)
    if not matches:
        raise DataError(
            f"{questions.uri} has no question {question_id}: "
            "`medr questions show` lists some that it has"
        )
    return read_traces(run, matches)[0]


def read_traces(run: RunDirectory, questions: Sequence[Question]) -> list[QuestionTrace]:
    """The traces of some questions, in their order; the facts are read once for all of them.

    Raises DataError when the run's facts lack one of a question.
    """
    facts = read_facts(run, questions)
    for question in questions:
        missing = set(question.facts) - set(facts)
        # The facts may have been read again since the questions were generated.
        if missing:
            raise DataError(
                f"{run.stage('facts').uri} has no fact {min(missing)}, which "
                f"{question.task.task_id} is made of: the facts are newer than the questions; run "
                "`medr questions generate` again"
            )
    return [QuestionTrace(question, build_trace_steps(question, facts)) for question in questions]


def read_facts(run: RunDirectory, questions: Iterable[Question]) -> dict[str, Fact]:
    """The facts of some questions by id, as far as the run has them."""
    fact_ids = sorted({fact_id for question in questions for fact_id in question.facts})
    rows = run.stage("facts").read(FACTS, pads.field("fact_id").isin(fact_ids))
    return {fact.fact_id: fact for fact in rows}


def build_trace_steps(question: Question, facts: Mapping[str, Fact]) -> tuple[TraceStep, ...]:
    """The steps of a question with their facts."""
    return tuple(
        TraceStep(
            step,
            tuple(question.steps[place].name for place in step.inputs),
            tuple(facts[fact_id] for fact_id in step.facts),
        )
        for step in question.steps
    )
