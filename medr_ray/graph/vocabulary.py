"""The entities that a graph can contain: the lexicon's concepts, looked up by id or by preferred
name and type, and the nodes of further sources, looked up by id.

An entity has one id: the ids it has in other vocabularies, and those of records that were merged
into its own or made obsolete, lead to it (``canonical_id``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from medr_ray.core.records import Entity, EntityFrequency, NodeType
from medr_ray.core.run import Directory
from medr_ray.entities.form_patterns import read_lexicon
from medr_ray.knowledge.lexicon import Concept, normalise
from medr_ray.knowledge.name_normalization import fold_name


@dataclass(frozen=True)
class Node:
    """What a source other than the lexicon calls an entity."""

    entity_id: str
    name: str
    entity_type: NodeType
    aliases: tuple[str, ...]


class NodeSource(Protocol):
    """Where entities that are no concepts of the lexicon come from, such as registries."""

    def find_node(self, entity_id: str) -> Node | None:
        """The entity; None where the source does not have it."""
        ...


class Vocabulary:
    """Concepts by id and by name.

    Where several concepts of one type have the same name, the name stands for the smallest id.
    ``replaced`` maps merged and obsolete ids to the ids that are kept, as
    ``knowledge.hpo.Hpo.replacements`` does. ``nodes`` are asked for an id that no concept has.
    """

    def __init__(
        self,
        concepts: Iterable[Concept],
        replaced: Mapping[str, str] | None = None,
        nodes: NodeSource | None = None,
    ) -> None:
        self._nodes = nodes
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
        cls,
        entities: Directory,
        replaced: Mapping[str, str] | None = None,
        nodes: NodeSource | None = None,
    ) -> "Vocabulary":
        """The vocabulary of an ``entities`` directory."""
        return cls(read_lexicon(entities).values(), replaced, nodes)

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

    def __contains__(self, entity_id: object) -> bool:
        return entity_id in self.concepts or self._find_node(str(entity_id)) is not None

    def type_of(self, entity_id: str) -> NodeType:
        concept = self.concepts.get(entity_id)
        return concept.entity_type if concept else self._get_node(entity_id).entity_type

    def name_of(self, entity_id: str) -> str:
        concept = self.concepts.get(entity_id)
        return concept.name if concept else self._get_node(entity_id).name

    def other_ids_of(self, entity_id: str) -> tuple[str, ...]:
        """The ids that a concept has in other vocabularies."""
        concept = self.concepts.get(entity_id)
        return tuple(concept.xrefs) if concept else ()

    def _find_node(self, entity_id: str) -> Node | None:
        return self._nodes.find_node(entity_id) if self._nodes is not None else None

    def _get_node(self, entity_id: str) -> Node:
        """Raises KeyError for an entity that no source has."""
        node = self._find_node(entity_id)
        if node is None:
            raise KeyError(entity_id)
        return node

    def find_by_name(self, entity_type: NodeType, name: str) -> str | None:
        """The concept of that type with that preferred name, however it is written."""
        return self._by_name.get((entity_type, fold_name(name)))

    def build_entity(
        self, entity_id: str, frequency: EntityFrequency | None, is_seed: bool
    ) -> Entity:
        """The graph's node; the aliases of a concept are its other forms."""
        share = frequency.frequency if frequency else None
        concept = self.concepts.get(entity_id)
        if concept is None:
            node = self._get_node(entity_id)
            return Entity(entity_id, node.name, node.entity_type, node.aliases, "", share, is_seed)
        # Forms are normalised, so the preferred name may be among them in lower case.
        own_names = {concept.name, normalise(concept.name)}
        aliases = tuple(form for form in concept.forms if form not in own_names)
        return Entity(
            entity_id,
            concept.name,
            concept.entity_type,
            aliases,
            concept.specialty,
            share,
            is_seed,
        )
