"""Medical vocabularies and ontologies, read from data that installed packages carry; nothing is downloaded.

The room promises: one id per concept, whichever vocabularies name it; every fact keeps the reference its source
gives for it; the same packages give the same concepts, in the same order, in every process.
"""

from medr_ray.knowledge.hpo import DiseaseRecord, Fact, Hpo, HpoTerm, load_hpo
from medr_ray.knowledge.lexicon import Concept, build_lexicon, normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, PREDICATES, VALUE, Predicate

__all__ = [
    "DISEASE", "DRUG", "GENE", "PHENOTYPE", "PREDICATES", "VALUE", "Concept", "DiseaseRecord", "Fact", "Hpo",
    "HpoTerm", "Predicate", "build_lexicon", "load_hpo", "normalise",
]
