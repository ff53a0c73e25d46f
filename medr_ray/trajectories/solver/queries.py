"""The wording of searches, in the words of the question as far as documents may have them.

``solver`` decides which entity to look for; from the conditions on it, this module words queries of
two kinds. Searches may bring up candidates. Checks decide whether a candidate meets a condition.

A comparison such as "more than three quarters of patients" stands in no document. A query leaves it
out, or spells out the counts that it covers ("7 of 7 patients, 6 of 7 patients").
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

# Which tool takes a query: the agent's first choice, its second, the medical retriever limited to
# disease records, or limited to articles.
Route = Literal["first", "second", "records", "articles"]

# With more counts in one query they drown each other in the ranking.
_COUNTS_PER_QUERY = 4
_MAX_COUNT_QUERIES = 4  # for one condition
_CANDIDATES_PER_CHECK = 6  # looked up together in one disease record
# The numbers of patients that most shares are stated of; used while no record was read.
_TYPICAL_TOTALS = range(5, 17)
_COUNT = re.compile(r"\d+ of (\d+) patients?")
_COMMON_SHARES = ("all patients", "80-99% of patients", "1-4% of patients")
# Stands for the disease that is looked for until its place in the sentence is cut out.
_PLACEHOLDER = "NOBODY"
# Thousands of diseases have the same value here. It only distinguishes candidates, and a search for
# it would bring up none.
_VAGUE_PREDICATES = ("has_inheritance", "has_onset")


@dataclass(frozen=True)
class Query:
    """A search text and its route. ``checks`` are the (condition, candidate) pairs that an answer
    decides; ``years`` are the first and last year of the articles to search."""

    text: str
    route: Route = "first"
    checks: tuple[tuple[Condition, str], ...] = ()
    years: tuple[int, int] | None = None


def generate_searches(conditions: Sequence[Condition], notes: Notes) -> Iterator[Query]:
    """The queries that may bring up an entity that meets all conditions, the most promising first:
    all conditions as the question words them, with counts spelled out, as statements, and each
    condition alone."""
    for index, condition in enumerate(conditions):
        if is_report(condition.clinical):
            yield build_article_query(condition, word_conditions(conditions, index))
    yield Query(word_conditions(conditions), "first")
    if len(conditions) == 1:
        yield Query(word_conditions(conditions), "second")
    for index in range(len(conditions)):
        for text in _spell_out_shares(conditions, index, notes):
            yield Query(text, "records")
    yield Query(" ".join(map(_word_as_statement, conditions)), "records")
    if len(conditions) > 1:
        for condition in conditions:
            if leads_to_candidates(condition):
                yield Query(_in_document_words(condition).as_noun_phrase(), "records")


def word_conditions(
    conditions: Sequence[Condition], first_index: int = 0, spelled_shares: str = ""
) -> str:
    """All conditions in one query: "disease associated with the gene FBN1 whose age of onset is
    Adult onset". The condition at ``first_index`` comes first, with ``spelled_shares`` as its
    qualifier unless that is ""."""
    condition = conditions[first_index]
    others = [*conditions[:first_index], *conditions[first_index + 1 :]]
    first = _in_document_words(condition)
    if spelled_shares:
        first = replace(condition, clinical=spelled_shares)
    clauses = [_in_document_words(other).as_clause() for other in others]
    return f"{first.as_noun_phrase()} {' and '.join(clauses)}".strip()


def build_check(condition: Condition, candidates: Sequence[str]) -> Query:
    """The query that decides whether candidates meet a condition.

    A disease is checked alone, by its own record. Genes or findings are checked several at a time,
    by the record of the disease that they are to belong to.
    """
    document_condition = _in_document_words(condition)
    first = candidates[0]
    if is_report(condition.clinical):
        query = build_article_query(condition, document_condition.as_sentence(first))
        return replace(query, checks=((condition, first),))
    if condition.forward:
        return Query(document_condition.as_sentence(first), "first", ((condition, first),))
    batch = candidates[:_CANDIDATES_PER_CHECK]
    text = f"{document_condition.as_noun_phrase()}: {', '.join(batch)}"
    return Query(text, "first", tuple((condition, candidate) for candidate in batch))


def build_article_query(condition: Condition, text: str) -> Query:
    """A query among the articles of the years that the condition's report may be of."""
    return Query(text, "articles", years=parse_report_years(condition.clinical))


def leads_to_candidates(condition: Condition) -> bool:
    """Whether a search for the condition can bring up the entities that meet it."""
    return not condition.forward or condition.predicate.name not in _VAGUE_PREDICATES


def _word_as_statement(condition: Condition) -> str:
    """The condition as a statement without the entity that is looked for: "The gene associated is
    FBN1."."""
    document_condition = _in_document_words(condition)
    if not document_condition.forward:
        return f"{document_condition.as_noun_phrase()}."
    sentence = document_condition.as_sentence(_PLACEHOLDER)
    # The preposition before the entity goes with it.
    shortened = re.sub(rf"(?:(?:with|of|in|by|against|to) )?{_PLACEHOLDER}", "", sentence)
    return " ".join(shortened.split())


def _in_document_words(condition: Condition) -> Condition:
    """The condition with a qualifier that documents can contain: no comparison, and no report, for
    an article does not name its own year and journal."""
    if condition.clinical in COMPARISONS:
        return replace(condition, clinical="patients")
    if is_report(condition.clinical):
        return replace(condition, clinical="")
    return condition


def _spell_out_shares(conditions: Sequence[Condition], index: int, notes: Notes) -> Iterator[str]:
    """Queries with the shares that the comparison in the condition at ``index`` covers; none when
    its qualifier is not a comparison."""
    condition = conditions[index]
    if condition.clinical not in COMPARISONS:
        return
    totals: Iterable[int] = _TYPICAL_TOTALS
    if not condition.forward:
        # The disease is given: use the numbers of patients that its record uses.
        qualifiers = notes.qualifiers(condition.predicate.name, condition.other)
        counts = [_COUNT.fullmatch(qualifier) for qualifier in qualifiers]
        frequencies = Counter(int(count[1]) for count in counts if count)
        totals = [total for total, _ in frequencies.most_common()]
    shares = [share for share in _COMMON_SHARES if find_comparison(share) == condition.clinical]
    for total in totals:
        shares += list_counts(total, condition.clinical)
    if condition.forward:
        query_conditions, query_index = conditions, index
    else:
        query_conditions, query_index = [condition], 0
    share_limit = min(len(shares), _COUNTS_PER_QUERY * _MAX_COUNT_QUERIES)
    for start in range(0, share_limit, _COUNTS_PER_QUERY):
        batch = shares[start : start + _COUNTS_PER_QUERY]
        yield word_conditions(query_conditions, query_index, ", ".join(batch))


def list_counts(total: int, comparison_phrase: str) -> list[str]:
    """The counts among ``total`` patients that a comparison covers, the largest first: "7 of 7
    patients", "6 of 7 patients". Only counts that questions are made from."""
    qualifiers = (f"{count} of {total} patients" for count in range(total, 0, -1))
    return [
        qualifier
        for qualifier in qualifiers
        if is_exact(qualifier) and find_comparison(qualifier) == comparison_phrase
    ]


def generate_share_searches(disease: str, finding: str) -> Iterator[Query]:
    """The queries for the share of a disease's patients who have a finding."""
    text = f"finding in patients with {disease}: {finding}"
    yield Query(text, "first")
    yield Query(text, "second")
    yield Query(text, "records")
