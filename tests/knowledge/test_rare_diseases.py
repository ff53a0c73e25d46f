"""Which concepts a list of rare diseases has."""

from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.rare_diseases import RareListing, find_listings, load_rare_listings


def _concept(concept_id: str, *xrefs: str) -> Concept:
    return Concept(concept_id, concept_id, "disease", (), "", xrefs=xrefs)


def _prevalence(disorder: str, group: str) -> Prevalence:
    return Prevalence(disorder, "X", 1e-6, "Point prevalence", "Europe", True, True, "", group)


def test_a_concept_is_listed_by_its_id_a_reference_or_its_prevalence() -> None:
    listed = RareListing("ORPHA:1", "Orphanet")
    group = RareListing("ORPHA:2", "Orphanet", is_group=True)
    concepts = [
        _concept("ORPHA:1"),
        _concept("OMIM:1", "ORPHA:2", "ORPHA:1"),
        _concept("OMIM:2", "ORPHA:2"),
        _concept("MESH:common"),
        _concept("MESH:rare"),
        _concept("MESH:class"),
        _concept("MESH:group"),
    ]
    prevalences = {
        "MESH:rare": _prevalence("ORPHA:3", "Disorder"),
        "MESH:class": _prevalence("ORPHA:4", "Group of disorders"),
        "MESH:group": _prevalence("ORPHA:2", ""),
    }
    listings = find_listings(concepts, {"ORPHA:1": listed, "ORPHA:2": group}, prevalences)
    assert listings == {
        "ORPHA:1": listed,
        "OMIM:1": listed,
        "OMIM:2": group,
        "MESH:rare": RareListing("ORPHA:3", "Orphanet's prevalences"),
        "MESH:class": RareListing("ORPHA:4", "Orphanet's prevalences", is_group=True),
        "MESH:group": group,
    }


def test_the_embedded_list_has_the_disorders_of_the_annotations_by_their_own_ids() -> None:
    listings = load_rare_listings()
    assert listings["ORPHA:558"].is_rare_disease  # Marfan syndrome, merged into OMIM:154700
    assert len(listings) > 4_000


def test_the_embedded_list_knows_classes() -> None:
    listings = load_rare_listings()
    assert listings["ORPHA:98249"].is_group  # Ehlers-Danlos syndrome
    assert not listings["ORPHA:98249"].is_rare_disease
