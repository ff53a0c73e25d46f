"""What the rules teacher has read: facts in tool responses, by the wording that documents state
them in.

Only complete sentences count; one that a snippet cuts off says nothing. A fact is kept with every
qualifier it was stated with, in the order of reading, so that the same responses always give the
same notes. Articles are read by a reader of their own, where there is one; what they state counts
as reported in the years that were searched.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from medr_ray.knowledge.predicates import PREDICATES, Predicate
from medr_ray.knowledge.published_reports import is_report
from medr_ray.knowledge.qualifiers import may_mean
from medr_ray.trajectories.solver.plans import Condition

_HIT = re.compile(r"\[\d+\] (?P<title>.+?) \((?P<document>[^\s()]+:[^\s()]+)\): (?P<snippet>.*)")
_SENTENCE = re.compile(r"(?<=\.) (?=The )")
_TAGS = re.compile(r"</?tool_response>")
_ARTICLE = "PMID:"


@dataclass(frozen=True)
class Fact:
    """A fact as it was read; ``clinical`` is the qualifier it was stated with, or ""."""

    predicate: str
    subject: str
    object: str
    clinical: str


class ReadArticle(Protocol):
    """Reads what is shown of an article."""

    def __call__(self, document_id: str, title: str, text: str) -> Iterable[Fact]:
        """The facts that the title and the sentences shown state."""
        ...


class Notes:
    """Facts read so far; articles are read by ``read_article``, or not at all."""

    def __init__(self, read_article: ReadArticle | None = None) -> None:
        self._read_article = read_article
        self._facts: dict[Fact, None] = {}
        self._ends: dict[
            tuple[str, bool, str], dict[str, list[str]]
        ] = {}  # asked -> end -> qualifiers

    def read(self, response: str, years: tuple[int, int] | None = None) -> int:
        """Note what a tool response states; how many facts were new. ``years`` are those the search
        was kept to."""
        facts = [*facts_in(response), *self._reported(response, years)]
        new = [fact for fact in dict.fromkeys(facts) if fact not in self._facts]
        for new_fact in new:
            self._facts[new_fact] = None
            for forward, start, end in (
                (True, new_fact.subject, new_fact.object),
                (False, new_fact.object, new_fact.subject),
            ):
                for direction in (
                    (True, False) if PREDICATES[new_fact.predicate].symmetric else (forward,)
                ):
                    ends = self._ends.setdefault((new_fact.predicate, direction, start), {})
                    ends.setdefault(end, []).append(new_fact.clinical)
        return len(new)

    def _reported(self, response: str, years: tuple[int, int] | None) -> Iterator[Fact]:
        """What articles state."""
        for hit in _hits(response):
            if self._read_article is not None and hit["document"].startswith(_ARTICLE):
                for fact in self._read_article(hit["document"], hit["title"], hit["snippet"]):
                    yield Fact(fact.predicate, fact.subject, fact.object, _told(years))

    def holds(self, condition: Condition, entity: str) -> bool:
        """Whether a fact read says, or may say, that the condition holds of ``entity``."""
        stated = self._ends.get((condition.predicate.name, condition.forward, entity), {}).get(
            condition.other, ()
        )
        return any(_may_be_meant(condition.clinical, qualifier) for qualifier in stated)

    def fitting(self, condition: Condition) -> list[str]:
        """The entities the condition holds of, those that are stated with its very qualifier
        first."""
        qualifiers_by_end = self._ends.get(
            (condition.predicate.name, not condition.forward, condition.other), {}
        )
        fits = [
            end
            for end, stated in qualifiers_by_end.items()
            if any(_may_be_meant(condition.clinical, qualifier) for qualifier in stated)
        ]
        return sorted(fits, key=lambda end: condition.clinical not in qualifiers_by_end[end])

    def qualifiers(self, predicate: str, subject: str, obj: str = "") -> list[str]:
        """The qualifiers that the facts of a subject were stated with, of all its objects or of
        one."""
        qualifiers_by_end = self._ends.get((predicate, True, subject), {})
        return list(
            dict.fromkeys(
                qualifier
                for end, stated in qualifiers_by_end.items()
                if obj in ("", end)
                for qualifier in stated
            )
        )

    def objects(self, predicate: str, subject: str) -> list[str]:
        """The objects that were read for a subject."""
        return list(self._ends.get((predicate, True, subject), {}))


def _may_be_meant(asked: str, stated: str) -> bool:
    """Whether a fact stated with a qualifier may be meant by a question's; what a question knows
    from a report has to be read in one."""
    return may_mean(asked, stated) and is_report(stated) >= is_report(asked)


def _told(years: tuple[int, int] | None) -> str:
    """Years as a report of which no more is known."""
    if years is None:
        return ""
    return (
        f"reported in {years[0]}"
        if years[0] == years[1]
        else f"reported between {years[0]} and {years[1]}"
    )


def _hits(response: str) -> Iterator[re.Match[str]]:
    return (hit for line in _TAGS.sub("\n", response).splitlines() if (hit := _HIT.match(line)))


def facts_in(response: str) -> Iterator[Fact]:
    """The facts that the complete sentences of a response state in the wording of records."""
    for line in _TAGS.sub("\n", response).splitlines():
        hit = _HIT.match(line)
        title, text = (hit["title"], hit["snippet"]) if hit else ("", line)
        for sentence in _SENTENCE.split(text.strip()):
            fact = read_sentence(sentence, title)
            if fact is not None:
                yield fact


def read_sentence(sentence: str, title: str = "") -> Fact | None:
    """The fact that a sentence states. Where a name holds " is ", the one that is the document's
    ``title`` decides."""
    for predicate, pattern in _patterns():
        if read := pattern.fullmatch(sentence):
            subject, obj = _parted(read["rest"], title)
            return Fact(predicate.name, subject, obj, read.groupdict().get("clinical") or "")
    return None


def _parted(rest: str, title: str) -> tuple[str, str]:
    if title and rest.startswith(f"{title} is "):
        return title, rest[len(title) + 4 :]
    subject, _, obj = rest.partition(" is ")
    return subject, obj


@cache
def _patterns() -> list[tuple[Predicate, re.Pattern[str]]]:
    """What the sentences of each predicate look like: a head, and "<subject> is <object>"."""
    patterns = []
    for predicate in PREDICATES.values():
        head = predicate.sentence.removesuffix("{subject} is {object}.")
        parts = (re.escape(part) for part in head.split("{clinical}"))
        patterns.append(
            (
                predicate,
                re.compile("(?P<clinical>.+? patients?)".join(parts) + r"(?P<rest>.+ is .+)\."),
            )
        )
    return patterns
