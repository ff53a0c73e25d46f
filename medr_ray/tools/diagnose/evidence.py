"""Conditional probabilities moved by what was just retrieved, with its provenance.

Each sentence of a retrieved passage that counts patients with a finding ("12 of 15 patients had
seizures") adds those patients to the Beta distribution of that finding in that disease.

What holds: a passage counts for a disease that its title or the sentence itself names, and for no
other; disease records are what the annotations were made of and never count again, nor does an
article that an annotation of the finding already cites; each sentence of a document counts once for
a finding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.diagnosis.belief import Belief
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding, KnowledgeBase
from medr_ray.diagnosis.likelihood import combined_share
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.retrieval.documents import HPO
from medr_ray.retrieval.snippets import sentence_spans
from medr_ray.tools.diagnose.patient_counts import counts_in
from medr_ray.tools.observations import Found

_RECORD = f"{HPO.upper()}:"  # how the ids of disease records begin
_UNSAID = Belief(
    0.05, 0.95
)  # a finding that no source names with the disease is rare in it, until patients are seen


@dataclass(frozen=True)
class Update:
    """``affected`` of ``patients`` with the disease (number) had the finding (number of the
    ``term``), as a ``sentence`` of a document says; the share before and after."""

    disease: int
    term: int
    affected: int
    patients: int
    document_id: str
    sentence: str
    before: float
    after: float


def updates_of(
    base: KnowledgeBase, disease: int, names: Mapping[str, int], passages: Iterable[Found]
) -> tuple[tuple[AnnotatedFinding, ...], list[Update]]:
    """The findings of a disease after reading, and what changed them. ``names`` are the findings to
    read about: normalised names by term number."""
    findings = {one.term: one for one in base.findings_of(disease)}
    updates: list[Update] = []
    seen: set[tuple[str, int, str]] = set()
    for passage in passages:
        if passage.document_id.startswith(_RECORD):
            continue
        for sentence in _about(base.names[disease], passage):
            for count in counts_in(sentence, names):
                known = _known(base, tuple(findings.values()), count.term)
                key = (passage.document_id, count.term, sentence)
                if key in seen or passage.document_id in known.references:
                    continue
                seen.add(key)
                moved = known.belief.updated(count.affected, count.patients)
                findings[count.term] = replace(known, belief=moved)
                updates.append(
                    Update(
                        disease,
                        count.term,
                        count.affected,
                        count.patients,
                        passage.document_id,
                        sentence,
                        known.belief.share,
                        moved.share,
                    )
                )
    cited: dict[int, list[str]] = {}
    for one in updates:
        cited.setdefault(one.term, []).append(one.document_id)
    moved_findings = (
        replace(one, references=tuple(dict.fromkeys((*cited.get(term, ()), *one.references))))
        for term, one in sorted(findings.items())
    )
    return tuple(moved_findings), updates


def _known(base: KnowledgeBase, findings: Sequence[AnnotatedFinding], term: int) -> AnnotatedFinding:
    """What is known of a finding in whatever form, by what is annotated of it and of more specific
    ones."""
    below = [one for one in findings if term in base.terms.with_ancestors(one.term)]
    if not below:
        return AnnotatedFinding(term, _UNSAID, (), overall=True)
    share, weight = combined_share(below, term), max(one.belief.weight for one in below)
    references = dict.fromkeys(reference for one in below for reference in one.references)
    return AnnotatedFinding(
        term, Belief(share * weight, (1 - share) * weight), tuple(references), overall=True
    )


def _about(disease: str, passage: Found) -> Sequence[str]:
    """The sentences of a passage that speak of the disease."""
    name = normalise(disease)
    sentences = [passage.snippet[start:end] for start, end in sentence_spans(passage.snippet)]
    if name in normalise(passage.title):
        return sentences
    return [one for one in sentences if name in normalise(one)]
