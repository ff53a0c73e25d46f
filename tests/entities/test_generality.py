"""Concepts too general to ask about, by tree and by name."""

import pytest

from medr_ray.core.records import EntityType
from medr_ray.entities.generality import (
    find_generality_reason,
    find_mesh_reasons,
    find_tree_reasons,
)
from medr_ray.knowledge.lexicon import Concept


def test_a_heading_near_the_root_with_many_below_it_is_general() -> None:
    trees = {
        "Heart": ("C14.280",),
        "Aneurysm": ("C14.907", "C14.280.100.5"),
        "Twigs": ("C15.1",),
        "Course": ("C23.550.291.500",),
        "Lasting pain": ("C23.550.291.500.1", "C05.1"),
    }
    trees |= {f"Heart {i}": (f"C14.280.{i}",) for i in range(10)}
    trees |= {f"Vessel {i}": (f"C14.907.{i}",) for i in range(10)}
    trees |= {f"Twig {i}": (f"C15.1.{i}",) for i in range(9)}
    reasons = find_tree_reasons(trees)
    assert reasons.keys() == {"Heart", "Course"}
    assert reasons["Heart"] == "it stands near the root of MeSH, above 11 narrower headings"
    assert reasons["Course"] == "it is an attribute of diseases in MeSH"


@pytest.mark.parametrize(
    ("concept_id", "name", "reason"),
    [
        ("OMIM:1", "Syndrome", "no particular condition"),
        ("ORPHA:1", "Vascular Diseases", "near the root of MeSH"),
        ("DRUGBANK:1", "Titanium", "among the elements"),
        ("DRUGBANK:2", "Propylene glycol", "among the vehicles"),
        ("DRUG:kinase inhibitors", "Kinase inhibitors", "no number of a single substance"),
        ("DRUGBANK:3", "Nitisinone", ""),
        ("MESH:vascular diseases", "Vascular Diseases", "near the root of MeSH"),
        ("MESH:facies", "Facies", "attribute of diseases in MeSH"),
        ("MESH:kuru", "Kuru", ""),
        ("MESH:graft vs host disease", "Graft vs Host Disease", ""),
        ("HP:0000478", "Abnormality of the eye", "near the root of the Human Phenotype Ontology"),
        ("HP:0001250", "Seizure", ""),
        ("HP:0001519", "Disproportionate tall stature", ""),
        ("OMIM:154700", "Marfan syndrome", ""),
    ],
)
def test_group_headings_of_real_vocabularies_are_general_and_single_diseases_are_not(
    concept_id: str, name: str, reason: str
) -> None:
    if "MeSH" in reason and not find_mesh_reasons():
        pytest.skip("needs the extra [embedded]")
    types: dict[str, EntityType] = {"HP": "phenotype", "DRUG": "drug", "DRUGBANK": "drug"}
    entity_type = types.get(concept_id.partition(":")[0], "disease")
    why = find_generality_reason(Concept(concept_id, name, entity_type, (), ""))
    assert reason in why
    assert bool(why) == bool(reason)
