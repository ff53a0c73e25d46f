"""The facts that the rules teacher has read in tool responses.

Disease records have a line of fields for each annotation (``retrieval.disease_records``), about the
disease of their title. A line that a snippet cuts off counts only as far as its fields are whole.
Every fact keeps every qualifier it was stated with, in the order of reading, so that equal
responses always give equal notes. Articles go to an ``ArticleParser``, when there is one, and their
facts count as reported in the years that the search was limited to.

``solver`` asks the notes which entities meet the conditions of a plan.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.published_reports import is_report
from medr_ray.knowledge.qualifiers import may_mean
from medr_ray.retrieval.disease_records import read_line, split_lines
from medr_ray.trajectories.solver.plans import Condition

# A search hit as the tools print it: "[1] TITLE (SOURCE:ID): SNIPPET".
_HIT = re.compile(r"\[\d+\] (?P<title>.+?) \((?P<document>[^\s()]+:[^\s()]+)\): (?P<snippet>.*)")
_RESPONSE_TAGS = re.compile(r"</?tool_response>")
_ARTICLE_PREFIX = "PMID:"
_RECORD_PREFIX = "HPO:"


@dataclass(frozen=True)
class Fact:
    """A fact as a document states it; ``clinical`` is its qualifier, or ""."""

    predicate: str
    subject: str
    object: str
    clinical: str


class ArticleParser(Protocol):
    """Extracts facts from an article."""

    def __call__(self, document_id: str, title: str, text: str) -> Iterable[Fact]:
        """The facts stated by the title and by the sentences of the snippet."""
        ...


class Notes:
    """The facts read so far. Without ``read_article`` articles are ignored."""

    def __init__(self, read_article: ArticleParser | None = None) -> None:
        self._read_article = read_article
        # A dict serves as an ordered set: the order of reading decides between equal candidates.
        self._facts: dict[Fact, None] = {}
        # (predicate, forward, entity) -> entity at the other end -> qualifiers
        self._ends: dict[tuple[str, bool, str], dict[str, list[str]]] = {}

    def read(self, response: str, years: tuple[int, int] | None = None) -> int:
        """Add the facts that a tool response states; return how many were new.

        ``years`` are the first and last year that the search was limited to.
        """
        facts = [*parse_facts(response), *self._parse_articles(response, years)]
        new_facts = [fact for fact in dict.fromkeys(facts) if fact not in self._facts]
        for fact in new_facts:
            self._add(fact)
        return len(new_facts)

    def _add(self, fact: Fact) -> None:
        self._facts[fact] = None
        # A symmetric fact can be looked up in both directions from both of its ends.
        is_symmetric = PREDICATES[fact.predicate].symmetric
        for forward in (True, False):
            start, end = (fact.subject, fact.object) if forward else (fact.object, fact.subject)
            for direction in (True, False) if is_symmetric else (forward,):
                ends = self._ends.setdefault((fact.predicate, direction, start), {})
                ends.setdefault(end, []).append(fact.clinical)

    def _parse_articles(self, response: str, years: tuple[int, int] | None) -> Iterator[Fact]:
        """The facts that the articles among the hits state."""
        for hit in _parse_hits(response):
            if self._read_article is not None and hit["document"].startswith(_ARTICLE_PREFIX):
                for fact in self._read_article(hit["document"], hit["title"], hit["snippet"]):
                    qualifier = _word_report(years)
                    yield Fact(fact.predicate, fact.subject, fact.object, qualifier)

    def supports(self, condition: Condition, entity: str) -> bool:
        """Whether some fact states, or may state, that ``entity`` meets the condition."""
        ends = self._ends.get((condition.predicate.name, condition.forward, entity), {})
        qualifiers = ends.get(condition.other, ())
        return any(_may_be_meant(condition.clinical, qualifier) for qualifier in qualifiers)

    def find_entities(self, condition: Condition) -> list[str]:
        """The entities that meet the condition, those stated with its exact qualifier first."""
        qualifiers_by_entity = self._ends.get(
            (condition.predicate.name, not condition.forward, condition.other), {}
        )
        matches = [
            entity
            for entity, qualifiers in qualifiers_by_entity.items()
            if any(_may_be_meant(condition.clinical, qualifier) for qualifier in qualifiers)
        ]
        return sorted(
            matches, key=lambda entity: condition.clinical not in qualifiers_by_entity[entity]
        )

    def qualifiers(self, predicate: str, subject: str, obj: str = "") -> list[str]:
        """The qualifiers that facts about a subject were stated with: about ``obj``, or about all
        its objects when ``obj`` is ""."""
        qualifiers_by_object = self._ends.get((predicate, True, subject), {})
        qualifiers = dict.fromkeys(
            qualifier
            for end, end_qualifiers in qualifiers_by_object.items()
            if obj in ("", end)
            for qualifier in end_qualifiers
        )
        return list(qualifiers)

    def objects(self, predicate: str, subject: str) -> list[str]:
        """The objects that facts state for a subject."""
        return list(self._ends.get((predicate, True, subject), {}))


def _may_be_meant(question_qualifier: str, fact_qualifier: str) -> bool:
    """Whether a question with one qualifier may mean a fact with the other."""
    # What a question takes from a report has to be read in a report, not in a disease record.
    is_source_right = is_report(fact_qualifier) or not is_report(question_qualifier)
    return is_source_right and may_mean(question_qualifier, fact_qualifier)


def _word_report(years: tuple[int, int] | None) -> str:
    """The qualifier of a report of which only the years are certain, or "" without years."""
    if years is None:
        return ""
    first, last = years
    if first == last:
        return f"reported in {first}"
    return f"reported between {first} and {last}"


def _parse_hits(response: str) -> Iterator[re.Match[str]]:
    for line in _RESPONSE_TAGS.sub("\n", response).splitlines():
        hit = _HIT.match(line)
        if hit:
            yield hit


def parse_facts(response: str) -> Iterator[Fact]:
    """The facts that the disease records among the hits of a response state."""
    for hit in _parse_hits(response):
        if not hit["document"].startswith(_RECORD_PREFIX):
            continue
        for line in split_lines(hit["snippet"].strip()):
            stated = read_line(line)
            if stated is not None:
                predicate, object_name, clinical = stated
                yield Fact(predicate, hit["title"], object_name, clinical)
