"""What to search for: queries in the words that documents use, from what must hold of an entity
that is looked for.

A question's comparison ("more than three quarters of patients") stands in no document; a query
leaves it out, or spells out the counts that it covers in a record whose numbers of patients were
seen.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medr_ray.knowledge.published_reports import is_report, parse_report_years
from medr_ray.knowledge.shares import COMPARISONS, find_comparison, is_exact
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.plans import Condition

Route = Literal["first", "second", "records", "articles"]
_SPELLED = 4  # counts in one query: more of them drown each other
_MOST_SPELLED = 4  # such queries for one condition
_BATCH = 6  # candidates looked up in one record at once
# Patients of which most shares are stated, where the record is not known yet.
_TOTALS = range(5, 17)
_COUNT = re.compile(r"\d+ of (\d+) patients?")
_GENERAL = ("all patients", "80-99% of patients", "1-4% of patients")
_NOBODY = "NOBODY"
# Thousands of diseases share a value: it only tells candidates apart.
_VAGUE = (
    "has_inheritance",
    "has_onset",
)


@dataclass(frozen=True)
class Query:
    """What is searched for and by which way: the agent's first tool, the second, disease records
    alone, or articles of certain ``years``. ``checks`` are the (condition, candidate) pairs that an
    answer to it decides."""

    text: str
    route: Route = "first"
    checks: tuple[tuple[Condition, str], ...] = ()
    years: tuple[int, int] | None = None


def discover(conditions: Sequence[Condition], notes: Notes) -> Iterator[Query]:
    """Queries that may bring up what all conditions hold of: all in one as a question asks; with
    counts spelled out; as records state it; one clue alone."""
    yield from (
        reported(condition, together(conditions, place))
        for place, condition in enumerate(conditions)
        if is_report(condition.clinical)
    )
    yield Query(together(conditions), "first")
    if len(conditions) == 1:
        yield Query(together(conditions), "second")
    for place in range(len(conditions)):
        yield from (Query(text, "records") for text in _spelled(conditions, place, notes))
    yield Query(" ".join(map(_stated, conditions)), "records")
    if len(conditions) > 1:
        yield from (
            Query(_plain(condition).wanted(), "records")
            for condition in conditions
            if leads(condition)
        )


def together(conditions: Sequence[Condition], place: int = 0, spelled: str = "") -> str:
    """All conditions in one query: "disease associated with the gene FBN1 whose age of onset is
    Adult onset"; the one at ``place`` comes first, with its qualifier ``spelled``."""
    condition, rest = conditions[place], [*conditions[:place], *conditions[place + 1 :]]
    first = replace(condition, clinical=spelled) if spelled else _plain(condition)
    return " ".join((first.wanted(), " and ".join(_plain(other).told() for other in rest))).strip()


def verify(missing: Condition, candidates: Sequence[str]) -> Query:
    """The query that decides whether a condition holds of candidates: of one disease by its record,
    of genes or findings several at once by the record of the disease they are to belong to."""
    if is_report(missing.clinical):
        query = reported(missing, _plain(missing).stated(candidates[0]))
        return replace(query, checks=((missing, candidates[0]),))
    if missing.forward:
        return Query(_plain(missing).stated(candidates[0]), "first", ((missing, candidates[0]),))
    batch = candidates[:_BATCH]
    text = f"{_plain(missing).wanted()}: {', '.join(batch)}"
    return Query(text, "first", tuple((missing, entity) for entity in batch))


def reported(condition: Condition, text: str) -> Query:
    """A query among the articles of the years that a condition's report may be of."""
    return Query(text, "articles", years=parse_report_years(condition.clinical))


def leads(condition: Condition) -> bool:
    """Whether a condition can bring up what it holds of."""
    return not condition.forward or condition.predicate.name not in _VAGUE


def _stated(condition: Condition) -> str:
    """A condition as records state it, without the disease that is looked for: "The gene associated
    is FBN1." """
    plain = _plain(condition)
    if not plain.forward:
        return f"{plain.wanted()}."
    return " ".join(
        re.sub(rf"(?:(?:with|of|in|by|against|to) )?{_NOBODY}", "", plain.stated(_NOBODY)).split()
    )


def _plain(condition: Condition) -> Condition:
    """Without a comparison, and without the report, which no document says of itself."""
    if condition.clinical in COMPARISONS:
        return replace(condition, clinical="patients")
    return replace(condition, clinical="") if is_report(condition.clinical) else condition


def _spelled(conditions: Sequence[Condition], place: int, notes: Notes) -> Iterator[str]:
    """Queries with the shares that a comparison covers; of a known disease with the counts that its
    record uses."""
    condition = conditions[place]
    if condition.clinical not in COMPARISONS:
        return
    totals: Iterable[int] = _TOTALS
    if not condition.forward:
        counts = map(_COUNT.fullmatch, notes.qualifiers(condition.predicate.name, condition.other))
        totals = [
            total for total, _ in Counter(int(read[1]) for read in counts if read).most_common()
        ]
    shares = [each for each in _GENERAL if find_comparison(each) == condition.clinical]
    shares += [each for total in totals for each in shares_of(total, condition.clinical)]
    conditions_asked = conditions if condition.forward else [condition]
    for start in range(0, min(len(shares), _SPELLED * _MOST_SPELLED), _SPELLED):
        yield together(
            conditions_asked,
            place if condition.forward else 0,
            ", ".join(shares[start : start + _SPELLED]),
        )


def shares_of(total: int, compared: str) -> list[str]:
    """The counts among ``total`` patients that a comparison covers and a question is asked by: "7
    of 7 patients", "6 of 7 patients"."""
    qualifiers = (f"{count} of {total} patients" for count in range(total, 0, -1))
    return [
        qualifier
        for qualifier in qualifiers
        if is_exact(qualifier) and find_comparison(qualifier) == compared
    ]


def share_of(disease: str, finding: str) -> Iterator[Query]:
    """The queries for the share of a disease's patients who have a finding."""
    text = f"finding in patients with {disease}: {finding}"
    yield from (Query(text, "first"), Query(text, "second"), Query(text, "records"))
