"""Reads the path of a question from its record and the graph.

The trace leads from each start over each hop to the answer. It includes the other facts that the
question states or asks about, and the sentence that states each fact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow.dataset as pads

from medr_ray.core.errors import DataError
from medr_ray.core.records import Entity, Evidence, Question, Relation
from medr_ray.core.run import RunDirectory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS
from medr_ray.knowledge.predicates import INVERSE, PREDICATES
from medr_ray.questions.artifacts import QUESTIONS


# The field names are keys of `medr questions show ID --json`, which prints every step.
@dataclass(frozen=True)
class TraceStep:
    """One relation of a question.

    A hop leads from ``known`` to ``target``. A fact that is only stated or asked about has
    ``walked`` False. ``begins`` is true when a walk starts at ``known``.
    """

    relation: Relation
    known: Entity
    target: Entity
    walked: bool
    begins: bool

    @property
    def evidence(self) -> Evidence:
        """The first sentence that states the relation."""
        return self.relation.evidence[0]


@dataclass(frozen=True)
class QuestionTrace:
    """A question with its steps: the hops in walking order, then the facts beside them."""

    question: Question
    steps: tuple[TraceStep, ...]


def read_question_trace(run: RunDirectory, question_id: str) -> QuestionTrace:
    """The trace of a question, read from the run.

    Raises DataError when the run has no such question, or when its graph lacks a relation of the
    question.
    """
    questions = run.stage("questions")
    graph = run.stage("graph")
    # Filtered while reading: a question needs a few rows of tables that may be large.
    matches = questions.read(QUESTIONS, pads.field("task", "task_id") == question_id)
    if not matches:
        raise DataError(
            f"{questions.uri} has no question {question_id}: "
            "`medr questions show` lists some that it has"
        )
    question = matches[0]
    relation_rows = graph.read(RELATIONS, pads.field("relation_id").isin(list(question.relations)))
    relations = {relation.relation_id: relation for relation in relation_rows}
    missing = set(question.relations) - set(relations)
    # The graph may have been built again since the questions were generated.
    if missing:
        raise DataError(
            f"{graph.uri} has no relation {min(missing)}, which {question_id} is made of: "
            "the graph is newer than the questions; run `medr questions generate` again"
        )
    ends = sorted(
        {end for relation in relation_rows for end in (relation.subject, relation.object)}
    )
    entity_rows = graph.read(ENTITIES, pads.field("entity_id").isin(ends))
    entities = {entity.entity_id: entity for entity in entity_rows}
    return QuestionTrace(question, tuple(build_trace_steps(question, relations, entities)))


def build_trace_steps(
    question: Question, relations: Mapping[str, Relation], entities: Mapping[str, Entity]
) -> Iterator[TraceStep]:
    """The steps of a question, hops first."""
    reached = ""
    # The relations of the hops come first, one for each step of the guidance; hence strict=False.
    for relation_id, guidance_step in zip(question.relations, question.guidance, strict=False):
        relation = relations[relation_id]
        start = relation.subject
        target = relation.object
        # A symmetric predicate has no inverse mark: its direction follows from where the walk is.
        is_symmetric = PREDICATES[relation.predicate].symmetric
        is_backwards = is_symmetric and target == (reached or question.start)
        if guidance_step.predicate.startswith(INVERSE) or is_backwards:
            start, target = target, start
        # A hop that does not start where the last one ended begins a walk.
        yield TraceStep(relation, entities[start], entities[target], True, start != reached)
        reached = target
    for relation_id in question.relations[len(question.guidance) :]:
        relation = relations[relation_id]
        subject = entities[relation.subject]
        yield TraceStep(relation, subject, entities[relation.object], False, False)
