"""The accepted names of a path's answer: those of an entity, or the spellings of a share of
patients."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Entity
from medr_ray.questions.drafting.question_paths import QuestionPath

SHARE_ANSWER_TYPE = "share"


@dataclass(frozen=True)
class AcceptedAnswer:
    """The answer's name, its other accepted names, and its type (an entity's, or "share")."""

    name: str
    aliases: tuple[str, ...]
    answer_type: str

    @property
    def names(self) -> tuple[str, ...]:
        """All accepted names, the answer's own name first."""
        return (self.name, *self.aliases)


def resolve_answer(path: QuestionPath, entities: Mapping[str, Entity]) -> AcceptedAnswer:
    """The answer to what the path asks."""
    if path.asked == "share":
        clinical = path.about[0].clinical
        return AcceptedAnswer(clinical, list_share_spellings(clinical), SHARE_ANSWER_TYPE)
    entity = entities[path.answer]
    return AcceptedAnswer(
        entity.name,
        tuple(name for name in list_entity_names(entity) if name != entity.name),
        entity.entity_type,
    )


def list_entity_names(entity: Entity) -> tuple[str, ...]:
    """The entity's name and aliases; a mode of inheritance also without the word "inheritance"."""
    names: Sequence[str] = (entity.name, *entity.aliases)
    short_names = [
        name.removesuffix(" inheritance") for name in names if name.endswith(" inheritance")
    ]
    # A dict removes repeated names and keeps their order: the entity's own name stays first.
    return tuple(dict.fromkeys((*names, *short_names)))


def list_share_spellings(clinical: str) -> tuple[str, ...]:
    """Other spellings of "3 of 7 patients", "45% of patients" and "all patients"."""
    if counted := re.fullmatch(r"(\d+) of (\d+) patients?", clinical):
        return (
            f"{counted[1]} of {counted[2]}",
            f"{counted[1]}/{counted[2]}",
            f"{counted[1]} out of {counted[2]}",
        )
    if clinical == "all patients":
        return "all", "100%", "100% of patients"
    return (clinical.removesuffix(" of patients"),)
