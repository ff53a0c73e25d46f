"""Naive Bayes over disease annotations, as plain as it can be: the peer of ``medr bench
diagnosis``.

P(finding | disease) is the annotated frequency, one half where there is none, also for every more
general finding; findings that a disease does not have are there by chance, a hundredth of how often
diseases have them. The prior is flat. Excluded findings, ages and Orphanet's records are left out:
with any of them it did worse.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from medr_ray.knowledge.annotations import FINDING, Annotation
from medr_ray.knowledge.hpo import Hpo

_UNKNOWN, _CHANCE = 0.5, 0.01


class NaiveBayes:
    """``diseases`` by number, and ``score`` of all of them."""

    def __init__(self, hpo: Hpo, rows: Iterable[Annotation]) -> None:
        self._hpo = hpo
        shares: dict[str, dict[str, float]] = defaultdict(dict)
        for row in rows:
            share = _UNKNOWN if row.frequency is None else row.frequency.share
            if (
                row.aspect == FINDING
                and not row.negated
                and share
                and row.disease.startswith("OMIM:")
            ):
                for term in self._above(row.term):
                    shares[row.disease][term] = max(share, shares[row.disease].get(term, 0.0))
        self.diseases = {disease: number for number, disease in enumerate(shares)}
        self._columns = _columns(shares, self.diseases)

    def score(self, observed: Sequence[str]) -> np.ndarray:
        """[diseases] log likelihood of the findings, up to a constant."""
        total = np.zeros(len(self.diseases))
        for term in dict.fromkeys(
            self._hpo.replacements.get(term_id, term_id) for term_id in observed
        ):
            if term in self._columns:
                numbers, shares = self._columns[term]
                chance = _CHANCE * shares.sum() / len(total)
                total += np.log(chance)
                total[numbers] += np.log(shares + chance) - np.log(chance)
        return total

    def _above(self, term: str) -> frozenset[str]:
        current = self._hpo.replacements.get(term, term)
        return self._hpo.ancestors(current) if current in self._hpo.terms else frozenset()


def _columns(
    shares: Mapping[str, Mapping[str, float]], numbers: Mapping[str, int]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    by_term: dict[str, dict[int, float]] = defaultdict(dict)
    for disease, disease_shares in shares.items():
        for term, share in disease_shares.items():
            by_term[term][numbers[disease]] = share
    return {
        term: (np.array(list(by_disease)), np.array(list(by_disease.values())))
        for term, by_disease in by_term.items()
    }
