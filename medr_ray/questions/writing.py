"""Paths put into words: the start is named (or described), everything on the way only by what leads to it.

Both writers are given whole batches and answer in order. The rules writer nests the predicates' own phrases; the
``llm`` writer (``model_writing``) may word them freely, and its text passes the same verification.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from medr_ray.core.errors import DataError
from medr_ray.core.records import Entity
from medr_ray.knowledge.predicates import GENE, PREDICATES
from medr_ray.questions.obfuscation import Description
from medr_ray.questions.paths import Hop, Path


@dataclass(frozen=True)
class Draft:
    """What a writer is asked to word: the path, and the start's description where it is not to be named."""

    path: Path
    description: Description | None = None


@dataclass(frozen=True)
class Written:
    """A writer's result: the question, or "" with the problem that kept it from being written."""

    text: str
    problem: str = ""


class QuestionWriter(Protocol):
    """The question writer's role."""

    name: str

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        """A question for each draft, in order; what a model could not word comes back with its problem."""
        ...


class EnglishRules:
    """Nested noun phrases in English: "What is the mode of inheritance of the disease associated with …?"."""

    name = "rules"

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        return [Written(f"What is {self.noun_phrase(draft)}?") for draft in drafts]

    def noun_phrase(self, draft: Draft) -> str:
        """What the answer is, as "the … of the … of <start>"."""
        words = self._start(draft)
        for hop in draft.path.hops:
            predicate = PREDICATES[hop.predicate]
            words = (predicate.name_object if hop.forward else predicate.name_subject)(words, hop.clinical)
            words = f"the {'other ' if hop.other else ''}{words}"
        return words

    def _start(self, draft: Draft) -> str:
        if draft.description is not None:
            return draft.description.english(self._entities)
        entity = self._entities[draft.path.start]
        return f"the gene {entity.name}" if entity.entity_type == GENE else entity.name


class ChineseRules:
    """The same nesting in Chinese; names stay as the documents print them. Wording: ``wording_zh.json``."""

    name = "rules"

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities
        self._wording = json.loads(resources.files("medr_ray.questions").joinpath("wording_zh.json").read_text("utf-8"))

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        return [Written(f"{self.noun_phrase(draft)}是什么？") for draft in drafts]

    def noun_phrase(self, draft: Draft) -> str:
        words = self._start(draft)
        for hop in draft.path.hops:
            words = self._phrase(hop).format(
                known=words, clinical=_chinese_share(hop.clinical), other="另一种" if hop.other else "")
        return words

    def _start(self, draft: Draft) -> str:
        if draft.description is not None:
            return draft.description.chinese(self._entities, _chinese_share)
        entity = self._entities[draft.path.start]
        return f"基因{entity.name}" if entity.entity_type == GENE else entity.name

    def _phrase(self, hop: Hop) -> str:
        phrase = self._wording.get(hop.directed_predicate)
        if phrase is None:
            raise DataError(f"wording_zh.json has no phrase for {hop.directed_predicate}: add one")
        return str(phrase)


def _chinese_share(clinical: str) -> str:
    """ "3 of 7 patients" as "7名患者中3名", "45% of patients" as "45%的患者", "all patients" as "所有患者"."""
    counts = re.fullmatch(r"(\d+) of (\d+) patients?", clinical)
    if counts:
        return f"{counts[2]}名患者中{counts[1]}名"
    return clinical.replace("all patients", "所有患者").replace("% of patients", "%的患者")


def rules_writer(language: str, entities: Mapping[str, Entity]) -> EnglishRules | ChineseRules:
    """The rules writer of a language, "en" or "zh"."""
    return ChineseRules(entities) if language == "zh" else EnglishRules(entities)
