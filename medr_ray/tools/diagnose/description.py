"""A diagnosis as plain values, for callers that are programs: every disease with its probability,
reasons and sources."""

from typing import Any

from medr_ray.diagnosis.posterior import DiagnosisModel
from medr_ray.diagnosis.reasons import FindingFactor, explain_diagnosis
from medr_ray.retrieval.documents import REGISTRY_PREFIXES, document_url
from medr_ray.tools.diagnose.evidence import EvidenceUpdate
from medr_ray.tools.diagnose.rendering import DiagnosisAnswer, list_record_documents

_RECORD_REFERENCES = ("OMIM:", "ORPHA:", "DECIPHER:")


def describe_diagnosis(diagnosis: DiagnosisModel, answer: DiagnosisAnswer) -> dict[str, Any]:
    """The answer as JSON.

    ``probability`` is the posterior; that of ``none_probability`` is that of a disease that is not
    listed. ``factor`` is how much more likely a finding makes the disease, below 1 how much less.
    """
    terms = diagnosis.knowledge_base.terms
    return {
        "diseases": [_describe_disease(diagnosis, answer, disease) for disease in answer.diseases],
        "none_probability": answer.posterior.none_probability,
        "look_for_next": [
            {
                "id": terms.ids[finding.term],
                "finding": terms.names[finding.term],
                "bits": finding.bits,
            }
            for finding in answer.next_findings
        ],
        "evidence": [_describe_update(diagnosis, update) for update in answer.updates],
        "unresolved": [
            {"text": name.text, "nearest": list(name.nearest)} for name in answer.unresolved
        ],
        "contradicted": [terms.names[term] for term in answer.contradicted],
    }


def _describe_disease(
    diagnosis: DiagnosisModel, answer: DiagnosisAnswer, disease: int
) -> dict[str, Any]:
    figure = diagnosis.priors.figures.get(disease)
    factors = explain_diagnosis(
        diagnosis,
        answer.patient,
        answer.posterior.finding_weight,
        disease,
        answer.updated_findings.get(disease),
    )
    return {
        "name": diagnosis.knowledge_base.names[disease],
        "probability": float(answer.posterior.probabilities[disease]),
        "prevalence": figure.value if figure else None,
        "documents": [_link(document) for document in list_record_documents(diagnosis, disease)],
        "reasons": [_describe_factor(diagnosis, entry) for entry in factors],
    }


def _describe_factor(diagnosis: DiagnosisModel, entry: FindingFactor) -> dict[str, Any]:
    terms = diagnosis.knowledge_base.terms
    annotated = entry.explanation.finding
    return {
        "id": terms.ids[entry.term],
        "finding": terms.names[entry.term],
        "observed": entry.observed,
        "factor": float(entry.factor),
        "annotated": terms.names[annotated.term] if annotated else None,
        "references": [_link_reference(reference) for reference in annotated.references]
        if annotated
        else [],
    }


def _describe_update(diagnosis: DiagnosisModel, update: EvidenceUpdate) -> dict[str, Any]:
    knowledge_base = diagnosis.knowledge_base
    return {
        "disease": knowledge_base.names[update.disease],
        "finding": knowledge_base.terms.names[update.term],
        "affected": update.affected,
        "patients": update.patients,
        "share_before": float(update.before),
        "share_after": float(update.after),
        "document": _link(update.document_id),
        "sentence": update.sentence,
    }


def _link_reference(reference: str) -> dict[str, str]:
    """A source of an annotation: an article, or the record of the disease at OMIM or Orphanet."""
    record = f"{REGISTRY_PREFIXES['hpo']}:{reference}"
    is_record = reference.startswith(_RECORD_REFERENCES)
    return {"id": reference, "url": document_url(record if is_record else reference)}


def _link(document_id: str) -> dict[str, str]:
    return {"id": document_id, "url": document_url(document_id)}
