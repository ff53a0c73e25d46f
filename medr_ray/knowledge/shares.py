"""Shares of patients: the numbers behind a qualifier such as "3 of 7 patients", and the comparison
that a question may use instead.

A question states a share exactly, or as one of four comparisons ("more than three quarters of
patients"). It uses a comparison only where the share surely lies inside, and accepts every answer
whose share may lie inside. So rounding never makes a right answer wrong.
"""

import functools
import re

_COUNT = re.compile(r"(\d+) of (\d+) patients?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%(?: of patients)?")
_RANGE = re.compile(r"(\d+)-(\d+)%(?: of patients)?")
_MIN_PATIENTS = 5  # a share of fewer patients is chance
_MIN_COHORT = 30  # patients from which a share tells a disease from others
_EXACT = re.compile(r"\d+(\.\d+)?% of patients|all patients")
# The (lowest, highest) share of each comparison, in [0, 1].
COMPARISONS: dict[str, tuple[float, float]] = {
    "fewer than a quarter of patients": (0.0, 0.25),
    "a quarter to a half of patients": (0.25, 0.5),
    "a half to three quarters of patients": (0.5, 0.75),
    "more than three quarters of patients": (0.75, 1.0),
}


@functools.lru_cache(maxsize=10_000)
def parse_share(qualifier: str) -> tuple[float, float] | None:
    """The (lowest, highest) share in [0, 1] that a qualifier may mean; None without a number."""
    if qualifier == "all patients":
        return 1.0, 1.0
    if count := _COUNT.fullmatch(qualifier):
        affected = int(count[1])
        patients = int(count[2])
        if not patients:
            return None
        return affected / patients, affected / patients
    if percent := _PERCENT.fullmatch(qualifier):
        share = float(percent[1]) / 100
        return share, share
    if bounds := _RANGE.fullmatch(qualifier):
        return int(bounds[1]) / 100, int(bounds[2]) / 100
    return None


def is_exact(qualifier: str) -> bool:
    """Whether a qualifier is one number precise enough to ask for.

    A range is not, nor "some patients", a finding of a single patient, or a count among fewer than
    five patients.
    """
    count = _COUNT.fullmatch(qualifier)
    if count:
        return int(count[1]) > 1 and int(count[2]) >= _MIN_PATIENTS
    return _EXACT.fullmatch(qualifier) is not None


def has_enough_patients(qualifier: str) -> bool:
    """Whether a qualifier is a count among at least 30 patients: of fewer, and of a share without
    its patients, another cohort may show the opposite."""
    count = _COUNT.fullmatch(qualifier)
    return count is not None and int(count[1]) > 1 and int(count[2]) >= _MIN_COHORT


def has_meaningful_share(qualifier: str) -> bool:
    """Whether a qualifier gives a share to rely on: one number as in ``is_exact``, or a range."""
    return is_exact(qualifier) or _RANGE.fullmatch(qualifier) is not None


def find_comparison(qualifier: str) -> str | None:
    """The comparison that the share surely lies inside; None when the qualifier gives no number or
    the share lies on a border."""
    bounds = parse_share(qualifier)
    if bounds is None:
        return None
    for comparison, span in COMPARISONS.items():
        if _lies_inside(bounds, span):
            return comparison
    return None


def _lies_inside(bounds: tuple[float, float], span: tuple[float, float]) -> bool:
    """Whether a share lies inside a span and not on its border, 0 and 1 apart: no share lies
    beyond them."""
    lowest, highest = bounds
    low, high = span
    is_above = low < lowest or lowest == low == 0
    is_below = highest < high or highest == high == 1
    return is_above and is_below


def may_lie_within(comparison: str, qualifier: str) -> bool:
    """Whether the share of a stated ``qualifier`` may lie inside a ``comparison``; a qualifier
    without a number ("some patients") may lie inside any."""
    if comparison not in COMPARISONS:
        return False
    low, high = COMPARISONS[comparison]
    bounds = parse_share(qualifier)
    return bounds is None or (bounds[0] <= high and bounds[1] >= low)
