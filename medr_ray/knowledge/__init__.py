"""Medical vocabularies and ontologies, read from data inside installed packages and from files of
your own. Nothing is downloaded.

This room guarantees:

- a concept has one id, whichever vocabularies list it;
- a form means at most one concept;
- every fact keeps the references of its source;
- every disease has one of twelve specialties;
- equal packages and files give equal concepts in the same order, in every process.
"""

from medr_ray.knowledge.hpo import DiseaseFact, DiseaseRecord, Hpo, load_hpo
from medr_ray.knowledge.hpo_terms import HpoTerm
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
