"""Facts of real diseases, and the wording of frequencies."""

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.hpo import describe_frequency, load_hpo, record_order


@pytest.mark.parametrize(
    ("frequency", "words"),
    [
        ("3/7", "3 of 7 patients"),
        ("1/1", "1 of 1 patient"),
        ("45%", "45% of patients"),
        ("", "some patients"),
        ("HP:0040280", "all patients"),
        ("HP:0040281", "80-99% of patients"),
        ("HP:0040282", "30-79% of patients"),
        ("HP:0040283", "5-29% of patients"),
        ("HP:0040284", "1-4% of patients"),
    ],
)
def test_frequencies_are_put_into_words(frequency: str, words: str) -> None:
    assert describe_frequency(frequency) == words


@pytest.mark.parametrize("frequency", ["0/12", "0%", "HP:0040285"])
def test_a_finding_that_no_patient_has_is_no_fact(frequency: str) -> None:
    assert describe_frequency(frequency) is None


def test_an_unknown_frequency_is_an_error_not_a_guess() -> None:
    with pytest.raises(DataError, match="often"):
        describe_frequency("often")


def test_records_of_one_disease_are_one_entity_under_the_smallest_id() -> None:
    hpo = load_hpo()
    marfan = hpo.diseases["OMIM:154700"]
    assert marfan.name == "Marfan syndrome"
    assert "ORPHA:558" in marfan.xrefs
    assert "ORPHA:558" not in hpo.diseases
    assert hpo.replacements["ORPHA:558"] == "OMIM:154700"
    assert sorted(["DECIPHER:1", "ORPHA:2", "OMIM:30", "OMIM:4"], key=record_order) == [
        "OMIM:4",
        "OMIM:30",
        "ORPHA:2",
        "DECIPHER:1",
    ]


def test_facts_carry_gene_inheritance_findings_and_references() -> None:
    facts = {
        (fact.predicate, fact.object_id): fact for fact in load_hpo().diseases["OMIM:154700"].facts
    }
    assert facts["associated_gene", "GENE:FBN1"].reference == "OMIM:154700"
    assert facts["has_inheritance", "HP:0000006"].reference.startswith("PMID:")
    counted = facts["has_finding", "HP:0000483"]
    assert (counted.object_name, counted.clinical) == ("Astigmatism", "3 of 53 patients")


def test_every_fact_occurs_once() -> None:
    for disease in load_hpo().diseases.values():
        keys = [(fact.predicate, fact.object_id) for fact in disease.facts]
        assert len(keys) == len(set(keys)), disease.entity_id


def test_inheritance_leaves_out_qualifiers_such_as_penetrance() -> None:
    modes = {
        fact.object_id
        for disease in load_hpo().diseases.values()
        for fact in disease.facts
        if fact.predicate == "has_inheritance"
    }
    assert "HP:0001417" in modes  # X-linked inheritance
    assert "HP:0003829" not in modes  # typified by incomplete penetrance


def test_records_that_differ_in_a_hyphen_case_or_accent_are_one_disease() -> None:
    hpo = load_hpo()
    for record, disease in (
        ("ORPHA:289", "OMIM:225500"),  # Ellis Van Creveld, Ellis-Van creveld
        ("ORPHA:122", "OMIM:135150"),  # Birt-Hogg-Dubé, Birt-Hogg-Dube
        ("ORPHA:195", "OMIM:115470"),  # Cat-eye, Cat eye
    ):
        assert hpo.replacements[record] == disease
        assert record in hpo.diseases[disease].xrefs
