"""One thing, one entity: what registries name becomes a concept of the lexicon where it is one.

A disease or a gene joins its concept by id. A disease that a record names only in words, and a
substance, join by name: the folded name, then, for a substance, the name of its active moiety. A
name that two concepts have joins none of them. Everything else keeps the id of its registry.
"""

from medr_ray.core.records import EntityType, RegistryEntity
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, DRUG
from medr_ray.knowledge.registries.substances import match_substance

# Where a name that two concepts have leads.
_NO_CONCEPT = ""


class EntityResolver:
    """Finds the concept that an entity is. Indexing the names takes seconds, once a resolver."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._diseases = _index_names(vocabulary, DISEASE)
        self._drugs = _index_names(vocabulary, DRUG)

    def resolve(self, entity: RegistryEntity) -> str:
        """The id of the concept that the entity is, else its own id."""
        for identifier in (entity.entity_id, *entity.identifiers):
            concept_id = self._vocabulary.canonical_id(identifier)
            if concept_id in self._vocabulary:
                return concept_id
        return self._find_by_name(entity) or entity.entity_id

    def resolve_id(self, entity_id: str) -> str:
        """The concept of an id that comes without an entity, such as a disease's."""
        return self._vocabulary.canonical_id(entity_id)

    def _find_by_name(self, entity: RegistryEntity) -> str:
        """The id of the concept with a name of the entity; "" for none."""
        if entity.entity_type == "substance":
            return match_substance(entity.names, self._drugs)
        if entity.entity_type == "disease":
            matches = (self._diseases.get(fold_name(name), _NO_CONCEPT) for name in entity.names)
            return next(filter(None, matches), _NO_CONCEPT)
        return _NO_CONCEPT


def _index_names(vocabulary: Vocabulary, concept_type: EntityType) -> dict[str, str]:
    """The concept of each folded name; none for a name that two concepts of the type have."""
    index: dict[str, str] = {}
    for concept_id, concept in vocabulary.concepts.items():
        if concept.entity_type != concept_type:
            continue
        for name in {fold_name(form) for form in (concept.name, *concept.forms)}:
            index[name] = _NO_CONCEPT if name in index else concept_id
    return {name: concept_id for name, concept_id in index.items() if concept_id}
