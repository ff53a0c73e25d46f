"""Which finding to look for next."""

from collections.abc import Sequence

import pytest
from support.small_knowledge import ATAXIA, FOCAL, LENS, SCOLIOSIS, SEIZURE, small_diagnosis

from medr_ray.diagnosis.next_finding import rank_next_findings
from medr_ray.diagnosis.posterior import build_patient
from medr_ray.diagnosis.reasons import explain_diagnosis

_TWINS = {
    "OMIM:1": {SEIZURE: "HP:0040280", ATAXIA: "HP:0040281"},
    "OMIM:2": {SEIZURE: "HP:0040280", LENS: "5%"},
}


def _rank_findings(observed: list[str], excluded: Sequence[str] = (), count: int = 9) -> list[str]:
    diagnosis = small_diagnosis(_TWINS)
    knowledge_base = diagnosis.knowledge_base
    patient, _ = build_patient(
        knowledge_base.terms,
        [knowledge_base.terms.numbers[term_id] for term_id in observed],
        [knowledge_base.terms.numbers[term_id] for term_id in excluded],
    )
    ranked = rank_next_findings(
        knowledge_base, patient, diagnosis.compute_posterior(patient), count
    )
    assert all(finding.bits > 0 for finding in ranked)
    assert [finding.bits for finding in ranked] == sorted(
        (finding.bits for finding in ranked), reverse=True
    )
    return [knowledge_base.terms.ids[finding.term] for finding in ranked]


def test_the_finding_that_separates_two_diseases_ranks_first() -> None:
    assert _rank_findings([SEIZURE])[0] == ATAXIA


def test_answered_findings_are_not_suggested() -> None:
    assert SEIZURE not in _rank_findings([SEIZURE])
    assert SEIZURE not in _rank_findings([FOCAL])  # a focal seizure is a seizure
    assert ATAXIA not in _rank_findings([SEIZURE], [ATAXIA])
    assert LENS not in _rank_findings([SEIZURE], ["HP:0000478"])  # no abnormality of the eye at all
    assert _rank_findings([SEIZURE, ATAXIA, LENS]) == []


def test_an_answer_names_the_disease_that_it_makes_likelier() -> None:
    diagnosis = small_diagnosis(_TWINS, none_share=0.0)
    knowledge_base = diagnosis.knowledge_base
    patient, _ = build_patient(knowledge_base.terms, [knowledge_base.terms.numbers[SEIZURE]])
    first = rank_next_findings(knowledge_base, patient, diagnosis.compute_posterior(patient), 1)[0]
    assert (first.gains_if_present, first.gains_if_absent) == (0, 1)
    assert 0 < first.bits < 1


def test_the_factors_of_a_disease_multiply_to_what_its_odds_changed_by() -> None:
    diagnosis = small_diagnosis()
    knowledge_base = diagnosis.knowledge_base
    patient, _ = build_patient(
        knowledge_base.terms,
        [knowledge_base.terms.numbers[term_id] for term_id in (SEIZURE, ATAXIA)],
        [knowledge_base.terms.numbers[SCOLIOSIS]],
    )
    posterior = diagnosis.compute_posterior(patient)
    product = []
    for disease in (0, 1):
        factors = explain_diagnosis(diagnosis, patient, posterior.finding_weight, disease)
        assert {factor.term for factor in factors} == {*patient.observed, *patient.excluded}
        total = 1.0
        for factor in factors:
            total *= factor.factor
        product.append(total)
    odds = posterior.probabilities[0] / posterior.probabilities[1]  # their prior is the same
    assert product[0] / product[1] == pytest.approx(odds, rel=1e-4)
