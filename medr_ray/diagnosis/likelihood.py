"""Likelihood ratios: how much likelier a finding is with a disease than with diseases at large.

A disease explains a recorded finding in the best of five ways. Each way counts as a share of the
ideal ratio P(finding | disease) / P(finding):

- ``EXACT``: the finding, or something more specific, is annotated. Several annotations explain it
  independently (noisy-OR).
- ``GENERAL``: something more general is annotated, and the patient was described in more detail.
- ``RELATED``: only a relative is annotated. The ratio is that of what the two have in common.
- ``BROADER``: only a record that contains the disease has it.
- ``LEAK``: nothing explains it. It is a coincidence, or the annotations are incomplete.

The shares were chosen near those of published cases (2,749 patients whose disease is annotated:
0.55, 0.33, 0.13 and 0.06 for the first three and the last; smaller shares for the middle ones
ranked better). All of those patients were used for the choice, so figures on the same patients are
optimistic.

Where a disease has the finding exactly, only its own figure counts, however small. An absent
finding never raises a disease that has it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medr_ray.diagnosis.belief import MAX_SHARE
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding, KnowledgeBase
from medr_ray.diagnosis.probability_table import FloatArray

# Shares of the ideal ratio by kind of explanation; the module docstring has their choice.
EXACT = 0.5
GENERAL = 0.25
RELATED = 0.05
BROADER = 0.05
LEAK = 0.05
# A finding recorded as absent was looked for, mostly because the disease was suspected. In
# published cases it is ten times as often one that the patient's own disease has, in other
# patients, as one of another disease. So absence only counts where it outweighs that factor; the
# slope keeps the order of diseases right below it. Measured on the same cases as the kinds above.
# Counting absence at all costs some ranks on them, because what was looked for there hints at the
# disease.
_LOOKED_FOR_FACTOR = 10.0
_ABSENCE_SLOPE = 0.05
_CACHED_TERMS = 512  # terms whose ratios are kept, float32 [diseases] each

ExplanationKind = Literal["exact", "general", "related", "broader", "leak"]


@dataclass(frozen=True)
class Explanation:
    """How a disease explains a finding: the likelihood ratio, the kind of explanation, and the
    annotation that it rests on."""

    ratio: float
    kind: ExplanationKind
    finding: AnnotatedFinding | None


class Likelihood:
    """Likelihood ratios over a knowledge base. Safe to share between threads."""

    def __init__(self, knowledge_base: KnowledgeBase) -> None:
        self.knowledge_base = knowledge_base
        self.present_ratios = functools.lru_cache(_CACHED_TERMS)(self._compute_present_ratios)

    def _compute_present_ratios(self, term: int) -> NDArray[np.float32]:
        """[diseases] the ratio of a finding that a patient has."""
        knowledge_base = self.knowledge_base
        background = knowledge_base.background_shares
        ratios = np.full(len(knowledge_base.ids), LEAK)
        diseases, shares = knowledge_base.broader_shares.entries_of(term)
        ratios[diseases] = np.maximum(ratios[diseases], BROADER * shares / background[term])
        for ancestor in knowledge_base.terms.ancestors[term][1:]:
            for table, factor in (
                (knowledge_base.propagated_shares, RELATED),
                (knowledge_base.annotated_shares, GENERAL),
            ):
                diseases, shares = table.entries_of(ancestor)
                explained = factor * shares / background[ancestor]
                ratios[diseases] = np.maximum(ratios[diseases], explained)
        # An exact explanation replaces all others, also where it is smaller.
        diseases, shares = knowledge_base.propagated_shares.entries_of(term)
        ratios[diseases] = EXACT * shares / background[term]
        return ratios.astype(np.float32)

    def absent_ratios(self, term: int) -> tuple[NDArray[np.int32], FloatArray]:
        """Returns (diseases, ratios) for a finding that was excluded.

        The diseases are those that have the finding or something more specific; the ratio of all
        others is 1.
        """
        diseases, shares = self.knowledge_base.propagated_shares.entries_of(term)
        return diseases, absence_ratio(shares)

    def explain_presence(
        self, disease: int, findings: Sequence[AnnotatedFinding], term: int
    ) -> Explanation:
        """The entry of ``present_ratios`` for one disease, with its explanation.

        ``findings`` are the disease's, which may have been updated by retrieved evidence.
        """
        background = self.knowledge_base.background_shares
        specific = self._at_or_below(findings, term)
        if specific:
            most_frequent = max(specific, key=lambda finding: finding.belief.share)
            ratio = EXACT * combined_share(specific, term) / float(background[term])
            return Explanation(ratio, "exact", most_frequent)
        explanations = [Explanation(LEAK, "leak", None)]
        broader_entries = self.knowledge_base.broader_shares.entries_of(term)
        for listed_disease, share in zip(*broader_entries, strict=True):
            if listed_disease == disease:
                ratio = BROADER * float(share) / float(background[term])
                explanations.append(Explanation(ratio, "broader", None))
        for ancestor in self.knowledge_base.terms.ancestors[term][1:]:
            explanations += self._explain_by_ancestor(findings, ancestor)
        return max(explanations, key=lambda explanation: explanation.ratio)

    def _explain_by_ancestor(
        self, findings: Sequence[AnnotatedFinding], ancestor: int
    ) -> list[Explanation]:
        """Explanations of a finding by those findings of a disease that share an ancestor with
        it."""
        background = float(self.knowledge_base.background_shares[ancestor])
        sharing = self._at_or_below(findings, ancestor)
        if not sharing:
            return []
        best = max(sharing, key=lambda finding: (finding.term == ancestor, finding.belief.share))
        ratio = RELATED * combined_share(sharing, ancestor) / background
        explanations = [Explanation(ratio, "related", best)]
        if best.term == ancestor:
            ratio = GENERAL * best.belief.share / background
            explanations.append(Explanation(ratio, "general", best))
        return explanations

    def explain_absence(self, findings: Sequence[AnnotatedFinding], term: int) -> Explanation:
        """The entry of ``absent_ratios`` for one disease, with its explanation."""
        specific = self._at_or_below(findings, term)
        if not specific:
            return Explanation(1.0, "leak", None)
        most_frequent = max(specific, key=lambda finding: finding.belief.share)
        ratio = absence_ratio(np.array([combined_share(specific, term)]))[0]
        return Explanation(float(ratio), "exact", most_frequent)

    def _at_or_below(
        self, findings: Sequence[AnnotatedFinding], term: int
    ) -> list[AnnotatedFinding]:
        """The findings that are the term or something more specific."""
        with_ancestors = self.knowledge_base.terms.with_ancestors
        return [finding for finding in findings if term in with_ancestors(finding.term)]


def absence_ratio(shares: NDArray[np.floating]) -> FloatArray:
    """The ratios of an excluded finding, given the shares of patients who have it."""
    missing = 1 - np.minimum(np.asarray(shares, dtype=np.float64), MAX_SHARE)
    return np.minimum(1.0, _LOOKED_FOR_FACTOR * missing) * (1 - _ABSENCE_SLOPE * (1 - missing))


def combined_share(findings: Sequence[AnnotatedFinding], term: int) -> float:
    """How often a disease shows a term, given its findings that are the term or more specific.

    The share of patients counted overall, if there is one; else the noisy-OR of the findings.
    """
    counted = [finding for finding in findings if finding.overall and finding.term == term]
    if counted:
        return counted[0].belief.share
    log_misses = np.log1p([-finding.belief.share for finding in findings])
    return float(-np.expm1(log_misses.sum()))
