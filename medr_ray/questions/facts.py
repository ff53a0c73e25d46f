"""Everything known about the entities of a run, indexed by what a hop asks.

A hop is asked by (known entity, predicate, direction, printed qualifier); ``ends`` gives every entity that answers it.
Facts come from the merged graph and, for entities it holds, from the whole disease records: a graph keeps only some
relations of a disease, and a question that is unique in that part alone would have other right answers in the index.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from medr_ray.core.records import Entity, Relation
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.questions.matching import canonical


@dataclass(frozen=True)
class Statement:
    """A fact without its evidence: <subject, predicate, object> and the clinical qualifier."""

    subject: str
    predicate: str
    object: str
    clinical: str


@dataclass
class FactIndex:
    """The facts, and the names entities go by. With ``described`` it also holds what other entities share with those
    of the run, which a description of a start entity has to be told apart from."""

    entities: Mapping[str, Entity]
    described: bool = False
    _ends: dict[tuple[str, bool, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _linked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _about: dict[str, set[Statement]] = field(default_factory=lambda: defaultdict(set))
    _named: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for entity in self.entities.values():
            for name in (entity.name, *entity.aliases):
                self._named[canonical(name)].add(entity.entity_id)

    def add(self, statement: Statement) -> None:
        """Add a fact; facts that touch no entity of the run are of no use and are passed over."""
        one = statement
        from_object = one.object in self.entities and (self.described or bool(PREDICATES[one.predicate].inverse_phrase))
        if one.subject not in self.entities and not from_object:
            return
        for forward, known, other in ((True, one.subject, one.object), (False, one.object, one.subject)):
            self._ends[self._key(one.predicate, forward, known, one.clinical)].add(other)
            self._linked[known].add(other)
        self._about[one.subject].add(one)

    @staticmethod
    def _key(predicate: str, forward: bool, known: str, clinical: str) -> tuple[str, bool, str, str]:
        return predicate, forward, known, clinical if PREDICATES[predicate].prints_clinical(forward) else ""

    def ends(self, known: str, predicate: str, forward: bool, clinical: str) -> set[str]:
        """Every entity at the other end of such a hop."""
        return self._ends.get(self._key(predicate, forward, known, clinical), set())

    def linked(self, one: str, other: str) -> bool:
        """Whether any fact connects the two, in whichever direction."""
        return other in self._linked.get(one, ())

    def about(self, subject: str) -> list[Statement]:
        """The facts that have ``subject`` as their subject, in a fixed order."""
        return sorted(self._about.get(subject, ()), key=lambda s: (s.predicate, s.object, s.clinical))

    def named(self, name: str) -> set[str]:
        """Ids of the entities that go by this name, as preferred name or alias."""
        return self._named.get(canonical(name), set())


def build_fact_index(
    entities: Mapping[str, Entity], relations: Iterable[Relation], statements: Iterable[Statement] = (),
    described: bool = False,
) -> FactIndex:
    """An index over the merged graph and further statements."""
    index = FactIndex(entities, described)
    for relation in relations:
        index.add(Statement(relation.subject, relation.predicate, relation.object, relation.clinical))
    for statement in statements:
        index.add(statement)
    return index
