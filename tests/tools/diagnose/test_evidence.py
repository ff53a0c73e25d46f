"""Counts of patients in sentences, and how they change the annotations."""

from dataclasses import dataclass

import pytest
from support.small_knowledge import ATAXIA, LENS, SEIZURE, small_base, small_diagnosis

from medr_ray.diagnosis.posterior import build_patient
from medr_ray.tools.diagnose.evidence import read_evidence
from medr_ray.tools.diagnose.patient_counts import PatientCount, find_patient_counts

_NAMES = {"seizure": 1, "ataxia": 2, "focal seizure": 3}


@pytest.mark.parametrize(
    ("sentence", "counts"),
    [
        ("Seizures occurred in 12 of 15 patients.", [(1, 12, 15)]),
        ("Seizures (8/10 affected individuals) began early.", [(1, 8, 10)]),
        ("Three of the four patients had ataxia.", [(2, 3, 4)]),
        ("Ataxia was seen in 40% of 20 children.", [(2, 8, 20)]),
        ("All 7 patients had ataxia and seizures.", [(1, 7, 7), (2, 7, 7)]),
        ("None of six patients had seizures.", [(1, 0, 6)]),
        (
            "Seizures were found in 5 of 9 patients and ataxia in 2 of 9 patients.",
            [(1, 5, 9), (2, 2, 9)],
        ),
        ("Focal seizures were present in 2 of 3 probands.", [(3, 2, 3)]),
        ("Of 12/15 (80%) patients with ataxia, most walked.", [(2, 12, 15)]),
    ],
)
def test_a_count_belongs_to_the_findings_of_its_part_of_the_sentence(
    sentence: str, counts: list[tuple[int, int, int]]
) -> None:
    assert sorted(find_patient_counts(sentence, _NAMES), key=lambda count: count.term) == [
        PatientCount(*count) for count in counts
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Seizures were common.",
        "Seizures occurred in 15 of 12 patients.",
        "Seizures improved by 3 of 7 points.",
        "Seizures occurred in 40% of patients.",
        "Ataxia was not seen in 3 of 4 patients.",
        "Seizures in 2024/5 patients.",
        "Most of the patients had hypotonia in 3 of 4 patients.",
        "Seizures lasted 3/4 hours.",
    ],
)
def test_what_is_no_plain_count_of_patients_is_left_alone(sentence: str) -> None:
    assert find_patient_counts(sentence, _NAMES) == []


@dataclass(frozen=True)
class _Passage:
    document_id: str
    title: str
    snippet: str


def _find_updates(*passages: _Passage, disease: int = 0) -> list[tuple[str, int, int, str]]:
    knowledge_base = small_base()
    names = {
        "seizure": knowledge_base.terms.numbers[SEIZURE],
        "ataxia": knowledge_base.terms.numbers[ATAXIA],
        "ectopia lentis": knowledge_base.terms.numbers[LENS],
    }
    _, updates = read_evidence(knowledge_base, disease, names, passages)
    return [
        (
            knowledge_base.terms.ids[update.term],
            update.affected,
            update.patients,
            update.document_id,
        )
        for update in updates
    ]


_COUNT_SENTENCE = "Ataxia was present in 1 of 40 patients."


def test_a_passage_counts_for_the_disease_it_names_and_says_where_it_came_from() -> None:
    assert _find_updates(_Passage("PMID:9", "Disease 1 in Norway", _COUNT_SENTENCE)) == [
        (ATAXIA, 1, 40, "PMID:9")
    ]
    assert (
        _find_updates(
            _Passage("PMID:9", "A review", "In disease 1, ataxia was present in 1 of 40 patients.")
        )
        != []
    )
    assert _find_updates(_Passage("PMID:9", "Disease 2 in Norway", _COUNT_SENTENCE)) == []


def test_what_the_annotations_were_made_of_does_not_count_again() -> None:
    assert _find_updates(_Passage("HPO:OMIM:1", "Disease 1", _COUNT_SENTENCE)) == []
    assert (
        _find_updates(_Passage("PMID:11", "Disease 1", _COUNT_SENTENCE)) == []
    )  # cited for ataxia in disease 1
    passage = _Passage("PMID:9", "Disease 1", f"{_COUNT_SENTENCE} {_COUNT_SENTENCE}")
    assert len(_find_updates(passage, passage)) == 1


def test_patients_with_the_finding_raise_it_and_patients_without_it_lower_it() -> None:
    diagnosis = small_diagnosis()
    knowledge_base = diagnosis.knowledge_base
    ataxia = knowledge_base.terms.numbers[ATAXIA]
    patient, _ = build_patient(knowledge_base.terms, [ataxia])
    before = diagnosis.compute_posterior(patient)
    for affected, rises in ((39, True), (1, False)):
        passage = _Passage(
            "PMID:9", "Disease 1", f"Ataxia was present in {affected} of 40 patients."
        )
        findings, (update,) = read_evidence(knowledge_base, 0, {"ataxia": ataxia}, [passage])
        after = diagnosis.compute_posterior(patient, updated_findings={0: findings})
        assert bool(after.probabilities[0] > before.probabilities[0]) is rises
        assert (update.after > update.before) is rises
        assert update.sentence == passage.snippet
        assert (
            next(finding for finding in findings if finding.term == ataxia).references[0]
            == "PMID:9"
        )
    assert diagnosis.compute_posterior(patient).probabilities == pytest.approx(before.probabilities)


def test_nothing_new_leaves_a_disease_as_it_was() -> None:
    diagnosis = small_diagnosis()
    patient, _ = build_patient(
        diagnosis.knowledge_base.terms,
        [diagnosis.knowledge_base.terms.numbers[term_id] for term_id in (SEIZURE, LENS)],
        [diagnosis.knowledge_base.terms.numbers[ATAXIA]],
    )
    unmoved = {disease: diagnosis.knowledge_base.findings_of(disease) for disease in range(4)}
    assert diagnosis.compute_posterior(
        patient, updated_findings=unmoved
    ).probabilities == pytest.approx(diagnosis.compute_posterior(patient).probabilities, rel=1e-4)


def test_a_count_speaks_of_a_finding_in_whatever_form() -> None:
    diagnosis = small_diagnosis()
    knowledge_base = diagnosis.knowledge_base
    seizure = knowledge_base.terms.numbers[SEIZURE]
    patient, _ = build_patient(knowledge_base.terms, [seizure])
    passage = _Passage("PMID:9", "Disease 3", "Seizures were present in 2 of 80 patients.")
    findings, (update,) = read_evidence(
        knowledge_base, 2, {"seizure": seizure}, [passage]
    )  # focal seizures are annotated with 45 %
    assert update.before == pytest.approx(0.45)
    assert update.after < 0.1
    after = diagnosis.compute_posterior(patient, updated_findings={2: findings}).probabilities[2]
    assert after < diagnosis.compute_posterior(patient).probabilities[2]


def test_a_finding_nobody_annotated_is_learnt() -> None:
    assert _find_updates(_Passage("PMID:9", "Disease 1", "Ectopia lentis in 6 of 7 patients.")) == [
        (LENS, 6, 7, "PMID:9")
    ]
