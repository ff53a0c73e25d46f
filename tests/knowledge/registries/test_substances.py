"""Names of substances, and the moiety that they stand for."""

import pytest

from medr_ray.knowledge.registries.identifiers import make_substance_id
from medr_ray.knowledge.registries.substances import list_moiety_names, match_substance, moiety


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("METFORMIN HYDROCHLORIDE", "metformin"),
        ("Metformin HCl", "metformin"),
        ("AMLODIPINE BESYLATE", "amlodipine"),
        ("Bepotastine Besilate", "bepotastine"),
        ("ESOMEPRAZOLE MAGNESIUM TRIHYDRATE", "esomeprazole"),
        ("TENOFOVIR DISOPROXIL FUMARATE", "tenofovir"),
        ("PREDNISOLONE SODIUM PHOSPHATE", "prednisolone"),
        ("CABOZANTINIB S-MALATE", "cabozantinib"),
        ("PENICILLIN G POTASSIUM", "penicillin g"),
        ("sodium valproate", "valproate"),
        ("PROCAINE HYDROCHLORIDE", "procaine"),
        ("TRAMETINIB DIMETHYL SULFOXIDE", "trametinib"),
        ("INFLIXIMAB-DYYB", "infliximab"),
        ("INSULIN GLARGINE RECOMBINANT", "insulin glargine"),
        ("FENTANYL CITRATE", "fentanyl"),
        ("LANADELUMAB (SHP643)", "lanadelumab"),
    ],
)
def test_salts_esters_and_water_are_not_of_the_moiety(name: str, expected: str) -> None:
    assert moiety(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "sodium chloride",
        "potassium citrate",
        "magnesium sulfate",
        "lithium carbonate",
        "zinc oxide",
        "ferrous fumarate",
        "dimethyl fumarate",
        "methyl salicylate",
        "chloral hydrate",
        "isosorbide dinitrate",
        "triamcinolone acetonide",
        "homatropine methylbromide",
        "technetium tc 99m gluceptate",
        "tenofovir alafenamide",
        "insulin human",
        "folic acid",
    ],
)
def test_what_is_no_salt_of_a_drug_stays_whole(name: str) -> None:
    assert list_moiety_names(name) == (name,)


def test_one_substance_has_one_id_however_it_is_written() -> None:
    assert make_substance_id("Metformin HCl") == make_substance_id("METFORMIN HYDROCHLORIDE")
    assert make_substance_id("ESTROGENS, CONJUGATED") == make_substance_id("Conjugated Estrogens")
    assert make_substance_id("CLAVULANATE POTASSIUM") == make_substance_id("potassium clavulanate")
    assert make_substance_id("METFORMIN") != make_substance_id("METFORMIN HYDROCHLORIDE")
    assert make_substance_id("METFORMIN", "9100l32l2n") == "UNII:9100L32L2N"


def test_vocabulary_decides_at_which_step_a_name_is_a_drug() -> None:
    vocabulary = {"medroxyprogesterone acetate": "A", "medroxyprogesterone": "B", "metformin": "C"}
    assert match_substance(["MEDROXYPROGESTERONE ACETATE"], vocabulary) == "A"
    assert match_substance(["Medroxyprogesterone caproate"], vocabulary) == "B"
    assert match_substance(["Glucophage", "METFORMIN HYDROCHLORIDE"], vocabulary) == "C"
    assert match_substance(["sodium chloride"], vocabulary) == ""


@pytest.mark.parametrize("name", ["", " ", "--"])
def test_a_name_without_a_word_matches_nothing(name: str) -> None:
    assert match_substance([name], {"metformin": "DRUG:1"}) == ""
