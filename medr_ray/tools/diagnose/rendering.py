"""A diagnosis in a few lines: the likeliest diseases with reasons and references, "none of these",
what to look for.

Lines are whole. What matters most is kept first, so that a limit on characters takes reasons before
results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.findings import UnresolvedName
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding
from medr_ray.diagnosis.next_finding import NextFinding
from medr_ray.diagnosis.posterior import DiagnosisModel, Patient, Posterior
from medr_ray.diagnosis.reasons import FindingFactor, explain_diagnosis
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.retrieval.snippets import truncate
from medr_ray.tools.diagnose.evidence import EvidenceUpdate

_SHOWN_RECORDS = 2  # records of one disease
_SHOWN_FACTORS = 3  # reasons shown for each disease
_SHOWN_REFERENCES = 2  # references of one reason
_QUOTED_CHARS = 200  # of a sentence
_NEUTRAL_FACTOR = 1.05  # a factor nearer to 1 says nothing
_EXACT_PERCENT = 0.095  # below this share two digits are shown
_UNLISTED_DISEASE = "a disease that is not listed"


@dataclass(frozen=True)
class DiagnosisAnswer:
    """Everything that one call of the tool computed, by numbers of diseases and terms."""

    patient: Patient
    posterior: Posterior
    diseases: Sequence[int]
    next_findings: Sequence[NextFinding]
    updates: Sequence[EvidenceUpdate]
    updated_findings: Mapping[int, Sequence[AnnotatedFinding]]
    unresolved: Sequence[UnresolvedName]
    contradicted: Sequence[int]


def render_diagnosis(diagnosis: DiagnosisModel, answer: DiagnosisAnswer, chars: int) -> str:
    """The answer in at most ``chars`` characters, whole lines only (the first is always there)."""
    lines: list[tuple[int, str]] = []  # (priority, line); the largest number is left out first
    lines += [(1, line) for line in _render_problems(diagnosis, answer)]
    for rank, disease in enumerate(answer.diseases, 1):
        lines.append((rank, _render_disease(diagnosis, answer, rank, disease)))
        reasons = _render_reasons(diagnosis, answer, disease)
        if reasons:
            lines.append((rank + 1, f"   {reasons}"))
    lines.append((1, f"None of these: {_format_percent(answer.posterior.none_probability)}"))
    lines += [(2, _render_next(diagnosis, finding)) for finding in answer.next_findings[:1]]
    lines += [(2, _render_update(diagnosis, update)) for update in answer.updates]
    return _fit_lines(lines, chars)


def list_record_documents(diagnosis: DiagnosisModel, disease: int) -> list[str]:
    """The ids of the documents that are the records of a disease, by which they can be read."""
    records = diagnosis.knowledge_base.records[disease][:_SHOWN_RECORDS]
    return [f"{REGISTRY_PREFIXES['hpo']}:{record}" for record in records]


def _fit_lines(lines: Sequence[tuple[int, str]], chars: int) -> str:
    """The lines that fit, chosen by priority and shown in their order."""
    room = chars
    kept: set[int] = set()
    by_priority = sorted(range(len(lines)), key=lambda index: (lines[index][0], index))
    for index in by_priority:
        length = len(lines[index][1]) + 1  # 1: the line break
        # A line that does not fit is skipped: a shorter one of lower priority may still fit.
        if length <= room or not kept:
            kept.add(index)
            room -= length
    return truncate("\n".join(lines[index][1] for index in sorted(kept)), chars)


def _render_problems(diagnosis: DiagnosisModel, answer: DiagnosisAnswer) -> list[str]:
    lines = [
        f"Not understood: {name.text!r}; {_render_nearest(name)}" for name in answer.unresolved
    ]
    if answer.contradicted:
        terms = ", ".join(
            diagnosis.knowledge_base.terms.names[term] for term in answer.contradicted
        )
        lines.append(f"Both observed and excluded, counted as observed: {terms}")
    if not answer.patient.observed and not answer.patient.excluded:
        lines.append(
            "No finding to go by: this is only how common and how often reported the diseases are."
        )
    return lines


def _render_nearest(name: UnresolvedName) -> str:
    return f"nearest: {', '.join(name.nearest)}" if name.nearest else "nothing is like it"


def _render_disease(
    diagnosis: DiagnosisModel, answer: DiagnosisAnswer, rank: int, disease: int
) -> str:
    knowledge_base = diagnosis.knowledge_base
    figure = diagnosis.priors.figures.get(disease)
    prevalence = "prevalence unknown"
    if figure:
        prevalence = f"prevalence {figure.value:.0e} by {figure.disorder}"
    reported = int(diagnosis.priors.most_reported_patients[disease])
    counted = f", counted in {reported} patient{'s' * (reported != 1)}" if reported else ""
    share = _format_percent(float(answer.posterior.probabilities[disease]))
    records = ", ".join(list_record_documents(diagnosis, disease))
    return f"{rank}. {share} {knowledge_base.names[disease]} ({records}; {prevalence}{counted})"


def _render_reasons(diagnosis: DiagnosisModel, answer: DiagnosisAnswer, disease: int) -> str:
    factors = explain_diagnosis(
        diagnosis,
        answer.patient,
        answer.posterior.finding_weight,
        disease,
        answer.updated_findings.get(disease),
    )
    # A factor of 1/45 is as strong as one of 45.
    strong = [entry for entry in factors if max(entry.factor, 1 / entry.factor) >= _NEUTRAL_FACTOR]
    return "; ".join(_render_factor(diagnosis, entry) for entry in strong[:_SHOWN_FACTORS])


def _render_factor(diagnosis: DiagnosisModel, entry: FindingFactor) -> str:
    """ "Ectopia lentis x45 [PMID:1]", "no Scoliosis x0.8 [OMIM:2]", "Fever x0.3 (not annotated)".

    "by" says what else is annotated that the finding follows from, "akin to" what it is only
    related to."""
    names = diagnosis.knowledge_base.terms.names
    explanation = entry.explanation
    finding_name = names[entry.term] if entry.observed else f"no {names[entry.term]}"
    text = f"{finding_name} x{entry.factor:.2g}"
    if explanation.kind == "broader":
        return f"{text} (of the broader disease)"
    is_by_chance = explanation.ratio < 1 and explanation.kind != "exact"
    if explanation.finding is None or is_by_chance:
        return f"{text} (not annotated)"
    annotated = explanation.finding
    if annotated.term != entry.term:
        link = "akin to" if explanation.kind == "related" else "by"
        text += f" {link} {names[annotated.term]}"
    share = (
        f"{annotated.belief.share:.0%}" if annotated.belief.patient_weight > 1 else "unquantified"
    )
    return f"{text}, {share} [{', '.join(annotated.references[:_SHOWN_REFERENCES])}]"


def _render_next(diagnosis: DiagnosisModel, finding: NextFinding) -> str:
    terms = diagnosis.knowledge_base.terms
    return (
        f"Look for next: {terms.names[finding.term]} ({terms.ids[finding.term]}; "
        f"{finding.bits:.2f} bits expected): "
        f"present for {_disease_name(diagnosis, finding.gains_if_present)}, "
        f"absent for {_disease_name(diagnosis, finding.gains_if_absent)}"
    )


def _disease_name(diagnosis: DiagnosisModel, disease: int | None) -> str:
    return _UNLISTED_DISEASE if disease is None else diagnosis.knowledge_base.names[disease]


def _render_update(diagnosis: DiagnosisModel, update: EvidenceUpdate) -> str:
    knowledge_base = diagnosis.knowledge_base
    return (
        f"Evidence: {knowledge_base.terms.names[update.term]} in {update.affected} of "
        f"{update.patients} with {knowledge_base.names[update.disease]}, "
        f"{update.before:.0%} -> {update.after:.0%} "
        f'({update.document_id}: "{truncate(update.sentence, _QUOTED_CHARS)}")'
    )


def _format_percent(share: float) -> str:
    return f"{share:.0%}" if share >= _EXACT_PERCENT else f"{share * 100:.2g}%"
