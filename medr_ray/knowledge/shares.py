"""Shares of patients: the numbers behind a qualifier such as "3 of 7 patients"."""

import functools
import re

_COUNT = re.compile(r"(\d+) of (\d+) patients?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%(?: of patients)?")
_RANGE = re.compile(r"(\d+)-(\d+)%(?: of patients)?")
_MIN_PATIENTS = 5  # a share of fewer patients is chance
_EXACT = re.compile(r"\d+(\.\d+)?% of patients|all patients")


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
