"""Why a diagnosis stands where it does: each finding's likelihood ratio with what it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.knowledge_base import Finding
from medr_ray.diagnosis.likelihood import Explanation
from medr_ray.diagnosis.posterior import Diagnosis, Patient


@dataclass(frozen=True)
class Factor:
    """One finding of the patient (number of its ``term``; ``observed`` or excluded): how it is
    explained, and the factor by which it ``counts`` for the diagnosis beside others, after breadth
    and temper."""

    term: int
    observed: bool
    explanation: Explanation
    counts: float


def trace(
    diagnosis: Diagnosis,
    patient: Patient,
    temper: float,
    disease: int,
    findings: Sequence[Finding] | None = None,
) -> list[Factor]:
    """The factors of one disease, the strongest first; their product is what all findings count.
    ``findings`` stand in for those of the knowledge base where new evidence has moved them."""
    known = diagnosis.base.findings(disease) if findings is None else findings
    breadth = diagnosis.breadth_factor(disease)
    factors = []
    for term in patient.observed:
        explanation = diagnosis.likelihood.explain(disease, known, term)
        factors.append(
            Factor(term, True, explanation, float((explanation.ratio / breadth) ** temper))
        )
    for term in patient.excluded:
        explanation = diagnosis.likelihood.explain_absence(known, term)
        factors.append(Factor(term, False, explanation, float(explanation.ratio**temper)))
    return sorted(factors, key=lambda one: (-max(one.counts, 1 / one.counts), one.term))
