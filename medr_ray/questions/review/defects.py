"""What readers refuse questions for."""

from dataclasses import dataclass
from typing import Literal

DefectCode = Literal[
    "cohort_share",
    "share_without_source",
    "not_unique",
    "false_fact",
    "tautology",
    "leak",
    "needless_hop",
    "wording",
    "too_easy",
    "other",
]


@dataclass(frozen=True)
class Defect:
    """A defect: its code, the key and the letter that also name it, and what it means.

    ``letter`` is the one of the usual taxonomy, "" for the two that it does not have.
    """

    code: DefectCode
    key: str
    letter: str
    meaning: str


# In the order of the keys; a digit is a key that no command of the review has.
DEFECTS = (
    Defect("cohort_share", "1", "A1", "a share of some cohort's patients identifies an entity"),
    Defect("share_without_source", "2", "A2", "a share of patients is asked without its source"),
    Defect("not_unique", "3", "B", "there are several right answers"),
    Defect("false_fact", "4", "C", "a fact is false, contested or filed wrongly"),
    Defect("tautology", "5", "D", "the answer says what the question says"),
    Defect("leak", "6", "", "the text gives the answer away"),
    Defect("needless_hop", "7", "E", "a step is not needed to answer"),
    Defect("wording", "8", "F", "nobody would write it so, or it cannot be understood"),
    Defect("too_easy", "9", "G", "a plain look-up, or everybody knows it"),
    Defect("other", "0", "", "something else: say it in a note"),
)
DEFECTS_BY_KEY = {defect.key: defect for defect in DEFECTS}
# By code and by letter, as the files of other readers give them; both in lower case.
DEFECTS_BY_NAME = {
    name.lower(): defect for defect in DEFECTS for name in (defect.code, defect.letter) if name
}
