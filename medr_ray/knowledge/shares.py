"""Shares of patients: what a qualifier such as "3 of 7 patients" says in numbers, and the
comparison it may be told as.

A question tells a share exactly, or as one of four comparisons ("more than three quarters of
patients"). A comparison is only used where the share surely lies inside it, and everything whose
share may lie inside it is an answer to it.
"""

import functools
import re

_COUNT = re.compile(r"(\d+) of (\d+) patients?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%(?: of patients)?")
_RANGE = re.compile(r"(\d+)-(\d+)%(?: of patients)?")
_FEWEST_PATIENTS = 5  # a share of fewer is chance
_EXACT = re.compile(r"\d+(\.\d+)?% of patients|all patients")
COMPARISONS: dict[str, tuple[float, float]] = {
    "fewer than a quarter of patients": (0.0, 0.25),
    "a quarter to a half of patients": (0.25, 0.5),
    "a half to three quarters of patients": (0.5, 0.75),
    "more than three quarters of patients": (0.75, 1.0),
}


@functools.lru_cache(maxsize=10_000)
def parse_share(clinical: str) -> tuple[float, float] | None:
    """(lowest, highest) share in [0, 1] that a qualifier may mean; None when it gives no number."""
    if clinical == "all patients":
        return 1.0, 1.0
    if counted := _COUNT.fullmatch(clinical):
        return (int(counted[1]) / int(counted[2]),) * 2 if int(counted[2]) else None
    if percent := _PERCENT.fullmatch(clinical):
        return (float(percent[1]) / 100,) * 2
    if span := _RANGE.fullmatch(clinical):
        return int(span[1]) / 100, int(span[2]) / 100
    return None


def is_exact(clinical: str) -> bool:
    """Whether a qualifier is one number that a question can be asked by: no range, not "some
    patients", not what was seen in a single patient, nor among fewer than five."""
    counted = _COUNT.fullmatch(clinical)
    if counted:
        return int(counted[1]) > 1 and int(counted[2]) >= _FEWEST_PATIENTS
    return _EXACT.fullmatch(clinical) is not None


def has_meaningful_share(clinical: str) -> bool:
    """Whether a qualifier says a share that means something: one number as in ``is_exact``, or a
    range."""
    return is_exact(clinical) or _RANGE.fullmatch(clinical) is not None


def find_comparison(clinical: str) -> str | None:
    """The comparison the share surely lies inside; None when it gives no number or lies on a
    border."""
    bounds = parse_share(clinical)
    if bounds is None:
        return None
    return next((words for words, span in COMPARISONS.items() if _lies_inside(bounds, span)), None)


def _lies_inside(known: tuple[float, float], span: tuple[float, float]) -> bool:
    """Strictly, but for the ends of the whole scale."""
    (lowest, highest), (low, high) = known, span
    return (low < lowest or lowest == low == 0) and (highest < high or highest == high == 1)


def may_lie_within(asked: str, clinical: str) -> bool:
    """Whether a share stated as ``clinical`` may lie inside the comparison ``asked`` for; "some
    patients" may lie anywhere."""
    if asked not in COMPARISONS:
        return False
    low, high = COMPARISONS[asked]
    bounds = parse_share(clinical)
    return bounds is None or (bounds[0] <= high and bounds[1] >= low)
