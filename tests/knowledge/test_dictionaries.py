"""The pickled dictionaries are data: nothing in them may run."""

import pickle
from pathlib import Path

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.dictionaries import (
    load_drug_dictionary,
    load_plain_pickle,
    read_disease_entries,
    read_drug_entries,
)
from medr_ray.knowledge.drug_identity import find_corrections, load_corrections
from medr_ray.knowledge.tables import read_drugbank
from medr_ray.knowledge.vocabulary_reading import VocabularyReport, open_vocabulary


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(DataError, match="refused to unpickle"):
        load_plain_pickle(pickle.dumps({"a": _Malicious(marker)}), "evil.pkl")
    assert not marker.exists()


def test_plain_values_are_read() -> None:
    value = {"a": ["b", 1, 2.5, None, True, ("c",)]}
    assert load_plain_pickle(pickle.dumps(value), "plain.pkl") == value


def test_headings_that_share_a_wrong_descriptor_id_stay_apart() -> None:
    by_id = {entry.concept_id: entry for entry in read_disease_entries()}
    assert "seizure" in by_id["MESH:seizures"].variants
    assert "aids" in by_id["MESH:acquired immunodeficiency syndrome"].variants


@pytest.fixture(scope="module")
def drug_by_name() -> dict[str, str]:
    """The id of the drug that has each name."""
    return {name: entry.concept_id for entry in read_drug_entries() for name in entry.variants}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("propranolol", "DRUGBANK:DB00571"),
        ("dexpropranolol", "DRUGBANK:DB03322"),
        ("levetiracetam", "DRUGBANK:DB01202"),
        ("irinotecan", "DRUGBANK:DB00762"),
        ("sn-38", "DRUGBANK:DB05482"),
        ("estradiol", "DRUGBANK:DB00783"),
        ("estradiol cypionate", "DRUGBANK:DB13954"),
        ("conjugated estrogens", "DRUGBANK:DB00286"),
        ("estrogen", "DRUG:estrogen"),
        ("norethindrone", "DRUGBANK:DB00717"),
        ("cefalexin", "DRUGBANK:DB00567"),
    ],
)
def test_a_drug_has_the_number_that_drugbank_gives_its_name(
    drug_by_name: dict[str, str], name: str, number: str
) -> None:
    assert drug_by_name[name] == number


@pytest.mark.parametrize(
    ("name", "drug"),
    [
        ("quetiapine fumarate", "quetiapine"),
        ("levothyroxine sodium", "levothyroxine"),
        ("sodium valproate", "valproic acid"),
        ("erenumab-aooe", "erenumab"),
    ],
)
def test_a_salt_and_a_biological_product_are_their_drug(
    drug_by_name: dict[str, str], name: str, drug: str
) -> None:
    assert drug_by_name[name] == drug_by_name[drug]


@pytest.mark.parametrize(
    ("name", "drug"),
    [
        ("adenosine diphosphate", "adenosine"),
        ("calcium/cholecalciferol", "cholecalciferol"),
        ("sultopride", "amisulpride"),
        ("onabotulinumtoxina", "abobotulinumtoxina"),
    ],
)
def test_what_is_no_salt_stays_apart(drug_by_name: dict[str, str], name: str, drug: str) -> None:
    assert drug_by_name[name] != drug_by_name[drug]


def test_the_corrections_are_what_drugbank_says(shared_data: Path) -> None:
    path = shared_data / "lexicon" / "drugbank_vocabulary.csv.gz"
    report = VocabularyReport(str(path))
    with open_vocabulary(str(path)) as stream:
        drugbank = list(read_drugbank(stream, report))
    records, canonicals = load_drug_dictionary()
    assert find_corrections(records, canonicals, drugbank) == load_corrections()
