"""One thing, one entity: what registries name becomes a concept of the lexicon where it is one.

A disease or a gene joins its concept by id. A disease that a record names only in words, and a
substance, join by name: the folded name, then, for a substance, the name of its active moiety. A
name that two concepts have joins none of them. Everything else keeps the id of its registry; what
no concept is, but a salt or a product of a substance, has the id of the substance.

The condition of a trial is the disease, or else the phenotype, whose preferred name is the
condition's, or has the same words. Another name joins it only where it is an abbreviation or a
wording of the preferred name; that of a disease also where the two share words and neither names a
kind of the other, for vocabularies list kinds among a disease's names.
"""

import re
from collections.abc import Callable, Iterator

from medr_ray.core.records import EntityType, RegistryEntity
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.disease_identity import (
    has_narrower_words,
    have_equal_words,
    make_name_key,
    names_other_form,
    reverses_compound,
    share_words,
)
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, DRUG, PHENOTYPE
from medr_ray.knowledge.registries.identifiers import CONDITION, make_substance_id
from medr_ray.knowledge.registries.substances import match_substance, name_without_salt

# Where a name that two concepts have leads.
_NO_CONCEPT = ""
_SUBSTANCE = "SUBSTANCE:"
_CLASS_WORD = re.compile(r"disease|disorder|syndrome")


class EntityResolver:
    """Finds the concept that an entity is. Indexing the names takes seconds, once a resolver."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._diseases = _index_names(vocabulary, DISEASE, _list_names)
        self._phenotypes = _index_names(vocabulary, PHENOTYPE, _list_names)
        self._drugs = _index_names(vocabulary, DRUG, _list_names)
        # Diseases come before phenotypes of the same name.
        self._preferred = [
            _index_names(vocabulary, concept_type, _list_preferred_name)
            for concept_type in (DISEASE, PHENOTYPE)
        ]
        self._keys = [
            _index_names(vocabulary, concept_type, _list_key)
            for concept_type in (DISEASE, PHENOTYPE)
        ]

    def resolve(self, entity: RegistryEntity) -> str:
        """The id of the concept that the entity is, else its own id."""
        for identifier in (entity.entity_id, *entity.identifiers):
            concept_id = self._vocabulary.canonical_id(identifier)
            if concept_id in self._vocabulary:
                return concept_id
        concept_id = self._find_by_name(entity)
        if not concept_id and entity.names and entity.entity_id.startswith(_SUBSTANCE):
            return make_substance_id(name_without_salt(entity.names[0]))
        return concept_id or entity.entity_id

    def resolve_id(self, entity_id: str) -> str:
        """The concept of an id that comes without an entity, such as a disease's."""
        return self._vocabulary.canonical_id(entity_id)

    def _find_by_name(self, entity: RegistryEntity) -> str:
        """The id of the concept with a name of the entity; "" for none."""
        if entity.entity_type == "substance":
            return match_substance(entity.names, self._drugs)
        if entity.entity_type == "disease":
            is_condition = entity.entity_id.startswith(CONDITION)
            find = self._find_condition if is_condition else self._find_disease
            return next(filter(None, map(find, entity.names)), _NO_CONCEPT)
        return _NO_CONCEPT

    def _find_disease(self, name: str) -> str:
        return self._diseases.get(fold_name(name), _NO_CONCEPT)

    def _find_condition(self, name: str) -> str:
        folded = fold_name(name)
        for form in (folded, folded.removesuffix("s"), f"{folded}s"):
            for index in self._preferred:
                if form in index:
                    return index[form]
        key = _join_key(name)
        for index in self._keys:
            if key in index and not reverses_compound(name, self._vocabulary.name_of(index[key])):
                return index[key]
        disease = self._diseases.get(folded, _NO_CONCEPT)
        if disease and (self._is_wording(name, disease) or self._is_same(name, disease)):
            return disease
        phenotype = self._phenotypes.get(folded, _NO_CONCEPT)
        return phenotype if phenotype and self._is_wording(name, phenotype) else _NO_CONCEPT

    def _is_wording(self, name: str, concept_id: str) -> bool:
        """Whether a name of a concept abbreviates or words its preferred name."""
        preferred = self._vocabulary.name_of(concept_id)
        words = re.findall(r"\w+", fold_name(preferred))
        initials = sorted(word[0] for word in words)
        is_abbreviation = len(initials) > 1 and sorted(fold_name(name)) == initials
        return is_abbreviation or have_equal_words(_name_cancer(name), _name_cancer(preferred))

    def _is_same(self, name: str, concept_id: str) -> bool:
        """Whether a name and the preferred name share words, and neither is that of a kind of the
        other."""
        preferred = self._vocabulary.name_of(concept_id)
        is_kind = has_narrower_words(name, preferred) or has_narrower_words(preferred, name)
        return share_words(name, preferred) and not (is_kind or names_other_form(name, preferred))


def _name_cancer(name: str) -> str:
    """The folded name with one word for a cancer: "non-small cell lung cancer" is a carcinoma."""
    return fold_name(name).replace("cancer", "carcinoma")


def _index_names(
    vocabulary: Vocabulary, concept_type: EntityType, list_names: Callable[[Concept], Iterator[str]]
) -> dict[str, str]:
    """The concept of each name that ``list_names`` gives of the concepts of a type; none for a name
    that two of them have."""
    index: dict[str, str] = {}
    for concept_id, concept in vocabulary.concepts.items():
        if concept.entity_type != concept_type:
            continue
        for name in set(list_names(concept)):
            index[name] = _NO_CONCEPT if name in index else concept_id
    return {name: concept_id for name, concept_id in index.items() if concept_id}


def _list_names(concept: Concept) -> Iterator[str]:
    return map(fold_name, (concept.name, *concept.forms))


def _list_preferred_name(concept: Concept) -> Iterator[str]:
    yield fold_name(concept.name)


def _list_key(concept: Concept) -> Iterator[str]:
    yield _join_key(concept.name)


def _join_key(name: str) -> str:
    """Equal for names of the same words. "Drug hypersensitivity" is not the syndrome."""
    classes = sorted(set(_CLASS_WORD.findall(fold_name(name))))
    return " ".join((*make_name_key(name), *classes))
