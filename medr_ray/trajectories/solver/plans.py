"""What a question asks, as the rules teacher plans it: walks over unnamed entities, each told by
what holds of it.

An entity on the way is not named; it is known by conditions: the relation that leads to it, and
what the question tells of it besides. A condition names the other end, so every step is the same
task: find what all the conditions hold of.
"""

from dataclasses import dataclass, field
from typing import Literal

from medr_ray.core.records import Language
from medr_ray.knowledge.predicates import GENE, Predicate, directed_name

Asked = Literal["entity", "share", "earliest", "latest", "largest", "smallest"]
ONSETS: tuple[Asked, ...] = ("earliest", "latest")


@dataclass(frozen=True)
class Condition:
    """A fact that holds of an unknown entity: as the relation's subject (``forward``) or object,
    with ``other`` at the far end. ``clinical`` is the qualifier the question prints, "" where every
    fact will do."""

    predicate: Predicate
    forward: bool
    clinical: str
    other: str

    @property
    def far_type(self) -> str:
        """The entity type of ``other``."""
        return self.predicate.object_type if self.forward else self.predicate.subject_type

    @property
    def named(self) -> str:
        """``other`` as a question names it: a gene is called one, for its symbol may be a word."""
        return f"the gene {self.other}" if self.far_type == GENE else self.other

    def wanted(self) -> str:
        """What is looked for, in words: "mode of inheritance of Marfan syndrome"."""
        name = self.predicate.name_subject if self.forward else self.predicate.name_object
        return name(self.named, self.clinical)

    def told(self) -> str:
        """As a relative clause: "that is associated with the gene FBN1"."""
        return self.predicate.render_clause(self.named, self.forward, self.clinical)

    def stated(self, entity: str) -> str:
        """The sentence that says so of ``entity``."""
        subject, obj = (entity, self.other) if self.forward else (self.other, entity)
        return self.predicate.render_sentence(subject, obj, self.clinical)


@dataclass(frozen=True)
class Hop:
    """One step of a plan: a predicate, the way it is walked, the qualifier the question prints, and
    what is told of where it leads. ``other``: not back to the entity before."""

    predicate: Predicate
    inverse: bool
    clinical: str
    other: bool = False
    also: tuple[Condition, ...] = ()

    @property
    def directed_predicate(self) -> str:
        return directed_name(self.predicate.name, not self.inverse)

    @property
    def target_type(self) -> str:
        """The entity type of where it leads."""
        return self.predicate.subject_type if self.inverse else self.predicate.object_type

    @property
    def known_type(self) -> str:
        """The entity type of where it starts."""
        return self.predicate.object_type if self.inverse else self.predicate.subject_type

    def condition(self, known: str) -> Condition:
        """What holds of its target, seen from ``known``."""
        return Condition(self.predicate, self.inverse, self.clinical, known)

    def conditions(self, known: str) -> tuple[Condition, ...]:
        """Everything that holds of its target, what leads there first."""
        return (self.condition(known), *self.also)


@dataclass(frozen=True)
class Walk:
    """Hops from a named entity; ``described`` when the first hop only finds the start that the
    question describes. ``label`` is what the question calls the place it has come to ("gene A"), ""
    where it says "that gene"."""

    start: str
    hops: tuple[Hop, ...] = ()
    described: bool = False
    label: str = field(default="", compare=False)

    def onward(self, hop: Hop, label: str = "") -> "Walk":
        """The walk with one hop more."""
        return Walk(self.start, (*self.hops, hop), self.described, label)

    @classmethod
    def from_described(cls, first: Condition, second: Condition) -> "Walk":
        """The walk from a start that two facts describe: it begins by finding it."""
        return cls(first.other, (Hop(first.predicate, True, first.clinical, also=(second,)),), True)

    @property
    def asked_hops(self) -> tuple[Hop, ...]:
        """The hops of the question's own path."""
        return self.hops[self.described :]


@dataclass(frozen=True)
class Plan:
    """One walk, or two that meet; what is asked of where they end, and the finding whose share is
    asked or compared."""

    walks: tuple[Walk, ...]
    asked: Asked = "entity"
    finding: str = ""
    language: Language = "en"

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The hops in the order in which guidance masks them."""
        return tuple(hop for walk in self.walks for hop in walk.asked_hops)
