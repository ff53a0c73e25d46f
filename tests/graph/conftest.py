"""A small vocabulary with its matcher."""

import pytest

from medr_ray.entities.matching import Matcher
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept

CONCEPTS = [
    Concept("OMIM:1", "Marfan syndrome", "disease", ("marfan syndrome",), "cardiology"),
    Concept("OMIM:2", "Shprintzen syndrome", "disease", ("shprintzen syndrome",), "cardiology"),
    Concept(
        "MESH:1",
        "Aplastic anemia",
        "disease",
        ("aplastic anaemia", "aplastic anemia"),
        "hematology",
    ),
    Concept("MESH:2", "Pneumonia", "disease", ("pneumonia",), "pulmonology"),
    Concept("HP:1", "Seizure", "phenotype", ("seizure", "seizures"), ""),
    Concept("HP:2", "Ectopia lentis", "phenotype", ("ectopia lentis",), ""),
    Concept("HP:3", "Autosomal dominant inheritance", "value", ("autosomal dominant",), ""),
    Concept("GENE:FBN1", "FBN1", "gene", ("FBN1",), ""),
    Concept("DRUG:1", "Losartan", "drug", ("losartan",), ""),
    Concept("DRUG:2", "Chloramphenicol", "drug", ("chloramphenicol",), ""),
]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(CONCEPTS)


@pytest.fixture(scope="session")
def matcher() -> Matcher:
    return Matcher.build(CONCEPTS, 4)
