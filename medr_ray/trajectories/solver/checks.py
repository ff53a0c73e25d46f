"""Checks of a candidate before it is the answer: in a second source where one states such a thing,
else in the record itself where only a part of it was shown.

What was counted or chosen in a whole list, or worked out from a whole record, has been checked by
that: no other record states it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records import FactSource
from medr_ray.graph.facts.registry_relations import is_value
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps.approvals import list_ingredients, read_date
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.trajectories.solver.notes import Notes, ReadDocument
from medr_ray.trajectories.solver.queries import QueryWriter, list_looked_up_kinds, make_query
from medr_ray.trajectories.solver.rules import LookUp, PlannedCall, SearchLog
from medr_ray.trajectories.solver.solver import LISTED, WHOLE_RECORD, Toolset, find_record

# What a check showed. A hit of the second source stated the value before it was asked ("seen"). It
# states the value, of a date perhaps the year alone, of a company another form of its name, or
# another value ("conflict"). It has a record of the subject that does not state the value where it
# was shown ("unstated"), none among the hits ("unlisted"), or only generics of a drug whose
# original application is wanted. The record itself states the value or not. What was read in the
# check makes another value of it ("overturned").
CheckResult = Literal[
    "seen",
    "confirmed",
    "confirmed_year",
    "confirmed_name",
    "conflict",
    "unstated",
    "unlisted",
    "generics_only",
    "record_confirms",
    "record_silent",
    "overturned",
]
CONCLUSIVE: frozenset[CheckResult] = frozenset(
    {
        "seen",
        "confirmed",
        "confirmed_name",
        "conflict",
        "record_confirms",
        "record_silent",
        "overturned",
    }
)
_APPLICATIONS = "FDA:"
_GENERICS = "FDA:ANDA"
_DRUG = "DRUG:"


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
            "orange_book", "Orange Book {0} product approval date", "product_approval_date"
        ),
    ),
    "approval_date_of_drug": (
        _SecondSource(
            "livertox", "{0} LiverTox background approved United States", "us_approval_year"
        ),
    ),
    "approval_year_of_drug": (
        _SecondSource(
            "drugs_at_fda",
            "{0} original application, active ingredient, submission status date",
            "original_approval_date",
        ),
        _SecondSource(
            "livertox", "{0} LiverTox background approved United States", "us_approval_year"
        ),
    ),
    "disease_by_gene_and_inheritance": (
        _SecondSource("pubmed", "{value} {0} mutation inheritance"),
    ),
    "disease_of_gene": (_SecondSource("pubmed", "{value} {0} mutation"),),
    "drug_of_application": (_SecondSource("orange_book", "Orange Book {0} ingredient"),),
    "drug_of_trial": (_SecondSource("pubmed", "{value} {0} randomized trial"),),
    "gene_of_disease": (_SecondSource("pubmed", "{0} {value} variants"),),
    "inheritance_of_disease": (
        _SecondSource("orphanet", "Orphanet {0} type of inheritance", "has_inheritance"),
    ),
    "sponsor_of_application": (
        _SecondSource("orange_book", "Orange Book {0} applicant full name", "product_applicant"),
    ),
    "trade_name_of_application": (_SecondSource("orange_book", "Orange Book {0} trade name"),),
}


@dataclass(frozen=True)
class Check:
    """A call that checks ``value`` of a look-up. ``documents`` are those that stated it before;
    ``source`` is the second source that is asked, "" where it is the record itself."""

    look_up: LookUp
    value: str
    call: PlannedCall
    documents: tuple[str, ...]
    source: FactSource | Literal[""] = ""


@dataclass(frozen=True)
class CheckOutcome:
    """What a check showed, and in which document; ``other`` is what that prints, where it is not
    the value in the same form."""

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
    has_second: bool = False,
) -> Check | CheckOutcome | None:
    """The next check of a value that can be sent; what a hit has shown already of the second
    source; None where there is neither. With ``has_second`` the second source is not asked."""
    seen = None if has_second else _find_seen(look_up, value, notes)
    if seen is not None:
        return seen
    checks = _generate_checks(look_up, value, notes, tools, queries)
    return next(
        (
            check
            for check in checks
            if log.is_open(check.call) and not (has_second and check.source)
        ),
        None,
    )


def has_checks(look_up: LookUp) -> bool:
    """Whether a second source or a record of its own may state what was looked up."""
    if look_up.kind in _SECOND_SOURCES:
        return True
    # A difference has words of its own in no record.
    is_stated = look_up.kind in list_looked_up_kinds()
    return is_stated and look_up.kind not in {*LISTED, *WHOLE_RECORD}


def _generate_checks(
    look_up: LookUp, value: str, notes: Notes, tools: Toolset, queries: QueryWriter
) -> Iterator[Check]:
    documents = tuple(notes.list_support(look_up.inputs, value))
    for second in _list_second_sources(look_up):
        # One that has stated the value is the first source.
        if not _list_stating(second, look_up, value, notes):
            names = [_name(second.source, name, notes) for name in look_up.inputs]
            text = second.phrasing.format(*names, value=notes.print_name(value))
            call = make_query(second.source, text).plan_call()
            yield Check(look_up, value, call, documents, second.source)
            break
    record = _find_unread(look_up, documents, notes, tools)
    if record is not None:
        call = PlannedCall(queries.write_goal(look_up, notes), document_id=record.document_id)
        yield Check(look_up, value, call, documents)


def _list_second_sources(look_up: LookUp) -> list[_SecondSource]:
    # The Orange Book lists no biologic.
    is_biologic = any(name.startswith("FDA:BLA") for name in look_up.inputs)
    return [
        second
        for second in _SECOND_SOURCES.get(look_up.kind, ())
        if not (is_biologic and second.source == "orange_book")
    ]


def _list_stating(
    second: _SecondSource, look_up: LookUp, value: str, notes: Notes
) -> dict[str, str]:
    """The documents of a source that state a value, of a date perhaps the year, and as what."""
    prefix = REGISTRY_PREFIXES[second.source]
    own = [name for name in notes.documents if name.partition(":")[0] == prefix]
    subject = look_up.inputs[0]
    stated = {
        document: _find_stated(second, document, value, notes)
        for document in own
        if _is_about(document, subject, notes)
    }
    return {document: other for document, other in stated.items() if other}


def _find_seen(look_up: LookUp, value: str, notes: Notes) -> CheckOutcome | None:
    """What the hits have shown of a second source already, beside the first."""
    documents = tuple(notes.list_support(look_up.inputs, value))
    for second in _list_second_sources(look_up):
        stating = _list_stating(second, look_up, value, notes)
        others = [
            name
            for name in documents
            if name not in stating and states(notes.print_text(name), value, notes)
        ]
        if stating and others:
            document, stated = next(iter(stating.items()))
            check = Check(look_up, value, PlannedCall("", document_id=document), documents)
            result, other = _compare_form(stated, value, document, notes)
            return CheckOutcome(check, result or "seen", document, other)
    return None


def _name(source: FactSource, name: str, notes: Notes) -> str:
    """A name as a source has it: LiverTox has drugs without their salts."""
    if source == "livertox" and name.startswith(_DRUG):
        return name.removeprefix(_DRUG)
    return notes.print_name(name)


def _find_stated(second: _SecondSource, document: str, value: str, notes: Notes) -> str:
    """The value as a document of the second source states it; "" where it does not."""
    stated = [fact.object for fact in notes.list_facts(second.predicate, document)]
    if not stated:
        return value if states(notes.print_text(document), value, notes) else ""
    return next((other for other in stated if _agree(other, value)), "")


def _find_unread(
    look_up: LookUp, documents: Sequence[str], notes: Notes, tools: Toolset
) -> ReadDocument | None:
    """The record that states the value, else that of the first input that has one, where it can be
    read and was not yet."""
    if not tools.can_read or look_up.kind not in list_looked_up_kinds():
        return None
    stating = [notes.documents[name] for name in documents if name in notes.documents]
    records = [
        find_record(notes, look_up.kind, name) or notes.find_record(name) for name in look_up.inputs
    ]
    record = next(filter(None, [*stating, *records]), None)
    return record if record is not None and not record.was_read else None


def judge_check(
    check: Check, response: str, document_ids: Sequence[str], notes: Notes
) -> CheckOutcome:
    """What a check's response showed; ``document_ids`` are those in it."""
    if not check.source:
        is_stated = states(response, check.value, notes)
        result: CheckResult = "record_confirms" if is_stated else "record_silent"
        return CheckOutcome(check, result, check.call.document_id)
    second = next(
        second for second in _SECOND_SOURCES[check.look_up.kind] if second.source == check.source
    )
    subject = check.look_up.inputs[0]
    about = [
        document
        for document in document_ids
        if document not in check.documents and _is_about(document, subject, notes)
    ]
    for document in about:
        agreeing = _find_stated(second, document, check.value, notes)
        if agreeing:
            form, other = _compare_form(agreeing, check.value, document, notes)
            return CheckOutcome(check, form or "confirmed", document, other)
        stated = [fact.object for fact in notes.list_facts(second.predicate, document)]
        # Later products of an application, and later applications, have dates of their own.
        if stated and not second.predicate.endswith("approval_date"):
            is_name = _share_first_word(stated[0], check.value, notes)
            result = "confirmed_name" if is_name else "conflict"
            return CheckOutcome(check, result, document, notes.print_name(stated[0]))
    prefix = REGISTRY_PREFIXES[second.source]
    own = [document for document in about if document.partition(":")[0] == prefix]
    if not own and any(_is_generic(document, subject, notes) for document in document_ids):
        return CheckOutcome(check, "generics_only")
    return CheckOutcome(check, "unstated" if own else "unlisted", next(iter(own), ""))


def _is_about(document: str, subject: str, notes: Notes) -> bool:
    """Whether a document is the record of a subject or names it; of a drug's applications those
    for it alone are, and no generic's."""
    if document.startswith(_APPLICATIONS) and subject.startswith(_DRUG):
        ingredients = list_ingredients(notes.table, document)
        return ingredients == (subject,) and not document.startswith(_GENERICS)
    return notes.is_record(document, subject) or states(notes.print_text(document), subject, notes)


def _compare_form(
    stated: str, value: str, document: str, notes: Notes
) -> tuple[Literal["confirmed_year", "confirmed_name", ""], str]:
    """Whether a document that agrees prints the year of a date alone, or another form of a name,
    and what; "" where it has the value as it is."""
    if is_value(stated):
        is_year = len(stated) < len(value)
        return ("confirmed_year", notes.print_name(stated)) if is_year else ("", "")
    printed = [
        name for name in notes.list_spellings(value) if name and name in notes.print_text(document)
    ]
    if not printed or notes.print_name(value) in printed:
        return "", ""
    return "confirmed_name", printed[0]


def _is_generic(document: str, drug: str, notes: Notes) -> bool:
    is_generic = document.startswith(_GENERICS)
    return is_generic and drug in list_ingredients(notes.table, document)


def _agree(stated: str, value: str) -> bool:
    """Whether two values are one; of a date, the year may be all that is stated."""
    if stated == value:
        return True
    if not (is_value(stated) and is_value(value)):
        return False
    shorter, longer = sorted((read_date(stated), read_date(value)), key=len)
    return re.fullmatch(r"\d{4}", shorter) is not None and longer.startswith(f"{shorter}-")


def _share_first_word(first: str, second: str, notes: Notes) -> bool:
    """Whether two names of companies begin alike: "GLAXO GRP LTD", "GLAXO GROUP LTD ENGLAND"."""
    words = [fold_name(notes.print_name(value)).partition(" ")[0] for value in (first, second)]
    return not is_value(first) and words[0] == words[1]


def states(text: str, value: str, notes: Notes) -> bool:
    """Whether a text has the name or the value in one of its spellings."""
    folded = f" {fold_name(text)} "
    return any(f" {fold_name(name)} " in folded for name in notes.list_spellings(value) if name)
