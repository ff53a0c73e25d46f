"""What registries name becomes a concept of the lexicon, or stays apart."""

import pytest

from medr_ray.core.records import NodeType, RegistryEntity
from medr_ray.graph.facts.entity_resolution import EntityResolver
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept

CONCEPTS = [
    Concept("DRUGBANK:DB00331", "Metformin", "drug", ("metformin",), ""),
    Concept("DRUGBANK:1", "Iron", "drug", ("iron",), ""),
    Concept("OMIM:1", "Marfan syndrome", "disease", ("marfan syndrome",), "", (), ("ORPHA:558",)),
    Concept("OMIM:2", "Type A", "disease", ("sturge syndrome",), ""),
    Concept("OMIM:3", "Type B", "disease", ("sturge syndrome",), ""),
    Concept("HP:1", "Metformin", "phenotype", ("metformin",), ""),
]


@pytest.fixture(scope="module")
def resolver() -> EntityResolver:
    return EntityResolver(Vocabulary(CONCEPTS))


def entity(entity_id: str, entity_type: NodeType, *names: str) -> RegistryEntity:
    return RegistryEntity(entity_id, entity_type, names, (), "orange_book")


def test_a_salt_is_the_drug(resolver: EntityResolver) -> None:
    substance = entity("SUBSTANCE:metformin hydrochloride", "substance", "METFORMIN HYDROCHLORIDE")
    assert resolver.resolve(substance) == "DRUGBANK:DB00331"


def test_a_disease_is_found_by_words_and_by_another_id(resolver: EntityResolver) -> None:
    assert resolver.resolve(entity("CONDITION:x", "disease", "Marfan Syndrome")) == "OMIM:1"
    assert resolver.resolve(entity("ORPHA:558", "disease")) == "OMIM:1"
    assert resolver.resolve_id("ORPHA:558") == "OMIM:1"


def test_a_name_of_two_diseases_is_neither(resolver: EntityResolver) -> None:
    condition = entity("CONDITION:sturge syndrome", "disease", "Sturge syndrome")
    assert resolver.resolve(condition) == condition.entity_id


def test_a_company_is_no_drug_of_its_name(resolver: EntityResolver) -> None:
    company = entity("COMPANY:iron", "company", "Iron")
    assert resolver.resolve(company) == company.entity_id
