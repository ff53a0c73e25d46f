"""How often a disease shows a finding, as a Beta distribution that patient counts update.

Without any figure the mean is one half and weighs as much as one patient. A percentage or a class
("very frequent") weighs as much as five, because it stands for several patients nobody counted. A
count weighs what it counts. The mean is never 1: a finding that all patients had may be missing in
the next one.
"""

import functools
from dataclasses import dataclass

from medr_ray.knowledge.annotations import Frequency

_UNKNOWN_SHARE = 0.5  # share of patients where no row gives a frequency
_UNKNOWN_WEIGHT = 1.0  # patients that an unknown frequency stands for
_CLASS_WEIGHT = 5.0  # patients that a percentage or a frequency class stands for
MAX_SHARE = 0.98  # the largest share of patients that any finding is given


@dataclass(frozen=True, slots=True)
class Belief:
    """Patients with and without the finding; some of them are only assumed (see above)."""

    affected: float
    unaffected: float

    @property
    def share(self) -> float:
        """The expected share of patients with the finding, at most ``MAX_SHARE``."""
        return min(self.affected / (self.affected + self.unaffected), MAX_SHARE)

    @property
    def patient_weight(self) -> float:
        """How many patients the belief rests on."""
        return self.affected + self.unaffected

    def add_patients(self, affected: float, patients: float) -> "Belief":
        """The belief after ``affected`` of ``patients`` further patients had the finding."""
        return Belief(self.affected + affected, self.unaffected + patients - affected)


@functools.lru_cache(maxsize=100_000)
def pool_frequencies(frequencies: tuple[Frequency | None, ...]) -> Belief:
    """The belief that all rows on one finding of one disease support together."""
    stated = [frequency for frequency in frequencies if frequency is not None]
    counted = [frequency for frequency in stated if frequency.patients]
    uncounted_shares = [frequency.share for frequency in stated if not frequency.patients]
    if uncounted_shares:
        share = sum(uncounted_shares) / len(uncounted_shares)
        weight = _CLASS_WEIGHT
    else:
        share = _UNKNOWN_SHARE
        weight = _UNKNOWN_WEIGHT
    assumed = Belief(share * weight, (1 - share) * weight)
    affected = sum(frequency.share * frequency.patients for frequency in counted)
    return assumed.add_patients(affected, sum(frequency.patients for frequency in counted))
