"""The posterior: what must hold for any patient, and what real patients get."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.diagnosis_cases import config_of_2021, middle_rank, read_cases
from support.naive_bayes import NaiveBayes
from support.small_knowledge import (
    ATAXIA,
    EYE,
    FOCAL,
    LENS,
    SCOLIOSIS,
    SEIZURE,
    SMALL,
    small_diagnosis,
)

from medr_ray.diagnosis.loading import load_diagnosis
from medr_ray.diagnosis.posterior import (
    DiagnosisModel,
    Posterior,
    build_patient,
    weight_per_finding,
)
from medr_ray.knowledge.annotations import INHERITANCE, ONSET, Annotation, read_hpoa
from medr_ray.knowledge.hpo import load_hpo

_TERMS = (SEIZURE, FOCAL, ATAXIA, LENS, SCOLIOSIS, EYE)
_small = functools.cache(small_diagnosis)


def _term_numbers(diagnosis: DiagnosisModel, ids: Sequence[str]) -> list[int]:
    return [diagnosis.knowledge_base.terms.numbers[term_id] for term_id in ids]


def _posterior(
    observed: Sequence[str],
    excluded: Sequence[str] = (),
    age: float | None = None,
    female: bool | None = None,
    diagnosis: DiagnosisModel | None = None,
) -> Posterior:
    diagnosis = diagnosis or _small()
    patient, _ = build_patient(
        diagnosis.knowledge_base.terms,
        _term_numbers(diagnosis, observed),
        _term_numbers(diagnosis, excluded),
        age,
        female,
    )
    return diagnosis.compute_posterior(patient)


def _odds(posterior: Posterior, disease: int) -> float:
    return float(posterior.probabilities[disease] / posterior.none_probability)


@settings(max_examples=60, deadline=None)
@given(
    observed=st.lists(st.sampled_from(_TERMS)),
    excluded=st.lists(st.sampled_from(_TERMS)),
    age=st.none() | st.floats(0, 120),
    female=st.none() | st.booleans(),
)
def test_probabilities_sum_to_one_with_none_of_these(
    observed: list[str], excluded: list[str], age: float | None, female: bool | None
) -> None:
    posterior = _posterior(observed, excluded, age, female)
    assert posterior.probabilities.sum() + posterior.none_probability == pytest.approx(1)
    assert (posterior.probabilities >= 0).all()


@settings(max_examples=40, deadline=None)
@given(
    observed=st.permutations(_TERMS),
    excluded=st.permutations(_TERMS),
    split=st.integers(0, len(_TERMS)),
)
def test_the_order_of_findings_does_not_matter(
    observed: list[str], excluded: list[str], split: int
) -> None:
    first = _posterior(observed[:split], excluded[:2])
    other = _posterior(sorted(observed[:split]), sorted(excluded[:2]))
    assert first.probabilities == pytest.approx(other.probabilities)


@pytest.mark.parametrize(
    ("disease", "term"), [(0, SEIZURE), (0, ATAXIA), (1, LENS), (3, ATAXIA), (2, FOCAL)]
)
def test_an_annotated_finding_raises_its_disease_and_its_absence_lowers_it(
    disease: int, term: str
) -> None:
    others = [
        disease
        for disease in range(len(SMALL))
        if not any(term in _closure(finding) for finding in _findings_of(disease))
    ]
    nothing, present, absent = _posterior([]), _posterior([term]), _posterior([], [term])
    for other in others:

        def ratio(posterior: Posterior, other: int = other) -> float:
            return float(posterior.probabilities[disease] / posterior.probabilities[other])

        assert ratio(present) > ratio(nothing) > ratio(absent)


def _findings_of(disease: int) -> Sequence[str]:
    return list(list(SMALL.values())[disease])


def _closure(term: str) -> frozenset[str]:
    return load_hpo().ancestors(term)


def test_the_absence_of_a_constant_finding_counts_for_more_than_that_of_an_occasional_one() -> None:
    nothing, constant, occasional = (
        _posterior([]),
        _posterior([], [ATAXIA]),
        _posterior([], [SEIZURE]),
    )
    assert _odds(constant, 3) / _odds(nothing, 3) < _odds(occasional, 2) / _odds(nothing, 2) < 1


def test_what_is_more_specific_explains_what_is_more_general() -> None:
    general = _posterior([EYE])
    assert general.most_likely(1) == [1]  # lens dislocation is an abnormality of the eye


def test_a_more_general_annotation_gives_part_of_the_credit() -> None:
    specific = _posterior([FOCAL])
    seizure, focal, ataxia = (specific.probabilities[disease] for disease in (0, 2, 3))
    assert focal > seizure > ataxia  # annotated itself; only "seizure"; neither


def test_what_another_finding_implies_counts_once() -> None:
    assert _posterior([FOCAL, SEIZURE]).probabilities == pytest.approx(
        _posterior([FOCAL]).probabilities
    )
    assert _posterior([], [FOCAL, SEIZURE]).probabilities == pytest.approx(
        _posterior([], [SEIZURE]).probabilities
    )


def test_a_finding_observed_and_excluded_counts_as_observed_and_is_named() -> None:
    diagnosis = _small()
    seizure, focal, eye = _term_numbers(diagnosis, [SEIZURE, FOCAL, EYE])
    patient, contradicted = build_patient(
        diagnosis.knowledge_base.terms, [focal], [seizure, focal, eye]
    )
    assert patient.observed == (focal,)
    assert patient.excluded == (eye,)
    assert contradicted == tuple(sorted((seizure, focal)))


def test_without_findings_the_posterior_is_the_prior() -> None:
    posterior = _posterior([])
    assert posterior.none_probability == pytest.approx(0.3)
    assert posterior.probabilities == pytest.approx(0.7 / len(SMALL))


def test_a_disease_that_was_counted_in_many_patients_is_likelier_before_any_finding() -> None:
    alike = {
        "OMIM:1": {SEIZURE: "9/10", ATAXIA: "1/3"},
        "OMIM:2": {SEIZURE: "18/20"},
        "OMIM:3": {SEIZURE: "90%"},
    }
    single, two, uncounted = _posterior(
        [], diagnosis=small_diagnosis(alike, reports_weight=0.5)
    ).probabilities
    assert two / single == pytest.approx((21 / 11) ** (0.5 * weight_per_finding(0)))
    assert single / uncounted == pytest.approx(11 ** (0.5 * weight_per_finding(0)))


def test_findings_that_nothing_explains_raise_none_of_these() -> None:
    explained, unexplained = _posterior([SEIZURE, ATAXIA]), _posterior([LENS, ATAXIA, FOCAL])
    assert unexplained.none_probability > explained.none_probability


def test_without_a_prior_for_none_of_these_there_is_none() -> None:
    posterior = _posterior([SEIZURE], diagnosis=small_diagnosis(none_share=0.0))
    assert posterior.none_probability == 0
    assert posterior.probabilities.sum() == pytest.approx(1)


def test_candidates_share_the_prior_among_them() -> None:
    diagnosis = _small()
    patient, _ = build_patient(diagnosis.knowledge_base.terms, _term_numbers(diagnosis, [ATAXIA]))
    posterior = diagnosis.compute_posterior(patient, [0, 1])
    assert posterior.probabilities[[2, 3]] == pytest.approx(0)
    assert posterior.probabilities.sum() + posterior.none_probability == pytest.approx(1)
    assert posterior.most_likely(5) == [0, 1]


def _row(disease: str, term: str, aspect: str) -> Annotation:
    return Annotation(disease, term, aspect, False, None, (disease,))


def test_age_counts_against_a_later_onset_and_sex_against_x_linked_recessive_inheritance() -> None:
    diagnosis = small_diagnosis(
        extra=[_row("OMIM:1", "HP:0003584", ONSET), _row("OMIM:4", "HP:0001419", INHERITANCE)]
    )
    unknown = _posterior([ATAXIA], diagnosis=diagnosis)
    child, old = (_posterior([ATAXIA], age=age, diagnosis=diagnosis) for age in (3.0, 70.0))
    girl, boy = (
        _posterior([ATAXIA], female=female, diagnosis=diagnosis) for female in (True, False)
    )
    assert child.probabilities[0] < old.probabilities[0] == pytest.approx(unknown.probabilities[0])
    assert girl.probabilities[3] < boy.probabilities[3] == pytest.approx(unknown.probabilities[3])


def test_one_disease_alone_is_scored_as_all_are_together() -> None:
    diagnosis = _small()
    numbers = _term_numbers(diagnosis, _TERMS)
    for disease in range(len(SMALL)):
        findings = diagnosis.knowledge_base.findings_of(disease)
        for term in numbers:
            alone = diagnosis.likelihood.explain_presence(disease, findings, term).ratio
            assert alone == pytest.approx(
                float(diagnosis.likelihood.present_ratios(term)[disease]), rel=1e-5
            )
            diseases, ratios = diagnosis.likelihood.absent_ratios(term)
            together = dict(zip(diseases.tolist(), ratios.tolist(), strict=True)).get(disease, 1.0)
            assert diagnosis.likelihood.explain_absence(findings, term).ratio == pytest.approx(
                together, rel=1e-5
            )


@pytest.mark.slow
def test_published_patients_are_diagnosed_better_than_by_naive_bayes(shared_data: Path) -> None:
    config = config_of_2021(shared_data)
    diagnosis = load_diagnosis(config)
    peer = NaiveBayes(load_hpo(), read_hpoa(str(config.annotations)).rows)
    ours, theirs = [], []
    for case in list(read_cases(shared_data))[::5]:
        number = diagnosis.knowledge_base.numbers.get(case.diagnosis)
        if number is not None:
            patient = case.patient(diagnosis.knowledge_base.terms)
            ours.append(middle_rank(diagnosis.compute_posterior(patient).probabilities, number))
            theirs.append(middle_rank(peer.score(case.observed), peer.diseases[case.diagnosis]))
            for term in patient.observed[:3]:  # the reason given is the number that counted
                explanation = diagnosis.likelihood.explain_presence(
                    number, diagnosis.knowledge_base.findings_of(number), term
                ).ratio
                assert explanation == pytest.approx(
                    float(diagnosis.likelihood.present_ratios(term)[number]), rel=1e-3
                )
    assert len(ours) > 500
    for top in (1, 10):
        assert np.mean(np.array(ours) <= top) > np.mean(np.array(theirs) <= top) + 0.05
    assert np.mean(np.array(ours) <= 1) > 0.34
    assert np.mean(np.array(ours) <= 10) > 0.58
