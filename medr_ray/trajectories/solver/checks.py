"""Checks of a candidate before it is the answer: in a second source where one states such a thing,
else in the record itself.

What a check shows: a count stands in no record, and a further look leaves it or changes it. Of any
other value the second source states it, the record or a further search of the registry states it
again, only the first source does ("repeated"), nothing on it is said, another value is, or what was
read makes another value of it ("overturned").
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records import FactSource
from medr_ray.graph.facts.registry_relations import is_number
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.trajectories.solver.notes import Notes, ReadDocument
from medr_ray.trajectories.solver.queries import QueryWriter, list_looked_up_kinds, make_query
from medr_ray.trajectories.solver.rules import LookUp, PlannedCall, SearchLog
from medr_ray.trajectories.solver.solver import LISTED, WHOLE_RECORD, Toolset, find_record

CheckResult = Literal[
    "confirmed",
    "record_confirms",
    "search_confirms",
    "count_unchanged",
    "repeated",
    "silent",
    "conflict",
    "overturned",
]


@dataclass(frozen=True)
class _SecondSource:
    """Where a value can be stated a second time: the registry, the words of the search, and the
    predicate of the registry's statement, "" where only its text can tell."""

    source: FactSource
    phrasing: str
    predicate: str = ""


_SECOND_SOURCES: Mapping[str, tuple[_SecondSource, ...]] = {
    "approval_date_of_application": (
        _SecondSource(
            "orange_book", "Orange Book {0} approval date {value}", "product_approval_date"
        ),
    ),
    "approval_year_of_drug": (
        _SecondSource(
            "livertox", "{0} LiverTox approved for use in the United States", "us_approval_year"
        ),
        _SecondSource("drugs_at_fda", "{0} active ingredient, submission status date {value}"),
    ),
    "disease_by_gene_and_inheritance": (
        _SecondSource("pubmed", "{value} {0} mutation inheritance"),
    ),
    "disease_of_gene": (_SecondSource("pubmed", "{value} {0} mutation"),),
    "drug_of_application": (_SecondSource("orange_book", "Orange Book {0} {value}"),),
    "drug_of_patent": (
        _SecondSource("drugs_at_fda", "{value} active ingredient new drug application"),
    ),
    "drug_of_trial": (_SecondSource("pubmed", "{value} {0} randomized trial"),),
    "first_generic_approval_of_drug": (
        _SecondSource("orange_book", "Orange Book {0} ANDA approval date {value}"),
    ),
    "gene_of_disease": (_SecondSource("pubmed", "{0} {value} variants"),),
    "inheritance_of_disease": (
        _SecondSource("orphanet", "Orphanet {0} type of inheritance {value}", "has_inheritance"),
        _SecondSource("hpo", "{0} inheritance {value}", "has_inheritance"),
    ),
    "sponsor_of_application": (
        _SecondSource("orange_book", "Orange Book {0} applicant {value}", "product_applicant"),
    ),
    "trade_name_of_application": (_SecondSource("orange_book", "Orange Book {0} {value}"),),
}
# The fields of a listing, in the words of its record.
_AGAIN: Mapping[str, str] = {
    "countries_of_trial": "facility city country, countries:",
    "exclusivity_end_of_application": "exclusivity date",
    "last_patent_expiry_of_application": "patent expire date",
    "patents_of_application": "patent no, drug product flag, distinct patents:",
}


@dataclass(frozen=True)
class Check:
    """A call that checks ``value`` of a look-up. ``documents`` are those that stated it before;
    ``source`` is the registry that is searched, "" where the record itself is read."""

    look_up: LookUp
    value: str
    call: PlannedCall
    documents: tuple[str, ...]
    source: FactSource | Literal[""] = ""

    @property
    def asks_second_source(self) -> bool:
        """Whether another registry than that of the value is asked."""
        return bool(self.source) and self.look_up.kind in _SECOND_SOURCES


@dataclass(frozen=True)
class CheckOutcome:
    """What a check showed, and in which document; ``other`` is the other value of a conflict."""

    check: Check
    result: CheckResult
    document_id: str = ""
    other: str = ""


def choose_check(
    look_up: LookUp,
    value: str,
    notes: Notes,
    log: SearchLog,
    tools: Toolset,
    queries: QueryWriter,
) -> Check | None:
    """The next check of a value that can be sent; None where there is none, or enough were."""
    # A candidate of a part, after which the rest was looked at, was checked by that.
    is_through = look_up.kind in {*LISTED, *WHOLE_RECORD} and log.searches[look_up] > 1
    if is_through and look_up.kind not in _SECOND_SOURCES:
        return None
    checks = list(_generate_checks(look_up, value, notes, tools, queries))
    done = [check for check in checks if check.call in log.answered]
    if len(done) >= _count_checks(look_up, value):
        return None
    return next((check for check in checks if log.is_open(check.call)), None)


def has_checks(look_up: LookUp, notes: Notes, tools: Toolset) -> bool:
    """Whether what was looked up can be checked: a second source may state it, or it has a record
    or a list of its own."""
    if look_up.kind in {*_SECOND_SOURCES, *LISTED, *WHOLE_RECORD}:
        return True
    # A difference has words of its own in no record.
    is_stated = look_up.kind in list_looked_up_kinds()
    return is_stated and _find_readable(look_up, notes, tools) is not None


def _find_readable(look_up: LookUp, notes: Notes, tools: Toolset) -> ReadDocument | None:
    """The record of the first input that has one, where records can be read."""
    if not tools.can_read:
        return None
    records = (
        find_record(notes, look_up.kind, name) or notes.find_record(name) for name in look_up.inputs
    )
    return next(filter(None, records), None)


def _count_checks(look_up: LookUp, value: str) -> int:
    """One check, and of every second value another one."""
    return 2 if zlib.crc32(f"{look_up}/{value}".encode()) % 2 == 0 else 1


def _generate_checks(
    look_up: LookUp, value: str, notes: Notes, tools: Toolset, queries: QueryWriter
) -> Iterator[Check]:
    documents = tuple(notes.list_support(look_up.inputs, value))
    stating = {document.partition(":")[0] for document in documents}
    others = (
        second
        for second in _SECOND_SOURCES.get(look_up.kind, ())
        if REGISTRY_PREFIXES[second.source] not in stating
    )
    second = next(others, None)
    # The Orange Book lists no biologic.
    is_biologic = any(name.startswith("FDA:BLA") for name in look_up.inputs)
    if second is not None and not (is_biologic and second.source == "orange_book"):
        names = [notes.print_name(name) for name in look_up.inputs]
        text = second.phrasing.format(*names, value=notes.print_name(value))
        call = make_query(second.source, text).plan_call()
        yield Check(look_up, value, call, documents, second.source)
    if look_up.kind in WHOLE_RECORD:
        yield _search_again(look_up, value, documents, notes)
        return
    record = _find_readable(look_up, notes, tools)
    if record is not None:
        goal = f"{queries.write_goal(look_up, notes)}: {notes.print_name(value)}"
        call = PlannedCall(goal, document_id=record.document_id)
        yield Check(look_up, value, call, documents)


def _search_again(look_up: LookUp, value: str, documents: tuple[str, ...], notes: Notes) -> Check:
    """A second look at what was read as a whole: a search for the value, and where it is the date
    of a patent, for the patent's own listing."""
    registry = WHOLE_RECORD[look_up.kind]
    name = notes.print_name(look_up.inputs[0])
    patents = [
        fact.subject
        for document in documents
        for fact in notes.list_facts("patent_expiry_date", document)
        if fact.object == value
    ]
    if look_up.kind == "last_patent_expiry_of_application" and patents:
        name = f"patent no {notes.print_name(patents[0])}"
    text = f"{name} {_AGAIN[look_up.kind]} {notes.print_name(value)}"
    return Check(look_up, value, make_query(registry, text).plan_call(), documents, registry)


def judge_check(
    check: Check, response: str, document_ids: Sequence[str], notes: Notes
) -> CheckOutcome:
    """What a check's response showed; ``document_ids`` are those in it."""
    record = check.call.document_id
    if is_number(check.value):
        # If what was shown changes the count, the solver finds that.
        return CheckOutcome(check, "count_unchanged", record or next(iter(document_ids), ""))
    if record:
        result: CheckResult = (
            "record_confirms" if _states(response, check.value, notes) else "silent"
        )
        return CheckOutcome(check, result, record)
    seconds = [
        second
        for second in _SECOND_SOURCES.get(check.look_up.kind, ())
        if second.source == check.source
    ]
    predicates = {second.predicate for second in seconds}
    for document in document_ids:
        text = notes.print_text(document)
        if not seconds:
            if document in check.documents and _states(response, check.value, notes):
                return CheckOutcome(check, "search_confirms", document)
            continue
        if document in check.documents:
            continue
        stated = [
            fact.object
            for second in seconds
            for fact in notes.list_facts(second.predicate, document)
        ]
        is_about = _states(text, check.look_up.inputs[0], notes)
        if check.value in stated or (is_about and _states(text, check.value, notes)):
            return CheckOutcome(check, "confirmed", document)
        if is_about and stated and "product_approval_date" not in predicates:
            return CheckOutcome(check, "conflict", document, stated[0])
    is_repeated = _states(response, check.value, notes)
    return CheckOutcome(check, "repeated" if is_repeated else "silent")


def _states(text: str, value: str, notes: Notes) -> bool:
    """Whether a text has the name or the value in one of its spellings."""
    folded = f" {fold_name(text)} "
    return any(f" {fold_name(name)} " in folded for name in notes.list_spellings(value) if name)
