"""Reports: the year and journal that first published a fact, as a question prints them.

An abstract states much that is also true of other diseases or drugs, and much that is written in
other articles too. So a question that rests on an abstract names the report: "reported in 1977 in
The American journal of medicine". It can be less precise: the year as a span of five years, the
journal as its field ("in a journal of cardiology").
"""

import functools
import re
from typing import NamedTuple

_YEARS_IN_SPAN = 5
_REPORT = re.compile(
    r"reported (?:in (?P<year>\d{4})|between (?P<first>\d{4}) and (?P<last>\d{4}))"
    r"(?: in (?P<journal>.+))?"
)
_FIELD_PREFIX = "a journal of "
# What follows a journal's title in citations: "(New York, N.Y.)", " : the journal of hernias",
# " = Revista ...", a final full stop.
_TITLE_ADDITION = re.compile(r"\s*(?:\([^)]*\)|\s:\s.*|\s=\s.*|\.$)")

# Beginnings of words in a journal's title, by field. The first field with a matching word counts,
# so narrow fields come before broad ones: a journal of veterinary surgery is one of veterinary
# medicine.
JOURNAL_FIELDS: dict[str, tuple[str, ...]] = {
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
    """The first and last year that it may be of; the journal's title and its field, "" where the
    qualifier does not give them (it gives one of them at most)."""

    first: int
    last: int
    journal: str
    field: str


def format_report(year: int | None, journal: str) -> str:
    """A report such as "reported in 1977 in Chest"; "" where the journal or a year of four digits
    is missing."""
    title = " ".join(_TITLE_ADDITION.sub("", journal).split())
    if not title or not year or not 1000 <= year <= 9999:
        return ""
    return f"reported in {year} in {title}"


def is_report(qualifier: str) -> bool:
    """Whether a qualifier names a report."""
    return qualifier.startswith("reported ")


def with_year_span(qualifier: str) -> str:
    """The report with its year as a span: "reported between 1975 and 1979 in Chest"."""
    report = _parse_report(qualifier)
    # Spans begin at multiples of five, so that equal years give equal spans and none overlap.
    first = report.first - report.first % _YEARS_IN_SPAN
    return _format_phrase(first, first + _YEARS_IN_SPAN - 1, _describe_journal(report))


def with_field(qualifier: str) -> str:
    """The report with its journal as a field: "reported in 1977 in a journal of cardiology";
    without a journal where the title shows no field."""
    report = _parse_report(qualifier)
    field = report.field or classify_journal(report.journal)
    journal = f"{_FIELD_PREFIX}{field}" if field else ""
    return _format_phrase(report.first, report.last, journal)


def parse_journal(qualifier: str) -> str:
    """How a report names its journal: the title, "a journal of cardiology", or "" (not at all)."""
    return _describe_journal(_parse_report(qualifier))


def parse_journal_field(qualifier: str) -> str:
    """The field that a report gives instead of a journal, a key of ``JOURNAL_FIELDS``, or ""."""
    return _parse_report(qualifier).field


def parse_report_years(qualifier: str) -> tuple[int, int]:
    """First and last year that a report may be of."""
    report = _parse_report(qualifier)
    return report.first, report.last


@functools.lru_cache(maxsize=10_000)
def classify_journal(title: str) -> str:
    """The field of a journal by its title, a key of ``JOURNAL_FIELDS``; "" where the title shows
    none."""
    words = re.findall(r"\w+", title.casefold())
    for field, stems in JOURNAL_FIELDS.items():
        if any(word.startswith(stems) for word in words):
            return field
    return ""


def may_match_report(report: str, stated: str) -> bool:
    """Whether a fact with the qualifier ``stated`` may be in the ``report`` of a question.

    A fact that is stated without a report may be in any report. A journal whose title shows no
    field may be of every field.
    """
    if not is_report(stated):
        return True
    target = _parse_report(report)
    source = _parse_report(stated)
    if source.last < target.first or target.last < source.first:
        return False
    if target.journal:
        return target.journal == source.journal or not source.journal
    source_field = source.field or classify_journal(source.journal)
    return not target.field or source_field in ("", target.field)


@functools.lru_cache(maxsize=10_000)
def _parse_report(qualifier: str) -> _Report:
    match = _REPORT.fullmatch(qualifier)
    if match is None:
        raise ValueError(f"not a report: {qualifier}")
    first = int(match["year"] or match["first"])
    last = int(match["year"] or match["last"])
    journal = match["journal"] or ""
    # A journal's own title may begin like this; only the names in JOURNAL_FIELDS are fields.
    field = journal.removeprefix(_FIELD_PREFIX)
    if field in JOURNAL_FIELDS:
        return _Report(first, last, "", field)
    return _Report(first, last, journal, "")


def _describe_journal(report: _Report) -> str:
    return f"{_FIELD_PREFIX}{report.field}" if report.field else report.journal


def _format_phrase(first: int, last: int, journal: str) -> str:
    years = f"in {first}" if first == last else f"between {first} and {last}"
    return f"reported {years} in {journal}" if journal else f"reported {years}"
