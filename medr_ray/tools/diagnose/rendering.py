"""A diagnosis in a few lines: the likeliest diseases with reasons and references, "none of these",
what to look for.

What holds: lines are whole; what matters most comes first, so that a limit on characters takes
reasons before results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.findings import UnresolvedName
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding
from medr_ray.diagnosis.next_finding import NextFinding
from medr_ray.diagnosis.posterior import DiagnosisModel, Patient, Posterior
from medr_ray.diagnosis.reasons import FindingFactor, explain_diagnosis
from medr_ray.retrieval.snippets import cut
from medr_ray.tools.diagnose.evidence import Update

_FACTORS = 3  # reasons shown for each disease
_REFERENCES = 2
_QUOTED = 200  # characters of a sentence
_NEUTRAL = 1.05  # a factor nearer to 1 says nothing
_NONE = "a disease that is not listed"


@dataclass(frozen=True)
class Answer:
    """All that a call found out."""

    patient: Patient
    posterior: Posterior
    best: Sequence[int]
    next: Sequence[NextFinding]
    updates: Sequence[Update]
    moved: Mapping[int, Sequence[AnnotatedFinding]]
    unknown: Sequence[UnresolvedName]
    contradicted: Sequence[int]


def render(diagnosis: DiagnosisModel, answer: Answer, chars: int) -> str:
    """The answer in at most ``chars`` characters, whole lines only (the first is always there)."""
    lines: list[tuple[int, str]] = []  # what is left out first has the largest number
    lines += [(1, line) for line in _misunderstood(diagnosis, answer)]
    for rank, disease in enumerate(answer.best, 1):
        lines.append((rank, _headline(diagnosis, answer, rank, disease)))
        reasons = _reasons(diagnosis, answer, disease)
        if reasons:
            lines.append((rank + 1, f"   {reasons}"))
    lines.append((1, f"None of these: {_percent(answer.posterior.none)}"))
    lines += [(2, line) for line in _to_ask(diagnosis, answer.next[:1])]
    lines += [(2, _update(diagnosis, one)) for one in answer.updates]
    return _fitted(lines, chars)


def _fitted(lines: Sequence[tuple[int, str]], chars: int) -> str:
    room = chars
    kept: set[int] = set()
    for number in sorted(range(len(lines)), key=lambda one: (lines[one][0], one)):
        length = len(lines[number][1]) + 1
        if length <= room or not kept:
            kept.add(number)
            room -= length
    return cut("\n".join(line for number, (_, line) in enumerate(lines) if number in kept), chars)


def _misunderstood(diagnosis: DiagnosisModel, answer: Answer) -> list[str]:
    lines = [f"Not understood: {one.text!r}; {_nearest(one)}" for one in answer.unknown]
    if answer.contradicted:
        terms = ", ".join(diagnosis.base.terms.names[one] for one in answer.contradicted)
        lines.append(f"Both observed and excluded, counted as observed: {terms}")
    if not answer.patient.observed and not answer.patient.excluded:
        lines.append(
            "No finding to go by: this is only how common and how often reported the diseases are."
        )
    return lines


def _nearest(one: UnresolvedName) -> str:
    return f"nearest: {', '.join(one.nearest)}" if one.nearest else "nothing is like it"


def _headline(diagnosis: DiagnosisModel, answer: Answer, rank: int, disease: int) -> str:
    base, figure = diagnosis.base, diagnosis.priors.figures.get(disease)
    common = (
        f"prevalence {figure.value:.0e} by {figure.disorder}" if figure else "prevalence unknown"
    )
    reported = int(diagnosis.priors.reported[disease])
    counted = f", counted in {reported} patient{'s' * (reported != 1)}" if reported else ""
    share = _percent(float(answer.posterior.probabilities[disease]))
    return f"{rank}. {share} {base.names[disease]} ({', '.join(base.records[disease][:2])}; {common}{counted})"


def _reasons(diagnosis: DiagnosisModel, answer: Answer, disease: int) -> str:
    factors = explain_diagnosis(
        diagnosis, answer.patient, answer.posterior.finding_weight, disease, answer.moved.get(disease)
    )
    telling = [one for one in factors if max(one.factor, 1 / one.factor) >= _NEUTRAL][:_FACTORS]
    return "; ".join(_reason(diagnosis, one) for one in telling)


def _reason(diagnosis: DiagnosisModel, factor: FindingFactor) -> str:
    """ "Ectopia lentis x45 [PMID:1]", "no Scoliosis x0.8 [OMIM:2]", "Fever x0.3 (not annotated)".

    "by" says what else is annotated that the finding follows from, "akin to" what it is only
    related to."""
    names, explanation = diagnosis.base.terms.names, factor.explanation
    called = names[factor.term] if factor.observed else f"no {names[factor.term]}"
    said = f"{called} x{factor.factor:.2g}"
    if explanation.kind == "broader":
        return f"{said} (of the broader disease)"
    if explanation.finding is None or (explanation.ratio < 1 and explanation.kind != "exact"):
        return f"{said} (not annotated)"
    by = explanation.finding
    word = "akin to" if explanation.kind == "related" else "by"
    via = "" if by.term == factor.term else f" {word} {names[by.term]}"
    how = f"{by.belief.share:.0%}" if by.belief.weight > 1 else "unquantified"
    return f"{said}{via}, {how} [{', '.join(by.references[:_REFERENCES])}]"


def _to_ask(diagnosis: DiagnosisModel, findings: Sequence[NextFinding]) -> list[str]:
    return [
        f"Look for next: {diagnosis.base.terms.names[one.term]} ({diagnosis.base.terms.ids[one.term]}; "
        f"{one.bits:.2f} bits expected): present for {_named(diagnosis, one.gains_if_present)}, absent for "
        f"{_named(diagnosis, one.gains_if_absent)}"
        for one in findings
    ]


def _named(diagnosis: DiagnosisModel, disease: int | None) -> str:
    return _NONE if disease is None else diagnosis.base.names[disease]


def _update(diagnosis: DiagnosisModel, one: Update) -> str:
    base = diagnosis.base
    return (
        f"Evidence: {base.terms.names[one.term]} in {one.affected} of {one.patients} with "
        f"{base.names[one.disease]}, {one.before:.0%} -> {one.after:.0%} ({one.document_id}: "
        f'"{cut(one.sentence, _QUOTED)}")'
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 else f"{share * 100:.2g}%"
