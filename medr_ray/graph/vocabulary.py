"""The entities that a graph can contain: the lexicon's concepts, looked up by id or by preferred
name and type.

An entity has one id: the ids it has in other vocabularies, and those of records that were merged
into its own or made obsolete, lead to it (``canonical_id``).
"""

from collections.abc import Iterable, Mapping

from medr_ray.core.records import Entity, EntityFrequency, NodeType
from medr_ray.core.run import Directory
from medr_ray.entities.form_patterns import read_lexicon
from medr_ray.knowledge.lexicon import Concept, normalise
from medr_ray.knowledge.name_normalization import fold_name


class Vocabulary:
    """Concepts by id and by name.

    Where several concepts of one type have the same name, the name stands for the smallest id.
    ``replaced`` maps merged and obsolete ids to the ids that are kept, as
    ``knowledge.hpo.Hpo.replacements`` does.
    """

    def __init__(
        self, concepts: Iterable[Concept], replaced: Mapping[str, str] | None = None
    ) -> None:
        self.concepts = {concept.concept_id: concept for concept in concepts}
        self._replaced = replaced or {}
        self._by_name: dict[tuple[str, str], str] = {}
        self._by_other_id: dict[str, set[str]] = {}
        # Sorted, so that the smallest id gets a name that several concepts have.
        for concept_id in sorted(self.concepts):
            concept = self.concepts[concept_id]
            name_key = (concept.entity_type, fold_name(concept.name))
            self._by_name.setdefault(name_key, concept_id)
            for other_id in concept.xrefs:
                self._by_other_id.setdefault(other_id, set()).add(concept_id)

    @classmethod
    def from_directory(
        cls, entities: Directory, replaced: Mapping[str, str] | None = None
    ) -> "Vocabulary":
        """The vocabulary of an ``entities`` directory."""
        return cls(read_lexicon(entities).values(), replaced)

    def canonical_id(self, entity_id: str) -> str:
        """The id of the concept that has ``entity_id`` as its own or another id; ``entity_id``
        itself where no concept has it, or several have."""
        # The id as given comes before the id that replaced it.
        for candidate in (entity_id, self._replaced.get(entity_id, entity_id)):
            if candidate in self.concepts:
                return candidate
            concept_ids = self._by_other_id.get(candidate, set())
            if len(concept_ids) == 1:
                return next(iter(concept_ids))
        return entity_id

    def __contains__(self, concept_id: object) -> bool:
        return concept_id in self.concepts

    def type_of(self, concept_id: str) -> NodeType:
        return self.concepts[concept_id].entity_type

    def name_of(self, concept_id: str) -> str:
        return self.concepts[concept_id].name

    def find_by_name(self, entity_type: NodeType, name: str) -> str | None:
        """The concept of that type with that preferred name, however it is written."""
        return self._by_name.get((entity_type, fold_name(name)))

    def build_entity(
        self, concept_id: str, frequency: EntityFrequency | None, is_seed: bool
    ) -> Entity:
        """The graph's node for a concept; its aliases are its other forms."""
        concept = self.concepts[concept_id]
        # Forms are normalised, so the preferred name may be among them in lower case.
        own_names = {concept.name, normalise(concept.name)}
        aliases = tuple(form for form in concept.forms if form not in own_names)
        return Entity(
            concept_id,
            concept.name,
            concept.entity_type,
            aliases,
            concept.specialty,
            frequency.frequency if frequency else None,
            is_seed,
        )
