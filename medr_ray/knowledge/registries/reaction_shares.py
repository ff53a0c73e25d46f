"""Shares of patients with an adverse reaction, from the text of a label's table.

Labels reach openFDA and DailyMed as running text, in which the cells of a table follow one another:
"Metformin Hydrochloride Tablets (n=141) Placebo (n=145) Diarrhea 53% 12% Nausea/Vomiting 26% 8%".
Taken is what can be read in one way only: a table of two arms, the label's drug and a placebo, both
with their numbers of patients, whose rows of a name and two percentages follow at once. Left out
are tables of more arms, tables whose title does not say what the patients had (a sentence elsewhere
does), sentences with a figure (drug, dose and trial stand elsewhere), ranges ("1% to 10%"), and a
row behind the name of a body system, because the two names cannot be told
apart.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_PATIENTS = r"\(\s*n\s*=\s*(?P<{}>\d[\d,]*)\s*\)"
_ARMS = re.compile(
    _PATIENTS.format("patients")
    + r"\s+(?P<comparator>placebo(?:\s*\+\s*[a-z-]+)?)\s*"
    + _PATIENTS.format("comparator_patients"),
    re.IGNORECASE,
)
_REACTION = r"\s*(?P<reaction>[A-Z][a-z]*(?:[ /-][A-Za-z]+){0,4}?)"
_SHARE = r"\d{1,3}(?:\.\d+)?"
_LAST_CELL = r"(?![\d.])(?!\s*[%<(\d])"
_ROW = re.compile(
    rf"{_REACTION}\s+(?P<share>{_SHARE})\s*%\s+(?P<comparator_share>{_SHARE})\s*%{_LAST_CELL}"
)
# The unit stands in the header: "% of Patients Diarrhea 53.2 11.7".
_UNIT = re.compile(r"\s*% of Patients(?=\s)", re.IGNORECASE)
_BARE_ROW = re.compile(
    rf"{_REACTION}\s+(?P<share>{_SHARE})\s+(?P<comparator_share>{_SHARE}){_LAST_CELL}"
)
_ARM_CHARS = 90  # of the drug's name, formulation and partner before "(n=141)"
_ARM = re.compile(r"[A-Za-z ,+-]+")
_NO_ARM = re.compile(r"\b(?:adverse|reactions?|events?|patients?|study|trial|in|of|than)\b", re.I)
# Before the drug's name, where that is only a part of what the arm received.
_PARTIAL = re.compile(r"(?:[+/,-]|\b(?:and|plus|with|or|release))\s*$", re.IGNORECASE)
_POPULATION_CHARS = 200
_POPULATION = re.compile(
    r"\bin (?P<population>patients with [a-z0-9 -]+?)"
    r"\s*(?:body system/? ?)?(?:adverse (?:drug )?(?:reactions?|events?))?\s*$",
    re.IGNORECASE,
)
_BODY_SYSTEMS = re.compile(
    r"(?:body as a whole|cardiovascular|(?:central |peripheral )?nervous|gastrointestinal|"
    r"digestive|respiratory|skin|dermatologic|urogenital|genitourinary|musculoskeletal|"
    r"special senses|metabolic|psychiatric|general|infections|hematologic|hemic|ocular|eye|ear|"
    r"cardiac|vascular|renal|hepatobiliary|endocrine|reproductive|immune)\b.*\s",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ReactionShare:
    """A row of a table: shares in percent as printed, ``printed`` the whole row."""

    reaction: str
    share: str
    arm: str
    patients: str
    comparator: str
    comparator_share: str
    comparator_patients: str
    population: str
    printed: str


def read_reaction_shares(text: str, drug_names: Sequence[str]) -> Iterator[ReactionShare]:
    """The shares that a section states unambiguously; ``drug_names`` are the label's names
    of its drug."""
    text = " ".join(text.split())
    for header in _ARMS.finditer(text):
        before = text[: header.start()].rstrip()
        arm = _find_arm(before, drug_names)
        if not arm:
            continue
        title = before[-_POPULATION_CHARS - len(arm) : len(before) - len(arm)]
        population = _POPULATION.search(title)
        if population is None:
            continue
        for row in _read_rows(text, header.end()):
            if _BODY_SYSTEMS.match(row["reaction"]):
                continue
            yield ReactionShare(
                reaction=row["reaction"],
                share=row["share"],
                arm=arm,
                patients=header["patients"].replace(",", ""),
                comparator=header["comparator"],
                comparator_share=row["comparator_share"],
                comparator_patients=header["comparator_patients"].replace(",", ""),
                population=population["population"].strip(),
                printed=row[0].strip(),
            )


def _find_arm(before: str, drug_names: Sequence[str]) -> str:
    """What the first arm received, which stands before its number of patients; "" where it does not
    begin with the label's drug."""
    folded = before.lower()
    starts = [(folded.rfind(name.lower()), len(name)) for name in drug_names if name.strip()]
    start = max(starts, default=(-1, 0))[0]
    arm = before[start:]
    if start < 0 or len(arm) > _ARM_CHARS or not _ARM.fullmatch(arm):
        return ""
    if _NO_ARM.search(arm) or _PARTIAL.search(before[:start]):
        return ""
    return arm


def _read_rows(text: str, position: int) -> Iterator[re.Match[str]]:
    """The rows that follow one another from there."""
    unit = _UNIT.match(text, position)
    pattern = _BARE_ROW if unit else _ROW
    position = unit.end() if unit else position
    while row := pattern.match(text, position):
        yield row
        position = row.end()
