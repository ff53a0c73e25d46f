"""The lexicon over the installed vocabularies: its size, and that a form means one thing."""

from collections import Counter

import pytest

from medr_ray.knowledge import DISEASE, DRUG, GENE, PHENOTYPE, VALUE, Concept, build_lexicon, normalise


@pytest.fixture(scope="module")
def concepts() -> dict[str, Concept]:
    built = build_lexicon(("hpo", "hpo_diseases", "genes", "diseases", "drugs"))
    return {concept.concept_id: concept for concept in built}


def test_there_are_more_than_150_000_forms_of_every_type(concepts: dict[str, Concept]) -> None:
    assert sum(len(concept.forms) for concept in concepts.values()) >= 150_000
    assert {concept.entity_type for concept in concepts.values()} == {DISEASE, DRUG, GENE, PHENOTYPE, VALUE}


def test_a_form_belongs_to_one_concept(concepts: dict[str, Concept]) -> None:
    uses = Counter(form for concept in concepts.values() for form in concept.forms)
    assert [form for form, count in uses.items() if count > 1] == []


def test_mesh_forms_join_the_hpo_disease_of_the_same_name(concepts: dict[str, Concept]) -> None:
    assert "marfan's syndrome" in concepts["OMIM:154700"].forms
    assert "MESH:marfan syndrome" not in concepts
    assert concepts["OMIM:154700"].specialty == "cardiology"


def test_a_broad_mesh_disease_is_not_taken_for_a_subtype(concepts: dict[str, Concept]) -> None:
    owner = {form: concept.name for concept in concepts.values() for form in concept.forms}
    assert owner["congestive cardiomyopathy"] != "Cardiomyopathy, dilated, 1A"


def test_values_genes_and_drugs_are_found_by_their_ids(concepts: dict[str, Concept]) -> None:
    assert concepts["HP:0000006"].entity_type == VALUE
    assert concepts["GENE:FBN1"].forms == ("FBN1",)
    assert "aspirin" in concepts["DRUGBANK:DB00945"].forms
    assert "seizures" in concepts["HP:0001250"].forms


def test_fewer_vocabularies_give_fewer_concepts(concepts: dict[str, Concept]) -> None:
    assert {one.entity_type for one in build_lexicon(("genes",))} == {GENE}


def test_normal_form_keeps_what_tells_names_apart() -> None:
    assert normalise("Sjögren’s  Syndrome") == "sjögren's syndrome"
    assert normalise("IL‐6") == "il-6"
    assert normalise("p<0.05") == "p<0.05"
    assert normalise("HIV/AIDS") == "hiv/aids"
