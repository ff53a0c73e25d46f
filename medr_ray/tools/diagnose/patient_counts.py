"""Counts of patients in a sentence: "12 of 15 patients had seizures", "seizures (8/10 patients)",
"none of 6 children".

What holds: a count is only taken with a word for people right behind it, with plainly stated
numbers, and from a clause that denies nothing; it belongs to the findings named in its own part of
the sentence. A percentage counts only with the number it is of ("40% of 20 patients").
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.graph.extraction.assertion import may_deny
from medr_ray.knowledge.name_normalization import normalise

_WORDS = {
    word: number
    for number, word in enumerate(
        [
            "none",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
}
_NUMBER = rf"(?:\d{{1,5}}|{'|'.join(_WORDS)})"
_PEOPLE = (
    r"(?:\s+\w+){0,2}?\s+(?:patients?|individuals|children|cases|probands|subjects|people|persons|infants|"
    r"adults|males?|females?|boys|girls|men|women|carriers|members|siblings|relatives)\b"
)
_COUNTS = (
    re.compile(
        rf"\b(?P<some>{_NUMBER})\s*(?:/|of|out of)\s*(?:the\s+|our\s+)?(?P<all>{_NUMBER})"
        rf"(?:\s*\(\d[\d.]*\s?%\))?(?:\s+affected)?{_PEOPLE}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?P<percent>\d{{1,3}}(?:\.\d+)?)\s?%\s+of\s+(?:the\s+)?(?P<all>\d{{1,5}}){_PEOPLE}",
        re.IGNORECASE,
    ),
    re.compile(rf"\ball\s+(?:the\s+)?(?P<all>{_NUMBER}){_PEOPLE}", re.IGNORECASE),
)
_PARTS = re.compile(r"[,;:]\s+|\s+(?:and|but|while|whereas|although)\s+", re.IGNORECASE)
_MOST = 20_000  # patients; more is no clinical series but a register, or a misprint


@dataclass(frozen=True)
class Count:
    """``affected`` of ``patients`` patients have the finding with the number ``term``."""

    term: int
    affected: int
    patients: int


def counts_in(sentence: str, names: Mapping[str, int]) -> list[Count]:
    """What a sentence counts of the findings in ``names`` (normalised names by term number), each
    finding once."""
    if may_deny(_without_counts(sentence)):
        return []
    found: dict[int, Count] = {}
    for part in _parts(sentence):
        numbers = [
            one
            for pattern in _COUNTS
            for match in pattern.finditer(part)
            if (one := _numbers(match))
        ]
        if len(set(numbers)) == 1:
            for term in _named(part, names):
                found.setdefault(term, Count(term, *numbers[0]))
    return list(found.values())


def _parts(sentence: str) -> list[str]:
    """The sentence itself where it counts once; else its parts, each with the count it holds and
    what follows without one."""
    matches = sorted({match.start() for pattern in _COUNTS for match in pattern.finditer(sentence)})
    if len(matches) <= 1:
        return [sentence]
    parts: list[str] = []
    start = 0
    for cut in _PARTS.finditer(sentence):
        inside = [one for one in matches if start <= one < cut.start()]
        behind = [one for one in matches if one >= cut.end()]
        nxt = _PARTS.search(sentence, cut.end())
        counted_next = behind and behind[0] < (nxt.start() if nxt else len(sentence))
        if inside and counted_next:
            parts.append(sentence[start : cut.start()])
            start = cut.end()
    return [*parts, sentence[start:]]


def _without_counts(sentence: str) -> str:
    """ "None of 6 patients" counts and denies nothing else."""
    for pattern in _COUNTS:
        sentence = pattern.sub("", sentence)
    return sentence


def _numbers(match: re.Match[str]) -> tuple[int, int] | None:
    """(affected, patients); None when they make no sense."""
    groups = match.groupdict()
    patients = _number(groups["all"])
    if groups.get("percent"):
        affected = round(float(groups["percent"]) / 100 * patients)
    else:
        affected = _number(groups["some"]) if groups.get("some") else patients
    return (affected, patients) if 0 <= affected <= patients and 0 < patients <= _MOST else None


def _number(text: str) -> int:
    return _WORDS[text.lower()] if text.lower() in _WORDS else int(text)


def _named(part: str, names: Mapping[str, int]) -> Iterable[int]:
    """The findings a part of a sentence names, in the singular or the plural; the longest name
    where several begin at one place or lie within each other."""
    text = normalise(part)
    spans = sorted(
        (match.start(), -match.end(), term)
        for form, term in names.items()
        if form in text
        for match in re.finditer(rf"\b{re.escape(form)}(?:e?s)?\b", text)
    )
    reached = -1
    for _, minus_end, term in spans:
        if -minus_end > reached:
            reached = -minus_end
            yield term
