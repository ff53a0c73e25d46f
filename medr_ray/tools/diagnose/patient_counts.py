"""Counts of patients in a sentence: "12 of 15 patients had seizures", "seizures (8/10 patients)",
"none of 6 children".

A count is only taken with a word for people right behind it, with plainly stated numbers, and from
a clause that denies nothing. It belongs to the findings named in its own part of the sentence. A
percentage counts only with the number it is of ("40% of 20 patients").
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.graph.extraction.assertion import may_deny
from medr_ray.knowledge.name_normalization import fold_name

_NUMBER_WORDS = (
    *("none", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBER_BY_WORD = {word: number for number, word in enumerate(_NUMBER_WORDS)}
_NUMBER = rf"(?:\d{{1,5}}|{'|'.join(_NUMBER_WORDS)})"
_PEOPLE = (
    r"(?:\s+\w+){0,2}?\s+(?:patients?|individuals|children|cases|probands|subjects|people|persons|"
    r"infants|adults|males?|females?|boys|girls|men|women|carriers|members|siblings|relatives)\b"
)
_COUNT_PATTERNS = (
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
_PART_BREAK = re.compile(r"[,;:]\s+|\s+(?:and|but|while|whereas|although)\s+", re.IGNORECASE)
_MAX_PATIENTS = 20_000  # more is not a clinical series but a register, or a misprint


@dataclass(frozen=True)
class PatientCount:
    """``affected`` of ``patients`` patients have the finding with the number ``term``."""

    term: int
    affected: int
    patients: int


def find_patient_counts(sentence: str, names: Mapping[str, int]) -> list[PatientCount]:
    """What a sentence counts of the findings in ``names`` (normalised names by term number), each
    finding once."""
    # Without the counts: "none of 6 patients" would read as a denial.
    if may_deny(_remove_counts(sentence)):
        return []
    counts: dict[int, PatientCount] = {}
    for part in _split_by_counts(sentence):
        parsed = [_parse_count(match) for match in _count_matches(part)]
        numbers = {pair for pair in parsed if pair is not None}
        if len(numbers) != 1:  # no count, or several that differ
            continue
        affected, patients = numbers.pop()
        for term in _named_findings(part, names):
            counts.setdefault(term, PatientCount(term, affected, patients))
    return list(counts.values())


def _count_matches(text: str) -> Iterable[re.Match[str]]:
    for pattern in _COUNT_PATTERNS:
        yield from pattern.finditer(text)


def _split_by_counts(sentence: str) -> list[str]:
    """The sentence itself where it counts once; else its parts, each with the count it holds and
    what follows without one."""
    count_starts = sorted({match.start() for match in _count_matches(sentence)})
    if len(count_starts) <= 1:
        return [sentence]
    parts: list[str] = []
    start = 0
    for part_break in _PART_BREAK.finditer(sentence):
        next_break = _PART_BREAK.search(sentence, part_break.end())
        next_start = next_break.start() if next_break else len(sentence)
        has_count = any(start <= count < part_break.start() for count in count_starts)
        following = [count for count in count_starts if count >= part_break.end()]
        if has_count and following and following[0] < next_start:
            parts.append(sentence[start : part_break.start()])
            start = part_break.end()
    return [*parts, sentence[start:]]


def _remove_counts(sentence: str) -> str:
    """The sentence without its counts: "none of 6 patients" counts and denies nothing else."""
    for pattern in _COUNT_PATTERNS:
        sentence = pattern.sub("", sentence)
    return sentence


def _parse_count(match: re.Match[str]) -> tuple[int, int] | None:
    """(affected, patients); None when they make no sense."""
    groups = match.groupdict()
    patients = _parse_number(groups["all"])
    if groups.get("percent"):
        affected = round(float(groups["percent"]) / 100 * patients)
    elif groups.get("some"):
        affected = _parse_number(groups["some"])
    else:  # "all 12 patients"
        affected = patients
    if not 0 <= affected <= patients or not 0 < patients <= _MAX_PATIENTS:
        return None
    return affected, patients


def _parse_number(text: str) -> int:
    word = text.lower()
    return _NUMBER_BY_WORD[word] if word in _NUMBER_BY_WORD else int(text)


def _named_findings(part: str, names: Mapping[str, int]) -> Iterable[int]:
    """The findings a part of a sentence names, in the singular or the plural; the longest name
    where several begin at one place or lie within each other."""
    text = fold_name(part)
    spans = []
    for form, term in names.items():
        if form not in text:
            continue
        for match in re.finditer(rf"\b{re.escape(form)}(?:e?s)?\b", text):
            spans.append((match.start(), -match.end(), term))  # longer names first
    covered_until = -1
    for _, negative_end, term in sorted(spans):
        if -negative_end > covered_until:
            covered_until = -negative_end
            yield term
