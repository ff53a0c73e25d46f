"""What registries name becomes a concept of the lexicon, or stays apart."""

import pytest

from medr_ray.core.records import NodeType, RegistryEntity
from medr_ray.graph.facts.entity_resolution import EntityResolver
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.registries.identifiers import make_substance_id

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


CONDITIONS = [
    Concept("HP:0002099", "Asthma", "phenotype", ("asthma",), ""),
    Concept("HP:0003193", "Allergic rhinitis", "phenotype", ("allergic rhinitis",), ""),
    Concept("HP:0000709", "Psychosis", "phenotype", ("schizoaffective disorder",), ""),
    Concept("OMIM:3", "Multiple myeloma", "disease", ("multiple myeloma", "myeloma"), ""),
    Concept("HP:0006775", "Multiple myeloma", "phenotype", (), ""),
    Concept(
        "MESH:4", "Clostridium Infections", "disease", ("clostridium difficile infection",), ""
    ),
    Concept("ORPHA:579", "Mucopolysaccharidosis type 1", "disease", ("mps type ih",), ""),
    Concept("OMIM:5", "Cystic fibrosis", "disease", ("pulmonary cystic fibrosis",), ""),
    Concept("MESH:6", "Brain Concussion", "disease", ("mild traumatic brain injury",), ""),
    Concept("MESH:8", "Drug Hypersensitivity Syndrome", "disease", (), ""),
    Concept("MESH:9", "Liver Neoplasms", "disease", ("hepatocellular cancer",), ""),
    Concept(
        "HP:10",
        "Non-small cell lung carcinoma",
        "phenotype",
        ("nsclc", "non-small cell lung cancer"),
        "",
    ),
    Concept(
        "MESH:7",
        "Stress Disorders, Post-Traumatic",
        "disease",
        ("ptsd", "posttraumatic stress disorder"),
        "",
    ),
]


@pytest.mark.parametrize(
    ("condition", "concept_id"),
    [
        ("Asthma", "HP:0002099"),
        ("Rhinitis, Allergic", "HP:0003193"),
        ("Multiple Myeloma", "OMIM:3"),  # the disease of two concepts of one name
        ("Clostridium Infection", "MESH:4"),
        ("PTSD", "MESH:7"),
        ("NSCLC", "HP:10"),
        ("Non Small Cell Lung Cancer", "HP:10"),
        ("Posttraumatic Stress Disorder", "MESH:7"),
        # Kinds of what they are names of.
        ("Clostridium Difficile Infection", ""),
        ("MPS type IH", ""),
        ("Pulmonary Cystic Fibrosis", ""),
        ("Mild Traumatic Brain Injury", ""),
        ("Myeloma", ""),
        ("Drug Hypersensitivity", ""),
        ("Hepatocellular Cancer", ""),
        # Synonyms of phenotypes are loose.
        ("Schizoaffective Disorder", ""),
    ],
)
def test_a_condition_is_the_concept_of_its_name_and_no_broader_one(
    condition: str, concept_id: str
) -> None:
    entity_id = f"CONDITION:{condition.lower()}"
    resolver = EntityResolver(Vocabulary(CONDITIONS))
    found_id = resolver.resolve(entity(entity_id, "disease", condition))
    assert found_id == (concept_id or entity_id)


def test_a_salt_and_a_product_of_an_unlisted_substance_are_the_substance(
    resolver: EntityResolver,
) -> None:
    for name, substance in (
        ("OXYCODONE TEREPHTHALATE", "SUBSTANCE:oxycodone"),
        ("nemolizumab-ilto", "SUBSTANCE:nemolizumab"),
        ("GRISEOFULVIN, ULTRAMICROSIZE", "SUBSTANCE:griseofulvin"),
        ("UNOPROSTONE ENANTHATE", "SUBSTANCE:unoprostone enanthate"),
        ("AMPICILLIN/AMPICILLIN TRIHYDRATE", "SUBSTANCE:ampicillin ampicillin trihydrate"),
    ):
        own_id = make_substance_id(name)
        assert resolver.resolve(entity(own_id, "substance", name)) == substance
