"""Facts of registries as relations of the graph: the statement of a record becomes an edge that
cites it.

A typed value becomes a node of the type ``value``. Its id has the kind and the normal form
("VALUE:date/2019-08-12"), its name is the value as a person prints it ("12 August 2019"). A
substance of a registry is a drug of the graph.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Protocol

from medr_ray.core.records import Evidence, Fact, FactEvidence, LiteralValue, NodeType, Relation
from medr_ray.graph.extraction.extractor import build_relation_id
from medr_ray.graph.vocabulary import Node
from medr_ray.knowledge.hpo import describe_frequency, load_hpo
from medr_ray.knowledge.predicates import DRUG, PREDICATES, VALUE
from medr_ray.retrieval.registry_records import make_document_id, render_evidence

REGISTRY_EXTRACTOR = "registry"
_VALUE_PREFIX = "VALUE:"
# Entities that go by their number, not by a title: the prefix of their ids, and of their names.
_NUMBERED: dict[NodeType, tuple[str, str]] = {
    "trial": ("NCT:", ""),
    "application": ("FDA:", ""),
    "patent": ("PATENT:", ""),
    "paper": ("PMID:", "PMID "),
    "product": ("PRODUCT:", ""),
}
_CAUSATIVE = "causative"
_ACTUAL = "ACTUAL"
# A word of capitals and underscores, such as PHASE2 or NOT_APPLICABLE.
_CODED_WORD = re.compile(r"[A-Z][A-Z_]{3,}\d*")


class FactLibrary(Protocol):
    """Where the facts about an entity come from. The ids are those of the graph: what a registry
    names is already the concept that it is."""

    def facts_about(self, entity_id: str) -> Sequence[Fact]:
        """The facts that the entity is the subject or the object of, functional ones first."""
        ...

    def name_of(self, entity_id: str) -> str:
        """The preferred name of an entity; its id where no record names it."""
        ...

    def type_of(self, entity_id: str) -> NodeType | None:
        """The type of an entity; None where no record names it."""
        ...


class RegistryNodes:
    """The nodes that facts add to the vocabulary: entities of registries, and typed values."""

    def __init__(self, facts: FactLibrary) -> None:
        self._facts = facts

    def find_node(self, entity_id: str) -> Node | None:
        """The node of an id; None where no record names it."""
        if is_value(entity_id):
            name, aliases = print_value(entity_id)
            return Node(entity_id, name, VALUE, aliases)
        entity_type = self._facts.type_of(entity_id)
        if entity_type is None:
            return None
        title = self._facts.name_of(entity_id)
        if entity_type not in _NUMBERED:
            # What a registry lists as an ingredient or gives in a trial is a drug.
            kind = DRUG if entity_type == "substance" else entity_type
            return Node(entity_id, title, kind, ())
        prefix, announced = _NUMBERED[entity_type]
        number = f"{announced}{entity_id.removeprefix(prefix)}"
        if entity_type == "product":
            # Products of several strengths have one trade name.
            return Node(entity_id, f"{title} ({number})", entity_type, ())
        return Node(entity_id, number, entity_type, tuple({title} - {entity_id, number}))


def build_fact_relations(facts: Iterable[Fact]) -> Iterator[Relation]:
    """The relations of the facts that have a wording (``knowledge.predicates``), in their order."""
    for fact in facts:
        if fact.predicate in PREDICATES:
            yield _build_relation(fact)


def _build_relation(fact: Fact) -> Relation:
    obj = fact.object if fact.literal is None else make_value_id(fact.literal)
    clinical = _word_qualifiers(fact)
    qualifiers = {qualifier.name: qualifier.value for qualifier in fact.qualifiers}
    document_id, entry = _locate_record(fact.evidence)
    evidence = Evidence(
        fact.evidence.source,
        document_id,
        render_evidence(fact),
        # No passage: whether the record is searchable, and where its line stands, is not known.
        0,
        0,
        ";".join(filter(None, (entry, qualifiers.get("reference", "")))),
    )
    ages = PREDICATES[fact.predicate].ages and fact.as_of
    return Relation(
        build_relation_id(fact.subject, fact.predicate, obj, clinical),
        fact.subject,
        fact.predicate,
        obj,
        temporal=f"as of {print_date(fact.as_of)}" if ages else "",
        spatial="",
        clinical=clinical,
        confidence=1.0,  # the record is the statement itself
        extractor=REGISTRY_EXTRACTOR,
        evidence=(evidence,),
        facts=(fact.fact_id,),
    )


def _locate_record(evidence: FactEvidence) -> tuple[str, str]:
    """The id of the record's document; and the entry to cite where that is the document of several
    entries, merged into one disease: whose entry it is says which authority speaks."""
    record_id, entry = evidence.record_id, ""
    if evidence.source == "hpo":
        disease_id = load_hpo().replacements.get(record_id, record_id)
        if disease_id != record_id:
            record_id, entry = disease_id, record_id
    return make_document_id(evidence.source, record_id), entry


def _word_qualifiers(fact: Fact) -> str:
    """The share of patients of a finding; of other facts the qualifiers that restrict what they are
    true of, in words, joined by "; ". What only describes an end, such as the strength of an
    ingredient or the class of a sponsor, stays with the fact."""
    qualifiers = {qualifier.name: qualifier.value for qualifier in fact.qualifiers}
    if fact.predicate == "has_finding":
        return describe_frequency(qualifiers.get("frequency", "")) or ""
    words = [word(qualifiers.get(name, "")) for name, word in _RESTRICTIONS.items()]
    return "; ".join(filter(None, words))


def _word_association(association: str) -> str:
    return "" if association == _CAUSATIVE else association


def _word_estimate(value_type: str) -> str:
    """ "estimated" for a planned date or count, "" for an actual one and for one without a type,
    which is older than the distinction."""
    return "" if value_type == _ACTUAL else value_type.lower()


# By the name of the qualifier; "" has no words.
_RESTRICTIONS: Mapping[str, Callable[[str], str]] = {
    "association": _word_association,
    "code": str,
    "count_type": _word_estimate,
    "date_type": _word_estimate,
    "delist_requested": lambda value: "delisting requested" if value else "",
    "extension": lambda value: f"{value} extension" if value else "",
    "product": lambda value: f"for product {value}" if value else "",
}


def make_value_id(literal: LiteralValue) -> str:
    """The id of a typed value: equal values of one kind and unit have one id."""
    return f"{_VALUE_PREFIX}{literal.kind}/{literal.text} {literal.unit}".rstrip()


def is_value(value_id: str) -> bool:
    """Whether an id is that of a typed value, and not of an entity."""
    return value_id.startswith(_VALUE_PREFIX)


def is_number(value_id: str) -> bool:
    """Whether an id is that of a number."""
    return value_id.startswith(f"{_VALUE_PREFIX}number/")


def print_value(value_id: str) -> tuple[str, tuple[str, ...]]:
    """The name of a typed value as a person prints it, and its other spellings."""
    kind, _, text = value_id.removeprefix(_VALUE_PREFIX).partition("/")
    spellings: tuple[str, ...] = ()
    name = text
    if kind == "date":
        name = print_date(text)
        spellings = (text, _print_american_date(text))
    elif kind == "category":
        name = _CODED_WORD.sub(lambda match: _print_code(match[0]), text)
        spellings = (text,)
    elif kind == "number":
        name = text.replace(" %", "%")
        # It is right without its unit too.
        spellings = (text.partition(" ")[0],)
    return name, tuple(dict.fromkeys(spelling for spelling in spellings if spelling != name))


def print_date(iso_date: str) -> str:
    """An ISO date of any precision in words: "12 August 2019", "August 2019", "2019"."""
    parts = [int(part) for part in iso_date.split("-")]
    if len(parts) == 1:
        return iso_date
    month = date(parts[0], parts[1], 1).strftime("%B")
    day = f"{parts[2]} " if len(parts) == 3 else ""
    return f"{day}{month} {parts[0]}"


def _print_american_date(iso_date: str) -> str:
    """An ISO date as "August 12, 2019"; as ``print_date`` where it has no day."""
    year, _, month_and_day = iso_date.partition("-")
    month, _, day = month_and_day.partition("-")
    if not day:
        return print_date(iso_date)
    return f"{date(int(year), int(month), 1):%B} {int(day)}, {year}"


def _print_code(code: str) -> str:
    """ "Phase 2" for PHASE2, "Not applicable" for NOT_APPLICABLE."""
    words = re.sub(r"(?<=[A-Z])(?=\d)", " ", code).replace("_", " ")
    return words.capitalize()
