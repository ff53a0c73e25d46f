"""The facts of a run in memory, found by subject or by object, for those who ask very many.

Only the predicates that are asked for are read. Typed values have the ids of the graph's nodes
(``registry_relations.make_value_id``), so that every end of a fact is an id.
"""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.records import FactSource, LiteralKind, LiteralValue, NodeType
from medr_ray.core.run import Directory
from medr_ray.graph.facts.artifacts import FACT_ENTITIES
from medr_ray.graph.facts.fact_store import read_stored_facts
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.name_normalization import fold_name


class StatedFact(NamedTuple):
    """A fact between two ids, with the record that states it.

    ``number`` is that of a number or an amount, else None. ``qualifiers`` are (name, value).
    ``printed`` is the value as the record prints it.
    """

    fact_id: str
    subject: str
    predicate: str
    object: str
    number: float | None
    as_of: str
    qualifiers: tuple[tuple[str, str], ...]
    source: FactSource
    record_id: str
    printed: str = ""

    def qualifier(self, name: str) -> str:
        """The value of a qualifier; "" where the fact does not have it."""
        return dict(self.qualifiers).get(name, "")


@dataclass(frozen=True)
class TableEntity:
    """What a registry names: its type, and its names, the preferred one first."""

    entity_type: NodeType
    names: tuple[str, ...]


@dataclass
class FactTable:
    """Facts by predicate and subject, and by predicate and object, each list sorted by fact id."""

    entities: Mapping[str, TableEntity] = field(default_factory=dict)
    _by_subject: dict[str, dict[str, list[StatedFact]]] = field(default_factory=dict)
    _by_object: dict[str, dict[str, list[StatedFact]]] = field(default_factory=dict)
    _by_name: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _neighbours: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _newest: dict[str, str] = field(default_factory=dict)
    _sorted_ids: list[str] = field(default_factory=list)

    @classmethod
    def build(cls, facts: Iterable[StatedFact], entities: Mapping[str, TableEntity]) -> "FactTable":
        """The table of facts, with the names of the entities in them."""
        table = cls(entities)
        for fact in sorted(facts, key=lambda fact: fact.fact_id):
            for index, end in ((table._by_subject, fact.subject), (table._by_object, fact.object)):
                index.setdefault(fact.predicate, {}).setdefault(end, []).append(fact)
            table._newest[fact.predicate] = max(table._newest.get(fact.predicate, ""), fact.as_of)
            table._neighbours[fact.subject].add(fact.object)
            table._neighbours[fact.object].add(fact.subject)
        for entity_id, entity in entities.items():
            for folded in dict.fromkeys(map(fold_name, entity.names)):
                table._by_name[folded].append(entity_id)
        return table

    @classmethod
    def read(cls, directory: Directory, predicates: Collection[str]) -> "FactTable":
        """The facts of a finished facts stage that have one of the predicates."""
        facts = list(_read_facts(directory, predicates))
        named = {end for fact in facts for end in (fact.subject, fact.object)}
        return cls.build(facts, _read_entities(directory, named))

    def facts_of(self, predicate: str, subject: str) -> Sequence[StatedFact]:
        """The facts with that predicate and subject."""
        return self._by_subject.get(predicate, {}).get(subject, ())

    def facts_to(self, predicate: str, obj: str) -> Sequence[StatedFact]:
        """The facts with that predicate and object."""
        return self._by_object.get(predicate, {}).get(obj, ())

    def subjects(self, predicate: str) -> Iterator[str]:
        """Every subject of a predicate, sorted."""
        yield from sorted(self._by_subject.get(predicate, {}))

    def objects(self, predicate: str) -> Iterator[str]:
        """Every object of a predicate, sorted."""
        yield from sorted(self._by_object.get(predicate, {}))

    def list_values(self, kind: LiteralKind) -> list[str]:
        """The ids of all typed values of a kind in the facts, sorted."""
        prefix = f"VALUE:{kind}/"
        objects = itertools.chain.from_iterable(self._by_object.values())
        return sorted({obj for obj in objects if obj.startswith(prefix)})

    def ids_with_prefix(self, prefix: str) -> list[str]:
        """The ids of the named entities that begin with a prefix, sorted."""
        if not self._sorted_ids:
            self._sorted_ids.extend(sorted(self.entities))
        start = bisect.bisect_left(self._sorted_ids, prefix)
        ids = itertools.islice(self._sorted_ids, start, None)
        return list(itertools.takewhile(lambda entity_id: entity_id.startswith(prefix), ids))

    def newest_date(self, predicate: str) -> str:
        """The ISO date of the newest fact with that predicate; "" where there is none."""
        return self._newest.get(predicate, "")

    def are_linked(self, entity: str, other: str) -> bool:
        """Whether any fact of the table connects the two, in either direction."""
        return other in self._neighbours.get(entity, ())

    def type_of(self, entity_id: str) -> NodeType | None:
        """The type of an entity; None where no record names it."""
        entity = self.entities.get(entity_id)
        return entity.entity_type if entity else None

    def names_of(self, entity_id: str) -> tuple[str, ...]:
        """The names of an entity, the preferred one first; () where no record names it."""
        entity = self.entities.get(entity_id)
        return entity.names if entity else ()

    def find_by_name(self, name: str) -> Sequence[str]:
        """The ids of the entities with that name, blind to case, accents and spelling."""
        return self._by_name.get(fold_name(name), ())


def _read_facts(directory: Directory, predicates: Collection[str]) -> Iterator[StatedFact]:
    columns = [
        "fact_id", "subject", "predicate", "object", "literal", "as_of", "qualifiers", "evidence"
    ]  # fmt: skip
    for batch in read_stored_facts(directory, predicates, columns).to_batches():
        for row in batch.to_pylist():
            yield _make_fact(row)


def _make_fact(row: Mapping[str, Any]) -> StatedFact:
    literal = row["literal"]
    evidence = row["evidence"]
    return StatedFact(
        row["fact_id"],
        row["subject"],
        row["predicate"],
        row["object"] if literal is None else make_value_id(LiteralValue(**literal)),
        None if literal is None else literal["number"],
        row["as_of"],
        tuple((item["name"], item["value"]) for item in row["qualifiers"]),
        evidence["source"],
        evidence["record_id"],
        evidence["value"],
    )


def _read_entities(directory: Directory, entity_ids: Collection[str]) -> dict[str, TableEntity]:
    table = directory.read_columns(FACT_ENTITIES, ["entity_id", "entity_type", "names"])
    chosen = table.filter(
        pc.is_in(table["entity_id"], value_set=pa.array(sorted(entity_ids), pa.string()))
    )
    return {
        row["entity_id"]: TableEntity(row["entity_type"], tuple(row["names"]))
        for row in chosen.to_pylist()
    }
