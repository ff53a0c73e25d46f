"""A sparse table of probabilities, terms by diseases, stored by term.

What holds: each (term, disease) stands once; the diseases of a term are sorted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """``starts`` [terms + 1] bounds each term's part of ``diseases`` [entries, int32] and
    ``values`` [entries, float32]; ``size`` is the number of diseases."""

    starts: Ints
    diseases: NDArray[np.int32]
    values: NDArray[np.float32]
    size: int

    def of(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(diseases, values) of a term."""
        part = slice(self.starts[term], self.starts[term + 1])
        return self.diseases[part], self.values[part]

    def dense(self, term: int) -> Floats:
        """[diseases] values of a term, 0 where there is none."""
        row = np.zeros(self.size)
        diseases, values = self.of(term)
        row[diseases] = values
        return row

    def means(self) -> Floats:
        """[terms] the mean over all diseases, half a case added so that none is 0."""
        totals = np.zeros(len(self.starts) - 1)
        np.add.at(totals, np.repeat(np.arange(len(totals)), np.diff(self.starts)), self.values)
        return (totals + 0.5) / (self.size + 1)


def noisy_or(
    terms: Ints, diseases: Ints, values: Floats, term_count: int, disease_count: int
) -> Columns:
    """The columns of entries that may repeat: several that explain one term of a disease do so
    independently, 1 - prod(1 - value). ``values`` are below 1."""
    keys = terms * disease_count + diseases
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1)) if len(keys) else np.zeros(0, dtype=np.int64)
    together = (
        -np.expm1(np.add.reduceat(np.log1p(-values[order]), first)) if len(keys) else np.zeros(0)
    )
    unique = keys[first]
    starts = np.searchsorted(unique, np.arange(term_count + 1) * disease_count)
    return Columns(
        starts,
        (unique % disease_count).astype(np.int32),
        together.astype(np.float32),
        disease_count,
    )
