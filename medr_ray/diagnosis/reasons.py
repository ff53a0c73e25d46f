"""Explains the rank of a diagnosis by the likelihood ratio of each finding and its basis."""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.knowledge_base import AnnotatedFinding
from medr_ray.diagnosis.likelihood import Explanation
from medr_ray.diagnosis.posterior import DiagnosisModel, Patient


@dataclass(frozen=True)
class FindingFactor:
    """The contribution of one finding of the patient to a diagnosis.

    ``term`` is the finding's number; ``observed`` is False where it was excluded. ``factor``
    multiplies the odds; it includes the disease's breadth and the weight of a finding among
    several.
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
    """The factors of one disease, the strongest first. Their product is that of all findings.

    ``findings`` replace those of the knowledge base where new evidence has updated them.
    """
    if findings is None:
        findings = diagnosis.knowledge_base.findings_of(disease)
    breadth = diagnosis.breadth_divisor(disease)
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

    def strongest_first(factor: FindingFactor) -> tuple[float, int]:
        # Halving the odds is as strong as doubling them.
        return -max(factor.factor, 1 / factor.factor), factor.term

    return sorted(factors, key=strongest_first)
