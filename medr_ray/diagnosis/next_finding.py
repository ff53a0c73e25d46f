"""Which finding to look for next: the one whose presence or absence is expected to tell most.

The value of asking is the mutual information of answer and diagnosis, in bits: the entropy of the
answer minus what is left of it once the diagnosis is known. Diagnoses are the likeliest ones, "none
of these", and the rest together; an asked finding is present with its annotated share, and where a
disease says nothing of it as often as by chance.

What holds: what is known already, what an observed finding implies and what an excluded one rules
out is not asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.belief import CEILING
from medr_ray.diagnosis.knowledge_base import KnowledgeBase
from medr_ray.diagnosis.likelihood import LEAK
from medr_ray.diagnosis.posterior import Patient, Posterior
from medr_ray.diagnosis.probability_table import Floats, Ints

_COMPARED = 50  # diagnoses looked at one by one
_SUGGESTING = 20  # diagnoses whose findings are asked for


@dataclass(frozen=True)
class NextFinding:
    """A ``term`` (number) to look for, the ``bits`` expected of it, the diagnosis that gains most
    from a yes and the one that gains most from a no (numbers, None for "none of these")."""

    term: int
    bits: float
    yes: int | None
    no: int | None


def next_findings(
    base: KnowledgeBase, patient: Patient, posterior: Posterior, count: int
) -> list[NextFinding]:
    """The ``count`` most telling findings, best first; none when nothing is left to ask."""
    diseases = posterior.best(_COMPARED)
    terms = _askable(base, patient, diseases[:_SUGGESTING])
    if not len(terms):
        return []
    listed = posterior.probabilities[diseases]
    weights = np.array([*listed, posterior.none, max(0.0, 1.0 - posterior.none - listed.sum())])
    weights /= weights.sum()
    shares = np.array([_shares(base, term, diseases) for term in terms])
    present = shares @ weights
    bits = _entropy(present) - _entropy(shares) @ weights
    order = np.argsort(-bits, kind="stable")[:count]
    named: list[int | None] = [*diseases, None]
    after_yes = shares[:, :-1] * weights[:-1]
    after_no = (1 - shares[:, :-1]) * weights[:-1]
    return [
        NextFinding(
            int(terms[one]),
            float(bits[one]),
            named[int(np.argmax(after_yes[one] / present[one] - weights[:-1]))],
            named[int(np.argmax(after_no[one] / (1 - present[one]) - weights[:-1]))],
        )
        for one in order
        if bits[one] > 0
    ]


def _askable(base: KnowledgeBase, patient: Patient, diseases: Sequence[int]) -> Ints:
    """Annotated findings of the diseases that the patient's own do not answer."""
    known = {above for term in patient.observed for above in base.terms.above(term)}
    absent = set(patient.excluded)
    asked = {one.term for disease in diseases for one in base.findings(disease)} - known
    return np.array(
        sorted(one for one in asked if not base.terms.above(one) & absent), dtype=np.int64
    )


def _shares(base: KnowledgeBase, term: int, diseases: Sequence[int]) -> Floats:
    """Of the diseases, "none of these" and the rest: how often each shows the finding."""
    chance = float(base.background[term])
    shares = base.closed.dense(term)[list(diseases)]
    return np.minimum(np.array([*np.maximum(shares, LEAK * chance), chance, chance]), CEILING)


def _entropy(share: Floats) -> Floats:
    """Of a yes or no, in bits; shares are strictly between 0 and 1."""
    return -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
