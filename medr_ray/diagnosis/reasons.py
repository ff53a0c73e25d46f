"""Why a diagnosis ranks where it does: each finding's likelihood ratio and what it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.knowledge_base import AnnotatedFinding
from medr_ray.diagnosis.likelihood import Explanation
from medr_ray.diagnosis.posterior import DiagnosisModel, Patient


@dataclass(frozen=True)
class FindingFactor:
    """What one finding of the patient contributes to a diagnosis.

    ``term`` is the finding's number, ``observed`` False where it was excluded. ``factor`` is what
    it multiplies the odds by, after breadth and the weight of one finding among several.
    """

    term: int
    observed: bool
    explanation: Explanation
    factor: float


def explain_diagnosis(
    diagnosis: DiagnosisModel,
    patient: Patient,
    finding_weight: float,
    disease: int,
    findings: Sequence[AnnotatedFinding] | None = None,
) -> list[FindingFactor]:
    """The factors of one disease, the strongest first; their product is what all findings count.

    ``findings`` stand in for those of the knowledge base where new evidence has updated them.
    """
    if findings is None:
        findings = diagnosis.base.findings_of(disease)
    breadth = diagnosis.breadth_factor(disease)
    factors = []
    for term in patient.observed:
        explanation = diagnosis.likelihood.explain_presence(disease, findings, term)
        factor = float((explanation.ratio / breadth) ** finding_weight)
        factors.append(FindingFactor(term, True, explanation, factor))
    for term in patient.excluded:
        explanation = diagnosis.likelihood.explain_absence(findings, term)
        factors.append(
            FindingFactor(term, False, explanation, float(explanation.ratio**finding_weight))
        )

    def strength(entry: FindingFactor) -> tuple[float, int]:
        return -max(entry.factor, 1 / entry.factor), entry.term

    return sorted(factors, key=strength)
