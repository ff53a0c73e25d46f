"""The facts of one record, collected while it is read."""

from collections.abc import Callable
from dataclasses import dataclass

from medr_ray.core.errors import DataError
from medr_ray.core.records import (
    Fact,
    FactEvidence,
    FactSource,
    LiteralValue,
    NodeType,
    Qualifier,
    RegistryEntity,
    content_id,
)
from medr_ray.knowledge.registries.companies import make_company_id, parse_company_name
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES


@dataclass(frozen=True)
class RecordFacts:
    """What one record states, and the entities that it names.

    ``record_id`` is the registry's own ("NCT01234567", "NDA020123"), ``title`` what the registry
    calls the record, ``as_of`` the ISO date of the statement, "" where it is not known.
    ``problems`` are (field, reason) of the fields that could not be used.
    """

    source: FactSource
    record_id: str
    title: str
    as_of: str
    facts: tuple[Fact, ...]
    entities: tuple[RegistryEntity, ...]
    problems: tuple[tuple[str, str], ...]


class FactCollector:
    """Collects the facts of one record; each once, in the record's order."""

    def __init__(self, source: FactSource, record_id: str, title: str, as_of: str = "") -> None:
        self._source: FactSource = source
        self._record_id = record_id
        self._title = title
        self._as_of = as_of
        self._facts: dict[str, Fact] = {}
        self._entities: dict[str, RegistryEntity] = {}
        self._problems: list[tuple[str, str]] = []

    def add_entity(
        self,
        entity_id: str,
        entity_type: NodeType,
        *names: str,
        identifiers: tuple[str, ...] = (),
    ) -> str:
        """Note an entity that the record names; returns its id. Names and identifiers of several
        calls are joined."""
        earlier = self._entities.get(entity_id)
        if earlier is not None:
            names = (*earlier.names, *names)
            identifiers = (*earlier.identifiers, *identifiers)
        self._entities[entity_id] = RegistryEntity(
            entity_id,
            entity_type,
            tuple(dict.fromkeys(filter(None, names))),
            tuple(dict.fromkeys(identifiers)),
            self._source,
        )
        return entity_id

    def add_company(self, name: str, field: str, *other_names: str) -> str:
        """Note a company that the record names in a field; returns its id. An owner that the name
        states becomes a fact, ``owned_by``."""
        company_id = self.add_entity(make_company_id(name), "company", name, *other_names)
        owner = parse_company_name(name).owner
        if owner and make_company_id(owner) != company_id:
            owner_id = self.add_entity(make_company_id(owner), "company", owner)
            self.add_link(company_id, "owned_by", owner_id, field, name)
        return company_id

    def add_link(
        self, subject: str, predicate: str, obj: str, field: str, value: str, **qualifiers: str
    ) -> None:
        """Add a fact about two entities. ``field`` is the path in the record, ``value`` what is
        printed there."""
        self._add(subject, predicate, obj, None, field, value, qualifiers)

    def add_value(
        self,
        subject: str,
        predicate: str,
        literal: LiteralValue,
        field: str,
        value: str,
        **qualifiers: str,
    ) -> None:
        """Add a fact about an entity and a typed value."""
        self._add(subject, predicate, "", literal, field, value, qualifiers)

    def try_value(
        self,
        subject: str,
        predicate: str,
        parse: Callable[[str], LiteralValue],
        field: str,
        value: str,
        **qualifiers: str,
    ) -> None:
        """Add the fact whose value is parsed from the printed one. An empty value is no fact; one
        that cannot be parsed is a problem of the record."""
        if not value.strip():
            return
        try:
            literal = parse(value)
        except DataError as error:
            self._problems.append((field, str(error)))
            return
        self.add_value(subject, predicate, literal, field, value, **qualifiers)

    def add_problem(self, field: str, reason: str) -> None:
        """Note a field that could not be used."""
        self._problems.append((field, reason))

    def build(self) -> RecordFacts:
        return RecordFacts(
            self._source,
            self._record_id,
            self._title,
            self._as_of,
            tuple(self._facts.values()),
            tuple(self._entities.values()),
            tuple(self._problems),
        )

    def _add(
        self,
        subject: str,
        predicate: str,
        obj: str,
        literal: LiteralValue | None,
        field: str,
        value: str,
        qualifiers: dict[str, str],
    ) -> None:
        if predicate not in FACT_PREDICATES:
            raise KeyError(f"no fact predicate {predicate!r}: declare it in fact_predicates")
        stated = tuple(Qualifier(name, text) for name, text in sorted(qualifiers.items()) if text)
        # Without the date, so that a newer edition that says the same keeps the id.
        fact_id = content_id(
            "fact", self._source, self._record_id, subject, predicate, obj, literal, stated
        )
        evidence = FactEvidence(self._source, self._record_id, field, value)
        fact = Fact(fact_id, subject, predicate, obj, literal, self._as_of, stated, evidence)
        self._facts.setdefault(fact_id, fact)
