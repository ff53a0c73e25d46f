"""Likelihood ratios of a finding: how much likelier it is with each disease than with diseases at
large.

A disease explains a recorded finding in the best of five ways, each a share of the ideal ratio
P(finding | disease) / P(finding). The shares were chosen near what published cases show (2,749
patients whose disease is annotated: 0.55, 0.33, 0.13 and 0.06 for the first three and the last;
less for the middle ones ranked better). They were chosen with all of those patients in view, so
figures on the same patients flatter them:

- ``EXACT``: it, or something more specific, is annotated; several annotations explain it independently (noisy-OR);
- ``GENERAL``: something more general is annotated, and the patient was described in more detail;
- ``RELATED``: only a relative is annotated; the ratio is that of what the two have in common;
- ``BROADER``: only a record that contains the disease has it;
- ``LEAK``: nothing explains it; it is a coincidence, or the annotations are incomplete.

What holds: where a disease has the finding exactly, its own figure counts, however small, and no
other way does. An absent finding never raises a disease that has it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medr_ray.diagnosis.belief import CEILING
from medr_ray.diagnosis.knowledge_base import Finding, KnowledgeBase
from medr_ray.diagnosis.probability_table import Floats

EXACT, GENERAL, RELATED, BROADER, LEAK = 0.5, 0.25, 0.05, 0.05, 0.05
# A finding recorded as absent was looked for, mostly because the disease was suspected: in
# published cases it is one
# that the patient's own disease has, in other patients, ten times as often as one of another
# disease. So absence only
# counts where it outweighs that; the slope keeps the order of diseases right below. (Measured on
# the same cases as the
# ways; counting absence at all costs some ranks on them, for what was asked there hints at the
# disease.)
_LOOKED_FOR, _SLOPE = 10.0, 0.05
_KEPT = 512  # terms whose ratios are kept, float32 [diseases] each

Way = Literal["exact", "general", "related", "broader", "leak"]


@dataclass(frozen=True)
class Explanation:
    """How a disease explains a finding: the likelihood ratio, the way, and the annotation that it
    rests on."""

    ratio: float
    way: Way
    finding: Finding | None


class Likelihood:
    """Likelihood ratios over a knowledge base. Safe to share between threads."""

    def __init__(self, base: KnowledgeBase) -> None:
        self.base = base
        self.present = functools.lru_cache(_KEPT)(self._present)

    def _present(self, term: int) -> NDArray[np.float32]:
        """[diseases] ratio of a finding that a patient has."""
        base, background = self.base, self.base.background
        ratios = np.full(len(base.ids), LEAK)
        diseases, shares = base.broader.of(term)
        ratios[diseases] = np.maximum(ratios[diseases], BROADER * shares / background[term])
        for above in base.terms.ancestors[term][1:]:
            for columns, way in ((base.closed, RELATED), (base.own, GENERAL)):
                diseases, shares = columns.of(above)
                ratios[diseases] = np.maximum(ratios[diseases], way * shares / background[above])
        diseases, shares = base.closed.of(term)
        ratios[diseases] = EXACT * shares / background[term]
        return ratios.astype(np.float32)

    def absent(self, term: int) -> tuple[NDArray[np.int32], Floats]:
        """(diseases that have the finding or something more specific, their ratios) of a finding
        that was excluded; the ratio of all others is 1."""
        diseases, shares = self.base.closed.of(term)
        return diseases, absent_ratio(shares)

    def explain(self, disease: int, findings: Sequence[Finding], term: int) -> Explanation:
        """What ``present`` says of one disease, from its findings (which may be moved ones), with
        the reason."""
        base, background = self.base, self.base.background
        above = base.terms.ancestors[term]
        below = [one for one in findings if term in base.terms.above(one.term)]
        if below:
            best = max(below, key=lambda one: one.belief.share)
            return Explanation(
                EXACT * together(below, term) / float(background[term]), "exact", best
            )
        ways = [Explanation(LEAK, "leak", None)]
        wider = base.broader.of(term)
        ways += [
            Explanation(BROADER * float(share) / float(background[term]), "broader", None)
            for number, share in zip(*wider, strict=True)
            if number == disease
        ]
        for ancestor in above[1:]:
            sharing = [one for one in findings if ancestor in base.terms.above(one.term)]
            if sharing:
                best = max(sharing, key=lambda one: (one.term == ancestor, one.belief.share))
                related = RELATED * together(sharing, ancestor) / float(background[ancestor])
                ways.append(Explanation(related, "related", best))
                if best.term == ancestor:
                    general = GENERAL * best.belief.share / float(background[ancestor])
                    ways.append(Explanation(general, "general", best))
        return max(ways, key=lambda one: one.ratio)

    def explain_absence(self, findings: Sequence[Finding], term: int) -> Explanation:
        """What ``absent`` says of one disease, with the reason."""
        below = [one for one in findings if term in self.base.terms.above(one.term)]
        if not below:
            return Explanation(1.0, "leak", None)
        best = max(below, key=lambda one: one.belief.share)
        return Explanation(float(absent_ratio(np.array([together(below, term)]))[0]), "exact", best)


def absent_ratio(shares: NDArray[np.floating]) -> Floats:
    """The ratio of an excluded finding that these shares of patients have."""
    missing = 1 - np.minimum(np.asarray(shares, dtype=np.float64), CEILING)
    return np.minimum(1.0, _LOOKED_FOR * missing) * (1 - _SLOPE * (1 - missing))


def together(findings: Sequence[Finding], term: int) -> float:
    """How often a disease shows a term of which it has these findings, itself or more specific
    ones: what was counted overall, else the noisy-OR."""
    counted = [one for one in findings if one.overall and one.term == term]
    if counted:
        return counted[0].belief.share
    return float(-np.expm1(np.log1p([-one.belief.share for one in findings]).sum()))
