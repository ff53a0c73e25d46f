"""How often a disease shows a finding, as a Beta distribution that patient counts update.

Without any figure, the mean is one half, with the weight of one patient. A percentage or a class
("very frequent") has the weight of five patients, because it stands for several that the source
does not count. A count has the weight of its patients. The mean is never 1: a finding of all
patients so far may be missing in the next one.
"""

import functools
from dataclasses import dataclass

from medr_ray.knowledge.annotations import Frequency

_UNKNOWN_SHARE = 0.5  # share of patients where no row gives a frequency
_UNKNOWN_WEIGHT = 1.0  # patients that an unknown frequency stands for
_CLASS_WEIGHT = 5.0  # patients that a percentage or a frequency class stands for
MAX_SHARE = 0.98  # of patients with any finding; keeps logarithms of 1 - share finite


@dataclass(frozen=True, slots=True)
class Belief:
    """The number of patients with and without the finding: the parameters of the distribution.

    Some of the patients are only assumed (see the module docstring).
    """

    affected: float
    unaffected: float

    @property
    def share(self) -> float:
        """The expected share of patients with the finding, at most ``MAX_SHARE``."""
        return min(self.affected / (self.affected + self.unaffected), MAX_SHARE)

    @property
    def patient_weight(self) -> float:
        """The number of patients that the belief rests on, assumed ones included."""
        return self.affected + self.unaffected

    def add_patients(self, affected: float, patients: float) -> "Belief":
        """The belief after ``affected`` of ``patients`` further patients had the finding."""
        return Belief(self.affected + affected, self.unaffected + patients - affected)


@functools.lru_cache(maxsize=100_000)
def pool_frequencies(frequencies: tuple[Frequency | None, ...]) -> Belief:
    """The belief from the frequencies of all rows on one finding of one disease, None where a row
    gives none."""
    stated = [frequency for frequency in frequencies if frequency is not None]
    counted = [frequency for frequency in stated if frequency.patients]
    uncounted_shares = [frequency.share for frequency in stated if not frequency.patients]
    if uncounted_shares:
        share = sum(uncounted_shares) / len(uncounted_shares)
        weight = _CLASS_WEIGHT
    else:
        share = _UNKNOWN_SHARE
        weight = _UNKNOWN_WEIGHT
    # Percentages and classes form the prior distribution. However many rows give one, their mean
    # weighs as a single row.
    assumed = Belief(share * weight, (1 - share) * weight)
    affected = sum(frequency.share * frequency.patients for frequency in counted)
    return assumed.add_patients(affected, sum(frequency.patients for frequency in counted))
