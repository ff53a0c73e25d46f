"""Which entries of the drug dictionary are substances that are given."""

import pytest

from medr_ray.knowledge.dictionaries import DictionaryEntry, read_drug_entries
from medr_ray.knowledge.drug_entries import is_substance


@pytest.fixture(scope="module")
def entries() -> dict[str, list[DictionaryEntry]]:
    by_name: dict[str, list[DictionaryEntry]] = {}
    for entry in read_drug_entries():
        by_name.setdefault(entry.name.lower(), []).append(entry)
    return by_name


@pytest.mark.parametrize(
    "name",
    [
        "escherichia coli",
        "candida albicans",
        "tyrosine 3-monooxygenase",
        "interleukin-10",
        "c-reactive protein",
        "toll-like receptor 9",
        "cd59 antigens",
        "apolipoprotein e4",
        "gaba antagonists",
        "water pollutants",
    ],
)
def test_microbes_proteins_and_classes_are_no_substances(
    entries: dict[str, list[DictionaryEntry]], name: str
) -> None:
    assert not any(map(is_substance, entries[name]))


@pytest.mark.parametrize(
    "name",
    [
        "losartan",
        "insulin",
        "erythropoietin",
        "filgrastim",
        "tenecteplase",
        "eptifibatide",
        "benzene",
        "ginkgo biloba",
    ],
)
def test_what_is_given_is_a_substance_whatever_it_is_made_of(
    entries: dict[str, list[DictionaryEntry]], name: str
) -> None:
    assert all(map(is_substance, entries[name]))
