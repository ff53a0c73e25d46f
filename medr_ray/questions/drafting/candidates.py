"""What drafting passes on: a plan that was solved, worded and verified, with all that later steps
need to know of it."""

from dataclasses import dataclass

from medr_ray.core.records import QuestionStep, Verification
from medr_ray.questions.plans import NAMED, PlanNode, restore_plan

# Types of which two sides of a split must not share an entity. Journals, persons and institutions
# say nothing about the answer of another question.
_LEAKING_TYPES = frozenset(
    {"trial", "drug", "substance", "company", "application", "disease", "gene", "paper", "patent"}
)


# The fields are columns of the parts that drafting writes: they keep their names.
@dataclass(frozen=True)
class Candidate:
    """A verified question that may be chosen.

    ``key`` is the id of its plan, ``chain`` the names of its kinds, ``seed`` the seed or the first
    entity that it names, ``chain_id`` the seed's chain where the question follows it.
    """

    key: str
    shape: str
    chain: tuple[str, ...]
    text: str
    steps: tuple[QuestionStep, ...]
    hops: int
    sources: tuple[str, ...]
    answer: str
    answer_names: tuple[str, ...]
    answer_type: str
    specialty: str
    seed: str
    chain_id: str
    verification: Verification

    @property
    def plan(self) -> PlanNode:
        return restore_plan(self.steps)

    @property
    def facts(self) -> tuple[str, ...]:
        """The ids of all facts, each once."""
        return tuple(dict.fromkeys(fact for step in self.steps for fact in step.facts))

    @property
    def start_names(self) -> tuple[str, ...]:
        """The names that the question begins with."""
        return tuple(step.name for step in self.steps if step.kind == NAMED)

    @property
    def asked_answer(self) -> tuple[str, str]:
        """(kind of the last step, answer): "B" of one kind of question is not that of another."""
        return self.chain[-1], self.answer

    @property
    def leading_entities(self) -> frozenset[str]:
        """The entities on the way and at its ends that no question of the other side may share."""
        return frozenset(
            step.value for step in self.steps if step.value and step.value_type in _LEAKING_TYPES
        )


@dataclass(frozen=True)
class RejectedDraft:
    """A draft that failed, and every reason why. ``text`` is "" where it was not worded."""

    key: str
    shape: str
    text: str
    reasons: tuple[str, ...]
