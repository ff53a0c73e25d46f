"""The relation extractor over a language model: it proposes, the document and the vocabulary
decide.

What holds: a relation is kept only if the document has the quoted sentence word for word, the
sentence names both ends (as the vocabulary does, or in the model's own wording), the ends have the
types the predicate asks for, and nothing between them denies it. Whatever is not kept is a
``Failure`` with its reason, and so is a document whose reply cannot be read even after it was asked
for again. Text of a document never becomes an instruction. Disease records are read by their
wording, which needs no model. An endpoint that cannot be reached ends the stage
(InfrastructureError).
"""

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Relation
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.extractor import (
    Extraction,
    RulesExtractor,
    focused,
    is_withdrawn,
    relations_of,
)
from medr_ray.graph.extraction.grounding import UNREADABLE, Failure, Page, StatedRelation
from medr_ray.graph.extraction.linking import Linker
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.llm.roles import JsonClient
from medr_ray.retrieval.documents import HPO, Document

RELATION_TOKENS = 110  # of one relation in a reply, on the high side
_KEPT = 4096  # documents whose reading is remembered: an expansion comes back to what it has read


class ExtractionReply(BaseModel):
    """What the model is to reply. Items are read one by one, so that one that is no relation spoils
    no other: ``malformed`` says what was wrong with those. A reply of nothing else is no reply."""

    relations: list[StatedRelation]
    malformed: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _one_by_one(cls, value: Any) -> Any:
        items = value.get("relations") if isinstance(value, dict) else None
        if not isinstance(items, list):
            return value
        problems = {
            number: problem for number, one in enumerate(items) if (problem := _misfit(one))
        }
        if items and len(problems) == len(items):
            return value
        return {
            "relations": [one for number, one in enumerate(items) if number not in problems],
            "malformed": [
                f"{problem} in {items[number]!r}" for number, problem in problems.items()
            ],
        }


def _misfit(item: Any) -> str:
    """Why an item is no relation, or ""."""
    try:
        StatedRelation.model_validate(item)
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'relation'}: {one['msg']}"
            for one in error.errors()
        )
    return ""


@dataclass(frozen=True)
class Reading:
    """All that came of one document."""

    entities: tuple[str, ...]
    relations: tuple[Relation, ...] = ()
    failures: tuple[Failure, ...] = ()


class LLMExtractor:
    """Relations of documents in the reading of ``model`` behind ``client``, at most ``most`` of
    each. A document is asked about once, however often it is extracted from; those of one
    ``prepare`` are asked about side by side."""

    def __init__(
        self,
        client: JsonClient,
        model: str,
        vocabulary: Vocabulary,
        matcher: Matcher,
        records: RulesExtractor,
        linker: Linker | None = None,
        most: int = 8,
    ) -> None:
        self.name, self._most = model, most
        self._client, self._vocabulary, self._matcher, self._records = (
            client,
            vocabulary,
            matcher,
            records,
        )
        self._linker = linker or Linker(vocabulary, matcher)
        self._prompt = Template(read_prompt("medr_ray.graph", "extraction"))
        self._readings: dict[str, Reading] = {}
        self._used: dict[str, Reading] = {}

    def prepare(self, documents: Iterable[Document]) -> None:
        """Read those of the documents that were not read yet, all at once under the governor.

        Raises InfrastructureError when the endpoint stays unreachable, BudgetExceeded when the
        budget is spent.
        """
        waiting = {
            one.document_id: one
            for one in documents
            if one.source != HPO and one.document_id not in self._readings
        }
        if waiting:
            readings = asyncio.run(self._read_all(list(waiting.values())))
            self._readings |= zip(waiting, readings, strict=True)

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        """The document's relations, only those that touch an entity of ``focus`` where it is
        given."""
        if document.source == HPO:
            return self._records.extract(document, focus)
        if document.document_id not in self._readings:
            self.prepare([document])
        reading = self._used[document.document_id] = self._readings[document.document_id]
        return Extraction(reading.entities, focused(reading.relations, focus))

    def take_failures(self) -> list[Failure]:
        """What was lost of the documents extracted from since the last call, sorted, each once; and
        forget all but the latest readings."""
        failures = sorted(
            {failure for reading in self._used.values() for failure in reading.failures}
        )
        self._used = {}
        self._readings = dict(list(self._readings.items())[-_KEPT:])
        return failures

    async def _read_all(self, documents: Sequence[Document]) -> list[Reading]:
        return list(await asyncio.gather(*map(self._read, documents)))

    async def _read(self, document: Document) -> Reading:
        page = Page(document, self._vocabulary, self._matcher, self._linker)
        entities = () if is_withdrawn(document) else tuple(sorted(page.entities))
        if len(entities) < 2:
            return Reading(entities)
        try:
            reply = await self._client.complete_json(
                [{"role": "user", "content": self.prompt(document, entities)}], ExtractionReply
            )
        except ModelError as error:
            return Reading(entities, (), (Failure(document.document_id, UNREADABLE, str(error)),))
        checked = [page.check(one) for one in reply.relations]
        failures = [Failure(document.document_id, "malformed", one) for one in reply.malformed]
        failures += [failure for _, problems in checked for failure in problems]
        statements = [statement for statement, _ in checked if statement is not None]
        relations = relations_of(document, statements, self._vocabulary, self.name)
        return Reading(entities, tuple(relations), tuple(failures))

    def prompt(self, document: Document, entities: Collection[str]) -> str:
        """The message sent for one document that names ``entities``."""
        predicates = "\n".join(
            f"- {one.name}: {one.subject_type} -> {one.object_type}" for one in PREDICATES.values()
        )
        listed = sorted(
            f"- {self._vocabulary.name_of(one)} ({self._vocabulary.type_of(one)})"
            for one in entities
        )
        fence = f"===== {hashlib.sha256(document.text.encode()).hexdigest()[:12]} ====="  # no text can hold its own
        return self._prompt.substitute(
            predicates=predicates,
            names="\n".join(listed),
            text=document.text,
            most=self._most,
            fence=fence,
        )
