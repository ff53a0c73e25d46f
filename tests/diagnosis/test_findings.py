"""What callers call findings and diseases."""

import functools

import pytest
from support.small_knowledge import small_base

from medr_ray.diagnosis.findings import NameResolver, disease_resolver, finding_resolver
from medr_ray.diagnosis.knowledge_base import build_finding_terms
from medr_ray.knowledge.hpo import load_hpo


@functools.cache
def _resolver() -> NameResolver:
    return finding_resolver(load_hpo(), build_finding_terms(load_hpo()))


def _resolve_ids(*names: str) -> list[str]:
    terms = build_finding_terms(load_hpo())
    return [terms.ids[term] for term in _resolver().resolve(names)[0]]


@pytest.mark.parametrize(
    "name",
    [
        "HP:0001250",
        "hp:0001250",
        "Seizure",
        "  SEIZURE ",
        "Epileptic seizure",
        "Seizure (HP:0001250)",
        "HP:0001303",
    ],
)
def test_ids_names_synonyms_and_old_ids_are_resolved(name: str) -> None:
    assert _resolve_ids(name) == ["HP:0001250"]


def test_each_finding_is_listed_once_in_the_given_order() -> None:
    assert _resolve_ids("Ataxia", "seizure", "HP:0001250") == ["HP:0001251", "HP:0001250"]


def test_an_unknown_name_is_answered_with_the_nearest_and_stops_nothing() -> None:
    strange = ["hypsarhythmia", "qqqqqq", "HP:9999999", "Autosomal dominant inheritance"]
    numbers, unknown = _resolver().resolve(["Seizure", *strange])
    assert len(numbers) == 1
    assert [phrase.text for phrase in unknown] == strange
    assert unknown[0].nearest[0] == "Hypsarrhythmia (HP:0002521)"
    assert unknown[1].nearest == ()


def test_an_ambiguous_name_is_not_guessed() -> None:
    names = NameResolver(
        {}, [("cold", 0, False), ("cold", 1, False)], ["Common cold", "Cold feeling"]
    )
    numbers, (unknown,) = names.resolve(["Cold"])
    assert numbers == []
    assert unknown.nearest == ("Common cold", "Cold feeling")


def test_a_preferred_name_wins_over_a_synonym() -> None:
    names = NameResolver({}, [("cold", 0, False), ("cold", 1, True)], ["Common cold", "Cold"])
    assert names.resolve(["cold"])[0] == [1]


def test_diseases_are_resolved_by_name_and_id() -> None:
    numbers, unknown = disease_resolver(small_base()).resolve(["disease 2", "OMIM:3", "Disease"])
    assert numbers == [1, 2]
    assert unknown[0].nearest[0].startswith("Disease ")
