"""The relation extractor with a language model: the model proposes relations, and the document and
the vocabulary decide which are kept.

Guaranteed: a relation is kept only if the document contains the quoted sentence word for word, the
sentence names both ends (as the vocabulary does, or in the model's wording), the ends have the
types that the predicate requires, and nothing between them denies it. Everything else becomes an
``ExtractionFailure`` with its reason. So does a document whose reply stays unreadable after a
second request. The text of a document never becomes an instruction. Disease records are read by
their wording, without a model. An endpoint that cannot be reached ends the stage
(InfrastructureError).
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.core.records import Relation
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.extractor import (
    Extraction,
    RulesExtractor,
    build_relations,
    filter_by_focus,
    is_withdrawn,
)
from medr_ray.graph.extraction.grounding import (
    DocumentChecker,
    ExtractionFailure,
    StatedRelation,
)
from medr_ray.graph.extraction.linking import Linker
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import TEXT_PREDICATES
from medr_ray.llm.roles import JsonClient
from medr_ray.retrieval.documents import HPO, Document

TOKENS_PER_RELATION = 110  # in a reply, on the high side
# Readings that are kept, because an expansion returns to documents that were read before.
_MAX_READINGS = 4096


class ExtractionReply(BaseModel):
    """The reply that the prompt requests.

    Items are validated one by one, so that a malformed item does not invalidate the others.
    ``malformed`` describes these items. A reply in which all items are malformed is invalid.
    """

    relations: list[StatedRelation]
    malformed: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _separate_malformed(cls, value: Any) -> Any:
        items = value.get("relations") if isinstance(value, dict) else None
        if not isinstance(items, list):
            return value
        relations = []
        malformed = []
        for item in items:
            problem = _explain_misfit(item)
            if problem:
                malformed.append(f"{problem} in {item!r}")
            else:
                relations.append(item)
        # Returned as it is: the validation errors of the items make the client ask again.
        if items and not relations:
            return value
        return {"relations": relations, "malformed": malformed}


def _explain_misfit(item: Any) -> str:
    """Why an item is not a valid relation; "" when it is."""
    try:
        StatedRelation.model_validate(item)
    except ValidationError as error:
        problems = []
        for detail in error.errors():
            place = ".".join(map(str, detail["loc"])) or "relation"
            problems.append(f"{place}: {detail['msg']}")
        return "; ".join(problems)
    return ""


@dataclass(frozen=True)
class DocumentReading:
    """The result of reading one document."""

    entities: tuple[str, ...]
    relations: tuple[Relation, ...] = ()
    failures: tuple[ExtractionFailure, ...] = ()


def list_predicates() -> str:
    """The predicates that sentences state, one a line, as the prompt lists them."""
    return "\n".join(
        f"- {predicate.name}: {predicate.describe()}" for predicate in TEXT_PREDICATES.values()
    )


class LLMExtractor:
    """Extracts relations with the model ``model`` behind ``client``, at most ``max_relations`` from
    each document.

    A document is sent to the model once, however often its relations are requested. The documents
    of one call of ``prepare`` are read concurrently. The prompt is in English whatever the
    document: entities are found by their English names, and a document without two of them is not
    sent.
    """

    def __init__(
        self,
        client: JsonClient,
        model: str,
        vocabulary: Vocabulary,
        matcher: Matcher,
        records: RulesExtractor,
        linker: Linker | None = None,
        max_relations: int = 8,
    ) -> None:
        self.name = model
        self._client = client
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._records = records
        self._linker = linker or Linker(vocabulary, matcher)
        self._max_relations = max_relations
        self._prompt = Template(read_prompt("medr_ray.graph", "extraction"))
        self._readings: dict[str, DocumentReading] = {}
        self._used: dict[str, DocumentReading] = {}  # since the last ``take_failures``

    def prepare(self, documents: Iterable[Document]) -> None:
        """Read the documents that were not read yet, concurrently within the governor's limits.

        Raises InfrastructureError when the endpoint stays unreachable, BudgetExceeded when the
        budget is spent.
        """
        unread = {
            document.document_id: document
            for document in documents
            if document.source != HPO and document.document_id not in self._readings
        }
        if unread:
            readings = asyncio.run(self._read_documents(list(unread.values())))
            self._readings |= zip(unread, readings, strict=True)

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        """The document's relations, only those that touch an entity of ``focus`` where it is
        given."""
        if document.source == HPO:
            return self._records.extract(document, focus)
        if document.document_id not in self._readings:
            self.prepare([document])
        reading = self._readings[document.document_id]
        self._used[document.document_id] = reading
        return Extraction(reading.entities, filter_by_focus(reading.relations, focus))

    def take_failures(self) -> list[ExtractionFailure]:
        """The failures of the documents used since the last call, sorted, each once. All but the
        latest readings are dropped."""
        failures: set[ExtractionFailure] = set()
        for reading in self._used.values():
            failures.update(reading.failures)
        self._used = {}
        # A dict keeps the order of insertion, so the last items are the latest readings.
        self._readings = dict(list(self._readings.items())[-_MAX_READINGS:])
        return sorted(failures)

    async def _read_documents(self, documents: Sequence[Document]) -> list[DocumentReading]:
        return list(await asyncio.gather(*map(self._read_document, documents)))

    async def _read_document(self, document: Document) -> DocumentReading:
        checker = DocumentChecker(document, self._vocabulary, self._matcher, self._linker)
        entities = () if is_withdrawn(document) else tuple(sorted(checker.entities))
        # A relation has two ends, so with fewer than two entities no request is needed.
        if len(entities) < 2:
            return DocumentReading(entities)
        prompt = self.build_prompt(document, entities)
        try:
            reply = await self._client.complete_json(
                [{"role": "user", "content": prompt}], ExtractionReply
            )
        except ModelError as error:
            failure = ExtractionFailure(document.document_id, "unreadable", str(error))
            return DocumentReading(entities, failures=(failure,))
        return self._check_reply(document, checker, entities, reply)

    def _check_reply(
        self,
        document: Document,
        checker: DocumentChecker,
        entities: tuple[str, ...],
        reply: ExtractionReply,
    ) -> DocumentReading:
        failures = [
            ExtractionFailure(document.document_id, "malformed", detail)
            for detail in reply.malformed
        ]
        statements = []
        for stated_relation in reply.relations:
            statement, problems = checker.check_relation(stated_relation)
            failures += problems
            if statement is not None:
                statements.append(statement)
        relations = build_relations(document, statements, self._vocabulary, self.name)
        return DocumentReading(entities, tuple(relations), tuple(failures))

    def build_prompt(self, document: Document, entities: Collection[str]) -> str:
        """The prompt for one document that names ``entities``."""
        name_lines = sorted(
            f"- {self._vocabulary.name_of(entity)} ({self._vocabulary.type_of(entity)})"
            for entity in entities
        )
        return self._prompt.substitute(
            predicates=list_predicates(),
            names="\n".join(name_lines),
            text=document.text,
            most=self._max_relations,
            fence=build_fence(document.text),
        )
