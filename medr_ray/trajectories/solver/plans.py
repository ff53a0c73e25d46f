"""The plan of a question: the hops that lead from named entities to the answer.

``question_reader`` makes a plan from a question's text, ``solver`` follows it. The entities on the
way have no name in the question. Each is given by conditions: the relation that leads to it, and
the further facts that the question states of it. Every condition names the entity at its other end,
so each hop is the same task: find the entity that meets all conditions.
"""

from dataclasses import dataclass, field
from typing import Literal

from medr_ray.core.records import NodeType
from medr_ray.knowledge.predicates import Predicate, directed_name
from medr_ray.knowledge.predicates.kinds import announce

AnswerKind = Literal["entity", "share", "earliest", "latest", "largest", "smallest"]
ONSET_KINDS: tuple[AnswerKind, ...] = ("earliest", "latest")


@dataclass(frozen=True)
class Condition:
    """A relation between an unnamed entity and ``other``.

    With ``forward`` the unnamed entity is the relation's subject, else its object. ``clinical`` is
    the qualifier that the question prints, or "" when a fact with any qualifier will do.
    """

    predicate: Predicate
    forward: bool
    clinical: str
    other: str

    @property
    def other_type(self) -> NodeType:
        """The entity type of ``other``."""
        return self.predicate.object_type if self.forward else self.predicate.subject_type

    @property
    def other_phrase(self) -> str:
        """``other`` as a question names it."""
        return announce(self.other_type, self.other)

    def as_noun_phrase(self) -> str:
        """The unnamed entity in words: "mode of inheritance of Marfan syndrome"."""
        name = self.predicate.name_subject if self.forward else self.predicate.name_object
        return name(self.other_phrase, self.clinical)

    def as_clause(self) -> str:
        """The condition as a relative clause: "that is associated with the gene FBN1"."""
        return self.predicate.render_clause(self.other_phrase, self.forward, self.clinical)

    def as_sentence(self, entity: str) -> str:
        """The sentence that states the condition of ``entity``."""
        subject, obj = (entity, self.other) if self.forward else (self.other, entity)
        return self.predicate.render_sentence(subject, obj, self.clinical)


@dataclass(frozen=True)
class PlanHop:
    """One step of a plan.

    ``inverse`` hops go from a relation's object to its subject. ``clinical`` is the qualifier that
    the question prints. With ``says_other`` the question speaks of "the other" entity: not the one
    that the walk came from. ``also`` holds the further conditions on the target.
    """

    predicate: Predicate
    inverse: bool
    clinical: str
    says_other: bool = False
    also: tuple[Condition, ...] = ()

    @property
    def directed_predicate(self) -> str:
        """The predicate's name in walking direction, as guidance has it."""
        return directed_name(self.predicate.name, not self.inverse)

    @property
    def target_type(self) -> str:
        """The entity type of the hop's end."""
        return self.predicate.subject_type if self.inverse else self.predicate.object_type

    @property
    def start_type(self) -> str:
        """The entity type of the hop's start."""
        return self.predicate.object_type if self.inverse else self.predicate.subject_type

    def condition(self, start: str) -> Condition:
        """The condition on the hop's target that the relation from ``start`` makes."""
        # Seen from the target of an inverse hop, the relation runs forward.
        return Condition(self.predicate, self.inverse, self.clinical, start)

    def conditions(self, start: str) -> tuple[Condition, ...]:
        """All conditions on the hop's target, the relation from ``start`` first."""
        return (self.condition(start), *self.also)


@dataclass(frozen=True)
class PlanWalk:
    """Hops from a named entity.

    When the question only describes the start of its path, the walk is ``described``: its first hop
    then finds that start and is not part of the question's own path. ``label`` is what the question
    calls the place that the walk has come to ("gene A"), or "" where it says "that gene".
    """

    start: str
    hops: tuple[PlanHop, ...] = ()
    described: bool = False
    # A label is only a way to refer to a place, so it does not make two walks different.
    label: str = field(default="", compare=False)

    def with_hop(self, hop: PlanHop, label: str = "") -> "PlanWalk":
        """The walk with one more hop at its end."""
        return PlanWalk(self.start, (*self.hops, hop), self.described, label)

    @classmethod
    def from_description(cls, first: Condition, second: Condition) -> "PlanWalk":
        """The walk from a start that two facts describe; its first hop finds the start."""
        hop = PlanHop(first.predicate, True, first.clinical, also=(second,))
        return cls(first.other, (hop,), True)

    @property
    def question_hops(self) -> tuple[PlanHop, ...]:
        """The hops of the question's own path."""
        first = 1 if self.described else 0
        return self.hops[first:]


@dataclass(frozen=True)
class Plan:
    """One walk, or two walks that end at the same entity.

    ``answer_kind`` is what the question asks about the end. ``finding`` is the phenotype whose
    share of patients is asked or compared, or "".
    """

    walks: tuple[PlanWalk, ...]
    answer_kind: AnswerKind = "entity"
    finding: str = ""

    @property
    def hops(self) -> tuple[PlanHop, ...]:
        """The hops in the order of the guidance steps."""
        return tuple(hop for walk in self.walks for hop in walk.question_hops)
