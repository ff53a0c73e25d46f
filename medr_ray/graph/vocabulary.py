"""The entities a graph may hold: the lexicon's concepts, looked up by id or by preferred name and
type.

An entity has one id: the ids it has in other vocabularies, and those of records that were merged
into its own or made obsolete, lead to it (``canonical``).
"""

from collections.abc import Iterable, Mapping

from medr_ray.core.records import Entity, EntityFrequency, EntityType
from medr_ray.core.run import Directory
from medr_ray.entities.form_patterns import read_lexicon
from medr_ray.knowledge.lexicon import Concept, normalise


class Vocabulary:
    """Concepts by id and by name. Of concepts of one type with the same name the smallest id is
    meant.

    ``replaced`` leads from merged and obsolete ids to the kept ones, as
    ``knowledge.hpo.Hpo.replaced`` does.
    """

    def __init__(
        self, concepts: Iterable[Concept], replaced: Mapping[str, str] | None = None
    ) -> None:
        self.concepts = {one.concept_id: one for one in concepts}
        self._replaced = replaced or {}
        self._by_name: dict[tuple[str, str], str] = {}
        self._known_as: dict[str, set[str]] = {}
        for concept_id in sorted(self.concepts):
            one = self.concepts[concept_id]
            self._by_name.setdefault((one.entity_type, normalise(one.name)), concept_id)
            for other in one.xrefs:
                self._known_as.setdefault(other, set()).add(concept_id)

    @classmethod
    def load(cls, entities: Directory, replaced: Mapping[str, str] | None = None) -> "Vocabulary":
        """The vocabulary of an ``entities`` directory."""
        return cls(read_lexicon(entities).values(), replaced)

    def canonical(self, entity_id: str) -> str:
        """The id that the entity goes by here; ``entity_id`` itself where nothing, or more than one
        thing, is known by it."""
        for one in (entity_id, self._replaced.get(entity_id, entity_id)):
            if one in self.concepts:
                return one
            if len(known := self._known_as.get(one, ())) == 1:
                return next(iter(known))
        return entity_id

    def __contains__(self, concept_id: object) -> bool:
        return concept_id in self.concepts

    def type_of(self, concept_id: str) -> EntityType:
        return self.concepts[concept_id].entity_type

    def name_of(self, concept_id: str) -> str:
        return self.concepts[concept_id].name

    def named(self, entity_type: EntityType, name: str) -> str | None:
        """The concept of that type with that preferred name."""
        return self._by_name.get((entity_type, normalise(name)))

    def entity(self, concept_id: str, frequency: EntityFrequency | None, is_seed: bool) -> Entity:
        """The graph's node for a concept; its aliases are its other forms."""
        one = self.concepts[concept_id]
        own = {one.name, normalise(one.name)}
        aliases = tuple(form for form in one.forms if form not in own)
        return Entity(
            concept_id,
            one.name,
            one.entity_type,
            aliases,
            one.specialty,
            frequency.frequency if frequency else None,
            is_seed,
        )
