"""Reports: in which year and which journal a fact was stated, as a question says it.

What an abstract states of one disease or drug holds of others too, and of many that is written
elsewhere. So a question that rests on it names the report: "reported in 1977 in The American
journal of medicine". It may be told with less: the year as a span of five, the journal as the field
it serves ("in a journal of cardiology").
"""

import functools
import re
from typing import NamedTuple

_SPAN = 5  # years
_REPORTED = re.compile(
    r"reported (?:in (?P<year>\d{4})|between (?P<first>\d{4}) and (?P<last>\d{4}))(?: "
    r"in (?P<journal>.+))?"
)
_A_JOURNAL = "a journal of "
_ASIDE = re.compile(r"\s*(?:\([^)]*\)|\s:\s.*|\s=\s.*|\.$)")

JOURNAL_FIELDS: dict[
    str, tuple[str, ...]
] = {  # beginnings of words in a title; the first field that has one
    "veterinary medicine": ("veterin",),
    "dentistry": ("dent", "orthodon", "maxillo", "periodon"),
    "oncology": ("cancer", "oncol", "tumo", "leuk"),
    "cardiology": ("cardi", "heart", "circulation", "coeur", "vascul"),
    "radiology": ("radiol", "roentgen", "imaging", "ultraso"),
    "paediatrics": ("pediatr", "paediatr", "child", "kinder"),
    "neurology": ("neuro", "brain", "epilep", "headache"),
    "psychiatry and psychology": ("psych", "mental"),
    "dermatology": ("dermat", "skin"),
    "ophthalmology": ("ophthal", "eye", "retina"),
    "endocrinology": ("endocrin", "diabet", "thyroid"),
    "gastroenterology": ("gastro", "gut", "hepat", "liver"),
    "haematology": ("haemat", "hemat", "blood", "thromb"),
    "infectious diseases": ("infect", "tropical", "antimicrob", "virol", "parasit"),
    "immunology and rheumatology": ("immun", "allerg", "rheumat", "arthrit"),
    "urology and nephrology": ("urol", "nephr", "kidney", "dialys"),
    "respiratory medicine": ("respir", "thora", "lung", "pulm", "chest"),
    "obstetrics and gynaecology": ("obstet", "gynec", "gynaec", "fertil"),
    "anaesthesia and intensive care": ("anaesth", "anesth", "intensive"),
    "surgery": ("surg", "chirurg", "transplant", "orthop", "trauma"),
    "pharmacology": ("pharmac", "drug", "toxic", "therap"),
    "genetics": ("genet", "genom"),
    "nutrition": ("nutri", "diet"),
    "microbiology": ("microb", "bacter"),
    "biochemistry and biology": ("biochem", "biolog", "biophys", "molecul", "cell", "enzym"),
}


class _Report(NamedTuple):
    """The years it may be of, and the journal's title, field or "" where neither is said."""

    first: int
    last: int
    journal: str
    field: str


def format_report(year: int | None, journal: str) -> str:
    """ "reported in 1977 in The American journal of medicine"; "" where the journal is unknown or a
    year of four digits is."""
    title = " ".join(_ASIDE.sub("", journal).split())
    return f"reported in {year} in {title}" if year and 1000 <= year <= 9999 and title else ""


def is_report(qualifier: str) -> bool:
    """Whether a qualifier names a report."""
    return qualifier.startswith("reported ")


def with_year_span(qualifier: str) -> str:
    """The report with its year as a span: "reported between 1975 and 1979 in Chest"."""
    report = _parse_report(qualifier)
    first = report.first - report.first % _SPAN
    return _format_phrase(first, first + _SPAN - 1, _describe_journal(report))


def with_field(qualifier: str) -> str:
    """The report with its journal as a field: "reported in 1977 in a journal of cardiology";
    without either where the title does not say a field."""
    report = _parse_report(qualifier)
    field = report.field or classify_journal(report.journal)
    return _format_phrase(report.first, report.last, f"{_A_JOURNAL}{field}" if field else "")


def parse_journal(qualifier: str) -> str:
    """What a report says of its journal: the title, "a journal of cardiology", or ""."""
    return _describe_journal(_parse_report(qualifier))


def parse_journal_field(qualifier: str) -> str:
    """The field that a report says its journal serves, a key of ``FIELDS``, or ""."""
    return _parse_report(qualifier).field


def parse_report_years(qualifier: str) -> tuple[int, int]:
    """First and last year that a report may be of."""
    report = _parse_report(qualifier)
    return report.first, report.last


@functools.lru_cache(maxsize=10_000)
def classify_journal(journal: str) -> str:
    """The field whose journal it is by its title, a key of ``FIELDS``; "" where that does not
    say."""
    words = re.findall(r"\w+", journal.casefold())
    return next(
        (
            field
            for field, stems in JOURNAL_FIELDS.items()
            if any(word.startswith(stems) for word in words)
        ),
        "",
    )


def may_match_report(asked: str, stated: str) -> bool:
    """Whether a fact stated with the qualifier ``stated`` may be in the report ``asked`` for. What
    is stated without a report may be in any, and a journal whose title says no field may be of
    every one."""
    if not is_report(stated):
        return True
    asked_report, stated_report = _parse_report(asked), _parse_report(stated)
    if stated_report.last < asked_report.first or asked_report.last < stated_report.first:
        return False
    if asked_report.journal:
        return asked_report.journal == stated_report.journal or not stated_report.journal
    return not asked_report.field or (
        stated_report.field or classify_journal(stated_report.journal)
    ) in (
        "",
        asked_report.field,
    )


@functools.lru_cache(maxsize=10_000)
def _parse_report(qualifier: str) -> _Report:
    read = _REPORTED.fullmatch(qualifier)
    if read is None:
        raise ValueError(f"not a report: {qualifier}")
    journal = read["journal"] or ""
    field = (
        journal.removeprefix(_A_JOURNAL)
        if journal.removeprefix(_A_JOURNAL) in JOURNAL_FIELDS
        else ""
    )
    years = (int(read["year"]),) * 2 if read["year"] else (int(read["first"]), int(read["last"]))
    return _Report(*years, "" if field else journal, field)


def _describe_journal(report: _Report) -> str:
    return f"{_A_JOURNAL}{report.field}" if report.field else report.journal


def _format_phrase(first: int, last: int, where: str) -> str:
    when = f"in {first}" if first == last else f"between {first} and {last}"
    return f"reported {when} in {where}" if where else f"reported {when}"
