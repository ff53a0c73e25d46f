"""Chooses the finding to look for next: its presence or absence gives the most information.

The value of a question is the mutual information of its answer and the diagnosis, in bits: the
entropy of the answer, minus its entropy once the diagnosis is known. The diagnoses are the
likeliest ones, "none of these", and all others together. A finding is present with its annotated
share, and as often as by chance where a disease has no annotation of it.

Findings that the patient's own findings already answer are not suggested: observed findings, the
findings that they imply, and those that an excluded finding rules out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.belief import MAX_SHARE
from medr_ray.diagnosis.knowledge_base import KnowledgeBase
from medr_ray.diagnosis.likelihood import LEAK
from medr_ray.diagnosis.posterior import Patient, Posterior
from medr_ray.diagnosis.probability_table import FloatArray, IntArray

_COMPARED_DISEASES = 50  # diagnoses whose share of the answer is computed one by one
_SUGGESTING_DISEASES = 20  # likeliest diagnoses whose findings are candidates


@dataclass(frozen=True)
class NextFinding:
    """A ``term`` (number) to look for, and the expected information in ``bits``.

    ``gains_if_present`` and ``gains_if_absent`` are the diagnoses whose probability rises most
    (numbers, None for "none of these").
    """

    term: int
    bits: float
    gains_if_present: int | None
    gains_if_absent: int | None


def rank_next_findings(
    knowledge_base: KnowledgeBase, patient: Patient, posterior: Posterior, count: int
) -> list[NextFinding]:
    """The ``count`` most informative findings, best first; fewer when no more would inform."""
    diseases = posterior.most_likely(_COMPARED_DISEASES)
    terms = _unanswered_terms(knowledge_base, patient, diseases[:_SUGGESTING_DISEASES])
    if not len(terms):
        return []
    weights = _diagnosis_weights(posterior, diseases)
    shares = np.array([_shares_by_diagnosis(knowledge_base, term, diseases) for term in terms])
    present = shares @ weights
    bits = _binary_entropy(present) - _binary_entropy(shares) @ weights
    order = np.argsort(-bits, kind="stable")[:count]
    # The last column, all other diseases together, is no diagnosis that could be suggested.
    diagnoses: list[int | None] = [*diseases, None]
    joint_present = shares[:, :-1] * weights[:-1]
    joint_absent = (1 - shares[:, :-1]) * weights[:-1]
    ranked = []
    for row in order:
        if bits[row] <= 0:
            continue
        gain_if_present = joint_present[row] / present[row] - weights[:-1]
        gain_if_absent = joint_absent[row] / (1 - present[row]) - weights[:-1]
        ranked.append(
            NextFinding(
                int(terms[row]),
                float(bits[row]),
                diagnoses[int(np.argmax(gain_if_present))],
                diagnoses[int(np.argmax(gain_if_absent))],
            )
        )
    return ranked


def _diagnosis_weights(posterior: Posterior, diseases: Sequence[int]) -> FloatArray:
    """[diseases + 2] probabilities of the diseases, "none of these" and all others together."""
    listed = posterior.probabilities[list(diseases)]
    others = max(0.0, 1.0 - posterior.none_probability - listed.sum())
    weights = np.array([*listed, posterior.none_probability, others])
    return weights / weights.sum()


def _unanswered_terms(
    knowledge_base: KnowledgeBase, patient: Patient, diseases: Sequence[int]
) -> IntArray:
    """Annotated findings of the diseases that the patient's own findings do not answer."""
    with_ancestors = knowledge_base.terms.with_ancestors
    implied = {ancestor for term in patient.observed for ancestor in with_ancestors(term)}
    excluded = set(patient.excluded)
    annotated = {
        finding.term for disease in diseases for finding in knowledge_base.findings_of(disease)
    }
    unanswered = [term for term in annotated - implied if not with_ancestors(term) & excluded]
    return np.array(sorted(unanswered), dtype=np.int64)


def _shares_by_diagnosis(
    knowledge_base: KnowledgeBase, term: int, diseases: Sequence[int]
) -> FloatArray:
    """[diseases + 2] how often each disease, "none of these" and the others show the finding."""
    by_chance = float(knowledge_base.background_shares[term])
    annotated = knowledge_base.propagated_shares.dense_row(term)[list(diseases)]
    shares = np.maximum(annotated, LEAK * by_chance)
    return np.minimum(np.array([*shares, by_chance, by_chance]), MAX_SHARE)


def _binary_entropy(share: FloatArray) -> FloatArray:
    """Entropy of a yes or no in bits; shares lie strictly between 0 and 1."""
    return -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
