"""Medical vocabularies and ontologies, read from data that installed packages carry and from files
of your own; nothing is downloaded.

The room promises: one id per concept, whichever vocabularies name it; a form means one concept;
every fact keeps the reference its source gives for it; every disease has one of twelve specialties;
the same packages and files give the same concepts, in the same order, in every process.
"""

from medr_ray.knowledge.hpo import DiseaseFact, DiseaseRecord, Hpo, HpoTerm, load_hpo
from medr_ray.knowledge.lexicon import Concept, Lexicon, assemble_lexicon, build_lexicon, normalise
from medr_ray.knowledge.predicates import (
    DISEASE,
    DRUG,
    GENE,
    PHENOTYPE,
    PREDICATES,
    VALUE,
    Predicate,
)
from medr_ray.knowledge.specialty import SPECIALTIES, Specialty

__all__ = [
    "DISEASE",
    "DRUG",
    "GENE",
    "PHENOTYPE",
    "PREDICATES",
    "SPECIALTIES",
    "VALUE",
    "Concept",
    "DiseaseFact",
    "DiseaseRecord",
    "Hpo",
    "HpoTerm",
    "Lexicon",
    "Predicate",
    "Specialty",
    "assemble_lexicon",
    "build_lexicon",
    "load_hpo",
    "normalise",
]
