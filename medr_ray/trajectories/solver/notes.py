"""What the rules teacher has read in tool responses: facts, and which documents were there.

The lines of records (``retrieval.record_lines``) become facts between ids of names
(``name_ids``), in a ``FactTable`` as questions are made from. Everything is kept in the order of
reading, so that equal responses always give equal notes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from medr_ray.core.errors import DataError
from medr_ray.core.records import LiteralKind, LiteralValue, NodeType
from medr_ray.graph.facts.fact_table import FactTable, StatedFact, TableEntity
from medr_ray.graph.facts.registry_relations import is_number, is_value, make_value_id, print_value
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES
from medr_ray.knowledge.registries.identifiers import make_patent_id
from medr_ray.knowledge.registries.literals import parse_date
from medr_ray.retrieval.record_lines import RecordLine, find_source, read_record_lines
from medr_ray.retrieval.registry_records import UNIT
from medr_ray.retrieval.snippets import ELLIPSIS
from medr_ray.trajectories.solver.name_ids import (
    NUMBERED_PREFIXES,
    make_name_id,
    make_title_id,
    print_number,
)

# An id in brackets, with a date where one is known: "(PMID:123, 2019)", "(NCT:NCT1, as of 2026)",
# "(WEB:https://example.org, 2021-03-03)".
_DATE = r"(?:as of )?\d{4}(?:-\d\d-\d\d)?"
_SOURCE_ID = rf"\((?P<document>[^\s()]+:[^\s()]+?)(?:, {_DATE})?\)"
# A search hit as the tools print it: "[1] TITLE (SOURCE:ID, DATE): SNIPPET".
_HIT = re.compile(rf"\[\d+\] (?P<title>.+?) {_SOURCE_ID}: (?P<snippet>.*)")
# What the tool ``read`` prints: "TITLE (SOURCE:ID, DATE)", then quotations, a line each.
_HEADING = re.compile(rf"(?P<title>.+) {_SOURCE_ID}")
_QUOTE = re.compile(r'\[\d+\] "(?P<text>.*)"')
_RESPONSE_TAGS = re.compile(r"</?tool_response>")
_PRODUCT = re.compile(r"((?:NDA|ANDA|BLA)\d+)/(\d+)\)?$")
_INGREDIENT = "active_ingredient"
# What facts of a drug or an application are stated of, in the order from one to the next.
_PARTS = (_INGREDIENT, "has_product", "protected_by_patent", "has_product")
_LISTINGS = (_INGREDIENT, "application_sponsor")
_REGISTERED = re.compile(r"\bNCT\d{8}\b")
_LITERAL_KINDS: tuple[LiteralKind, ...] = ("date", "number", "category", "text")


@dataclass(frozen=True)
class ReadDocument:
    """A document that was shown: as a hit of a search, or read by its id."""

    document_id: str
    title: str
    was_read: bool


class Notes:
    """The facts and documents read so far. ``names`` are (type, name) of what the question names,
    by id."""

    def __init__(self, names: Mapping[str, tuple[NodeType, str]] | None = None) -> None:
        self._facts: dict[StatedFact, None] = {}
        self._statements: set[tuple[object, ...]] = set()
        self._names: dict[str, tuple[str, dict[str, None]]] = {}
        self._texts: dict[str, list[str]] = {}
        self.documents: dict[str, ReadDocument] = {}
        for name_id, (name_type, name) in (names or {}).items():
            self._add_name(name_id, name_type, name)
        self.table = FactTable()

    def read(self, response: str) -> list[str]:
        """Take what a tool response states; returns the documents that it shows."""
        document_ids: dict[str, None] = {}
        for document, text in _parse_documents(response):
            document_ids[document.document_id] = None
            earlier = self.documents.get(document.document_id)
            if earlier is None or not earlier.was_read:
                self.documents[document.document_id] = document
            self._texts.setdefault(document.document_id, [document.title]).append(text)
            for line in read_record_lines(document.document_id, text, document.title):
                self._add_line(document, line)
            if document.document_id.startswith("PMID:"):
                self._add_paper(document, text)
            self._add_trade_name(document)
        entities = {
            name_id: TableEntity(cast(NodeType, entity_type), tuple(names))
            for name_id, (entity_type, names) in self._names.items()
        }
        self.table = FactTable.build(self._facts, entities)
        return [*document_ids]

    def find_record(self, entity_id: str, prefixes: Sequence[str] = ()) -> ReadDocument | None:
        """The document that is the record of an entity, among those that were shown; only those
        whose ids have one of the prefixes, where any are given."""
        for document in self.documents.values():
            if prefixes and document.document_id.partition(":")[0] not in prefixes:
                continue
            if _name_subject(document) == entity_id:
                return document
        return None

    def is_record(self, document_id: str, entity_id: str) -> bool:
        """Whether a document that was shown is the record of an entity."""
        document = self.documents.get(document_id)
        return document is not None and _name_subject(document) == entity_id

    def is_cut(self, application: str) -> bool:
        """Whether all that was shown of an application's record ends where it was cut."""
        _, *texts = self._texts.get(application, [""])
        return all(text.rstrip().endswith(ELLIPSIS) for text in texts)

    def print_name(self, value_id: str) -> str:
        """A name or a value as a record prints it; "" for none."""
        if is_value(value_id):
            return print_value(value_id)[0]
        if value_id.startswith(NUMBERED_PREFIXES):
            return print_number(value_id)
        _, names = self._names.get(value_id, ("", {}))
        return next(iter(names), value_id.partition(":")[2])

    def print_title(self, value_id: str) -> str:
        """The title of a paper that was shown; its name or number where it was not."""
        document = self.documents.get(value_id)
        return document.title if document else self.print_name(value_id)

    def list_spellings(self, value_id: str) -> list[str]:
        """The forms in which a record may print a name or a value."""
        if is_value(value_id):
            name, others = print_value(value_id)
            return [name, *others]
        if value_id.startswith(NUMBERED_PREFIXES):
            return [print_number(value_id)]
        return [*self._names.get(value_id, ("", {}))[1]]

    def print_text(self, document_id: str) -> str:
        """What was shown of a document, with its title."""
        return " ".join(self._texts.get(document_id, ()))

    def list_facts(self, predicate: str, document_id: str) -> list[StatedFact]:
        """What a document states by that predicate."""
        return [
            fact
            for fact in self._facts
            if fact.record_id == document_id and fact.predicate == predicate
        ]

    def list_support(self, inputs: Sequence[str], value: str) -> list[str]:
        """The documents that state a value of the inputs; else those of which one of the two is the
        subject."""
        related = self._find_related(inputs)
        stating = [
            fact.record_id
            for fact in self._facts
            if (fact.object == value and fact.subject in related)
            or (fact.subject == value and fact.object in related)
        ]
        # A count rests on the records that list what is counted.
        listing = [
            fact.record_id
            for fact in self._facts
            if fact.predicate in _LISTINGS and fact.object in inputs
        ]
        subjects = {*inputs, value}
        own = [
            name for name, document in self.documents.items() if _name_subject(document) in subjects
        ]
        return list(dict.fromkeys(stating or (listing if is_number(value) else []) or own))

    def _find_related(self, inputs: Sequence[str]) -> set[str]:
        """The inputs with the products, applications and patents of which their facts are
        stated."""
        related = set(inputs)
        for predicate in _PARTS:
            for fact in self._facts:
                if fact.predicate == predicate and fact.object in related:
                    related.add(fact.subject)
                # Of a product's other ingredients nothing is asked.
                elif fact.predicate == predicate != _INGREDIENT and fact.subject in related:
                    related.add(fact.object)
        return related

    # --- facts ------------------------------------------------------------------------

    def _add_name(self, name_id: str, name_type: str, name: str) -> None:
        _, names = self._names.setdefault(name_id, (name_type, {}))
        names[name] = None

    def _add_line(self, document: ReadDocument, line: RecordLine) -> None:
        subject = self._identify_subject(document, line)
        identified = self._identify_object(line)
        if subject is None or identified is None:
            return
        value, number = identified
        self._add_fact(document, subject, line.predicate, value, line, number)
        # The line of an ingredient names those beside it: "CHLORTHALIDONE; CLONIDINE".
        for name in line.value.split("; ") if line.predicate == _INGREDIENT else ():
            other = self._identify_name("substance", name)
            self._add_fact(document, subject, line.predicate, other, line)
        product = _PRODUCT.search(line.subject)
        if product is not None:
            self._add_fact(document, f"FDA:{product[1]}", "has_product", subject, line)

    def _add_fact(
        self,
        document: ReadDocument,
        subject: str,
        predicate: str,
        value: str,
        line: RecordLine | None = None,
        number: float | None = None,
    ) -> None:
        fact = StatedFact(
            fact_id=f"{len(self._facts):06d}",
            subject=subject,
            predicate=predicate,
            object=value,
            number=number,
            as_of=line.as_of if line else "",
            qualifiers=line.qualifiers if line else (),
            source=find_source(document.document_id),
            record_id=document.document_id,
        )
        if fact[1:] not in self._statements:
            self._statements.add(fact[1:])
            self._facts[fact] = None

    def _identify_subject(self, document: ReadDocument, line: RecordLine) -> str | None:
        """What a line is about: the record's own subject, or the one that the line names."""
        if not line.subject:
            subject = _name_subject(document)
            subject_type = FACT_PREDICATES[line.predicate].subject_type
            if subject and not subject.startswith(NUMBERED_PREFIXES):
                self._add_name(subject, subject_type, _name_title(document))
            return subject
        product = _PRODUCT.search(line.subject)
        if product is not None:
            return f"PRODUCT:{product[1]}/{product[2]}"
        if FACT_PREDICATES[line.predicate].subject_type == "patent":
            return make_patent_id(line.subject)
        return None

    def _identify_object(self, line: RecordLine) -> tuple[str, float | None] | None:
        """The id of the object, and the number that it is."""
        object_type = FACT_PREDICATES[line.predicate].object_type
        for kind in _LITERAL_KINDS:
            if kind == object_type:
                return _identify_value(kind, line.value, line.qualifier(UNIT))
        if object_type == "paper":
            return f"PMID:{line.name}", None
        if object_type == "patent":
            return make_patent_id(line.name), None
        if object_type == "product":
            product = _PRODUCT.search(line.name)
            return (f"PRODUCT:{product[1]}/{product[2]}", None) if product else None
        return self._identify_name(object_type, line.name), None

    def _identify_name(self, name_type: str, name: str) -> str:
        name_id = make_name_id(name_type, name)
        self._add_name(name_id, name_type, name)
        return name_id

    def _add_trade_name(self, document: ReadDocument) -> None:
        """The title of an application is its number and the names of its products: one is its trade
        name."""
        _, _, names = document.title.partition(" ")
        application = _name_subject(document) or ""
        if application.startswith("FDA:") and names and "," not in names:
            name = make_value_id(LiteralValue("text", names))
            self._add_fact(document, application, "trade_name", name)

    def _add_paper(self, document: ReadDocument, text: str) -> None:
        """A paper that names one trial reports on it."""
        trials = dict.fromkeys(_REGISTERED.findall(f"{document.title} {text}"))
        if len(trials) == 1:
            trial = next(iter(trials))
            self._add_fact(document, document.document_id, "registered_as", f"NCT:{trial}")


def _identify_value(kind: LiteralKind, text: str, unit: str) -> tuple[str, float | None] | None:
    if kind == "date":
        try:
            return make_value_id(parse_date(text)), None
        except DataError:
            return None
    if kind == "number":
        number = _parse_number(text)
        return None if number is None else (f"VALUE:number/{text} {unit}".rstrip(), number)
    return make_value_id(LiteralValue(kind, text)), None


def _parse_number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


# --- responses ------------------------------------------------------------------------


def _parse_documents(response: str) -> Iterator[tuple[ReadDocument, str]]:
    """The documents that a response shows, each with the text that is shown of it."""
    heading: re.Match[str] | None = None
    for line in _RESPONSE_TAGS.sub("\n", response).splitlines():
        hit = _HIT.match(line)
        if hit:
            heading = None
            yield ReadDocument(hit["document"], hit["title"], False), hit["snippet"]
            continue
        quote = _QUOTE.match(line)
        if quote and heading is not None:
            yield ReadDocument(heading["document"], heading["title"], True), quote["text"]
        elif not quote:
            heading = _HEADING.fullmatch(line.strip())


def _name_title(document: ReadDocument) -> str:
    """The name of what a record is about."""
    prefix, _, number = document.document_id.partition(":")
    return number.replace("_", " ") if prefix == "LIVERTOX" else document.title


def _name_subject(document: ReadDocument) -> str | None:
    """The id of what a record is about; None where its title does not name it."""
    prefix, _, number = document.document_id.partition(":")
    if prefix in ("NCT", "FDA", "PMID"):
        return document.document_id
    if prefix == "ORANGE-BOOK":
        return f"FDA:{number}"
    if prefix in ("HPO", "ORPHANET"):
        return make_name_id("disease", document.title)
    if prefix == "LIVERTOX":
        return make_name_id("drug", _name_title(document))
    return None


def find_paper(notes: Notes, title_id: str) -> str:
    """The number of the paper with that title, among the documents that were shown; "" for none."""
    for document in notes.documents.values():
        is_paper = document.document_id.startswith("PMID:")
        if is_paper and make_title_id(document.title) == title_id:
            return document.document_id
    return ""
