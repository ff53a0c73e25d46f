"""A question's path as its record tells it: from each start over each hop to the answer, with what
is told on the way and the sentence that states each fact."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow.dataset as pads

from medr_ray.core.errors import DataError
from medr_ray.core.records import Entity, Evidence, Question, Relation
from medr_ray.core.run import RunDirectory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS
from medr_ray.knowledge.predicates import INVERSE, PREDICATES
from medr_ray.questions.artifacts import QUESTIONS


@dataclass(frozen=True)
class Leg:
    """One relation: walked from ``known`` to ``target`` (a hop), or told or asked of an entity
    (``walked`` is False). ``begins`` when a walk starts at ``known``."""

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
class Itinerary:
    """A question with its legs: the hops in walking order, then what is told."""

    question: Question
    legs: tuple[Leg, ...]


def read_itinerary(run: RunDirectory, question_id: str) -> Itinerary:
    """The itinerary of a question. DataError when there is no such question, or no graph any more
    to draw it from."""
    questions, graph = run.stage("questions"), run.stage("graph")
    found = questions.read(QUESTIONS, pads.field("task", "task_id") == question_id)
    if not found:
        raise DataError(
            f"{questions.uri} has no question {question_id}: `medr questions show` lists some that it has"
        )
    question = found[0]
    stated = graph.read(RELATIONS, pads.field("relation_id").isin(list(question.relations)))
    relations = {one.relation_id: one for one in stated}
    missing = set(question.relations) - set(relations)
    if missing:
        raise DataError(
            f"{graph.uri} has no relation {min(missing)}, which {question_id} is made of: the graph is "
            "newer than the questions; run `medr questions generate` again"
        )
    ends = sorted({end for one in stated for end in (one.subject, one.object)})
    named = graph.read(ENTITIES, pads.field("entity_id").isin(ends))
    entities = {one.entity_id: one for one in named}
    return Itinerary(question, tuple(legs(question, relations, entities)))


def legs(
    question: Question, relations: Mapping[str, Relation], entities: Mapping[str, Entity]
) -> Iterator[Leg]:
    """The legs of a question, hops first."""
    reached = ""
    for relation_id, step in zip(question.relations, question.guidance, strict=False):
        relation = relations[relation_id]
        known, target = relation.subject, relation.object
        symmetric = PREDICATES[relation.predicate].symmetric
        if step.predicate.startswith(INVERSE) or (
            symmetric and target == (reached or question.start)
        ):
            known, target = target, known
        yield Leg(relation, entities[known], entities[target], True, known != reached)
        reached = target
    for relation_id in question.relations[len(question.guidance) :]:
        relation = relations[relation_id]
        yield Leg(relation, entities[relation.subject], entities[relation.object], False, False)
