"""How often a disease shows a finding, as a Beta distribution that counts of patients move.

What holds: without any figure the mean is one half and weighs as much as one patient; a percentage
or a class ("very frequent") weighs as much as five, for it stands for several patients nobody
counted; a count weighs what it counts. The mean is never 1: a finding that all patients had may be
missing in the next.
"""

import functools
from dataclasses import dataclass

from medr_ray.knowledge.annotations import Frequency

_UNKNOWN_SHARE, _UNKNOWN_WEIGHT = 0.5, 1.0
_CLASS_WEIGHT = 5.0
CEILING = 0.98


@dataclass(frozen=True, slots=True)
class Belief:
    """Patients with and without the finding, of whom some are only imagined (see above)."""

    affected: float
    unaffected: float

    @property
    def share(self) -> float:
        """The expected share of patients with the finding, at most ``CEILING``."""
        return min(self.affected / (self.affected + self.unaffected), CEILING)

    @property
    def weight(self) -> float:
        """How many patients stand behind it."""
        return self.affected + self.unaffected

    def moved(self, affected: float, patients: float) -> "Belief":
        """The belief after ``affected`` of ``patients`` further ones were seen with the finding."""
        return Belief(self.affected + affected, self.unaffected + patients - affected)


@functools.lru_cache(maxsize=100_000)
def belief_of(frequencies: tuple[Frequency | None, ...]) -> Belief:
    """All that several rows say of one finding of one disease."""
    counted = [one for one in frequencies if one is not None and one.patients]
    stated = [one.share for one in frequencies if one is not None and not one.patients]
    share = sum(stated) / len(stated) if stated else _UNKNOWN_SHARE
    weight = _CLASS_WEIGHT if stated else _UNKNOWN_WEIGHT
    start = Belief(share * weight, (1 - share) * weight)
    return start.moved(
        sum(one.share * one.patients for one in counted), sum(one.patients for one in counted)
    )
