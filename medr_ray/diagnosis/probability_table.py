"""A sparse table of probabilities, terms by diseases, stored by term.

Each (term, disease) pair appears once, and the diseases of a term are sorted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ProbabilityTable:
    """Shares of patients by term and disease, in compressed rows.

    ``starts`` [terms + 1] bounds each term's part of ``diseases`` [entries, int32] and ``values``
    [entries, float32].
    """

    starts: IntArray
    diseases: NDArray[np.int32]
    values: NDArray[np.float32]
    disease_count: int

    def entries_of(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(diseases, values) of a term: views, not copies."""
        part = slice(self.starts[term], self.starts[term + 1])
        return self.diseases[part], self.values[part]

    def dense_row(self, term: int) -> FloatArray:
        """[diseases] values of a term, 0 if there is none."""
        row = np.zeros(self.disease_count)
        diseases, values = self.entries_of(term)
        row[diseases] = values
        return row

    def mean_shares(self) -> FloatArray:
        """[terms] the mean over all diseases, smoothed by half a case so that none is 0."""
        totals = np.zeros(len(self.starts) - 1)
        term_of_entry = np.repeat(np.arange(len(totals)), np.diff(self.starts))
        np.add.at(totals, term_of_entry, self.values)
        return (totals + 0.5) / (self.disease_count + 1)


def noisy_or(
    terms: IntArray, diseases: IntArray, values: FloatArray, term_count: int, disease_count: int
) -> ProbabilityTable:
    """The table of entries, of which several may have the same term and disease.

    Those are combined by noisy-OR, as independent causes: 1 - prod(1 - value). ``terms``,
    ``diseases`` and ``values`` are [entries]; all values must be below 1.
    """
    keys = terms * disease_count + diseases
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if len(keys):
        first_of_key = np.flatnonzero(np.diff(keys, prepend=-1))
        log_misses = np.add.reduceat(np.log1p(-values[order]), first_of_key)
        combined = -np.expm1(log_misses)
    else:  # reduceat refuses empty input
        first_of_key = np.zeros(0, dtype=np.int64)
        combined = np.zeros(0)
    unique_keys = keys[first_of_key]
    starts = np.searchsorted(unique_keys, np.arange(term_count + 1) * disease_count)
    return ProbabilityTable(
        starts,
        (unique_keys % disease_count).astype(np.int32),
        combined.astype(np.float32),
        disease_count,
    )
