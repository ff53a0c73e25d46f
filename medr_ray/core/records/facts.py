"""Facts: what a registry, a curated table or a bibliographic record states, as it states it.

A fact is one statement of one source. The graph's relations cite facts by their ids; a fact that
two sources state is two facts.
"""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records.entities import NodeType

FactSource = Literal[
    "hpo",
    "orphanet",
    "drugs_at_fda",
    "orange_book",
    "drug_labels",
    "clinical_trials",
    "livertox",
    "pubmed",
]
LiteralKind = Literal["date", "number", "money", "category", "text"]
DatePrecision = Literal["", "year", "month", "day"]


@dataclass(frozen=True)
class LiteralValue:
    """A typed value that is no entity.

    ``text`` is the normal form: an ISO 8601 date as precise as the source ("2019", "2019-08",
    "2019-08-12"), a number in decimal digits, an amount of money, a category of a closed list in
    the source's own word, or a text such as a trade name. ``number`` is null unless the kind is
    number or money, ``unit`` is its unit or ISO 4217 currency, and ``precision`` belongs to dates.
    """

    kind: LiteralKind
    text: str
    number: float | None = None
    unit: str = ""
    precision: DatePrecision = ""


@dataclass(frozen=True)
class Qualifier:
    """A condition under which a fact holds, such as the product that a patent is listed for
    (``product``, "NDA020386/001") or the share of patients that show a finding (``frequency``,
    "3/7")."""

    name: str
    value: str


@dataclass(frozen=True)
class FactEvidence:
    """Where a source states a fact: the record, the path of the field in it, and the value as it
    is printed there."""

    source: FactSource
    record_id: str
    field: str
    value: str


@dataclass(frozen=True)
class Fact:
    """One statement of one record: <subject, predicate, object or literal> with its qualifiers.

    ``subject`` and ``object`` are ids of ``RegistryEntity`` or of concepts; ``object`` is "" where
    ``literal`` is given. ``as_of`` is the ISO date at which the source said so: that of the record
    where it has one, else that of the file, "" where neither is known.
    """

    fact_id: str
    subject: str
    predicate: str
    object: str
    literal: LiteralValue | None
    as_of: str
    qualifiers: tuple[Qualifier, ...]
    evidence: FactEvidence


@dataclass(frozen=True)
class RegistryEntity:
    """What a registry has a record of, or names in a record.

    ``names`` are the names as printed, the preferred one first. ``identifiers`` are its ids
    elsewhere, such as ``UNII:…``, ``ORCID:…`` or ``ISSN:…``. ``source`` is the registry.
    """

    entity_id: str
    entity_type: NodeType
    names: tuple[str, ...]
    identifiers: tuple[str, ...]
    source: FactSource
