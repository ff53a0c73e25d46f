"""Conditional probabilities updated by retrieved passages, with their provenance.

Each sentence of a retrieved passage that counts patients with a finding ("12 of 15 patients had
seizures") adds those patients to the Beta distribution of that finding in that disease.

A passage counts for a disease that its title or the sentence itself names, and for no other.
Disease records are what the annotations were made of and never count again, nor does an article
that an annotation of the finding already cites. Each sentence of a document counts once for a
finding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.diagnosis.belief import Belief
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding, KnowledgeBase
from medr_ray.diagnosis.likelihood import combined_share
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.retrieval.documents import HPO
from medr_ray.retrieval.snippets import sentence_spans
from medr_ray.tools.diagnose.patient_counts import PatientCount, find_patient_counts
from medr_ray.tools.observations import SearchHit

_RECORD_PREFIX = f"{HPO.upper()}:"  # how the ids of disease records begin
# A finding that no source names with the disease is rare in it, until patients are seen with it.
_UNANNOTATED = Belief(0.05, 0.95)


@dataclass(frozen=True)
class EvidenceUpdate:
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


def read_evidence(
    knowledge_base: KnowledgeBase,
    disease: int,
    names: Mapping[str, int],
    passages: Iterable[SearchHit],
) -> tuple[tuple[AnnotatedFinding, ...], list[EvidenceUpdate]]:
    """The findings of a disease after reading the passages, and what changed them.

    ``names`` are the findings to read about: normalised names by term number.
    """
    findings = {finding.term: finding for finding in knowledge_base.findings_of(disease)}
    updates: list[EvidenceUpdate] = []
    counted: set[tuple[str, int, str]] = set()
    for passage, sentence, count in _count_patients(knowledge_base.names[disease], names, passages):
        finding = _pool_finding(knowledge_base, tuple(findings.values()), count.term)
        # Passages of one document may overlap, and the annotation may cite the article already.
        key = (passage.document_id, count.term, sentence)
        if key in counted or passage.document_id in finding.references:
            continue
        counted.add(key)
        belief = finding.belief.add_patients(count.affected, count.patients)
        findings[count.term] = replace(finding, belief=belief)
        updates.append(
            EvidenceUpdate(
                disease=disease,
                term=count.term,
                affected=count.affected,
                patients=count.patients,
                document_id=passage.document_id,
                sentence=sentence,
                before=finding.belief.share,
                after=belief.share,
            )
        )
    return _cite_documents(findings, updates), updates


def _count_patients(
    disease_name: str, names: Mapping[str, int], passages: Iterable[SearchHit]
) -> Iterable[tuple[SearchHit, str, PatientCount]]:
    """(passage, sentence, count) of every count of patients with the disease."""
    for passage in passages:
        # The annotations were made from these records: their counts are in the prior already.
        if passage.document_id.startswith(_RECORD_PREFIX):
            continue
        for sentence in _sentences_about(disease_name, passage):
            for count in find_patient_counts(sentence, names):
                yield passage, sentence, count


def _sentences_about(disease_name: str, passage: SearchHit) -> Sequence[str]:
    """The sentences of a passage that speak of the disease."""
    name = fold_name(disease_name)
    sentences = [passage.snippet[start:end] for start, end in sentence_spans(passage.snippet)]
    if name in fold_name(passage.title):
        return sentences
    return [sentence for sentence in sentences if name in fold_name(sentence)]


def _pool_finding(
    knowledge_base: KnowledgeBase, findings: Sequence[AnnotatedFinding], term: int
) -> AnnotatedFinding:
    """What the disease has of a finding in whatever form: of the term and more specific ones."""
    with_ancestors = knowledge_base.terms.with_ancestors
    specific = [finding for finding in findings if term in with_ancestors(finding.term)]
    if not specific:
        return AnnotatedFinding(term, _UNANNOTATED, (), overall=True)
    share = combined_share(specific, term)
    weight = max(finding.belief.patient_weight for finding in specific)
    belief = Belief(share * weight, (1 - share) * weight)
    references = dict.fromkeys(
        reference for finding in specific for reference in finding.references
    )
    return AnnotatedFinding(term, belief, tuple(references), overall=True)


def _cite_documents(
    findings: Mapping[int, AnnotatedFinding], updates: Iterable[EvidenceUpdate]
) -> tuple[AnnotatedFinding, ...]:
    """The findings by term, with the documents that updated them before their other references."""
    documents: dict[int, list[str]] = {}
    for update in updates:
        documents.setdefault(update.term, []).append(update.document_id)
    cited = []
    for term, finding in sorted(findings.items()):
        references = dict.fromkeys((*documents.get(term, ()), *finding.references))
        cited.append(replace(finding, references=tuple(references)))
    return tuple(cited)
