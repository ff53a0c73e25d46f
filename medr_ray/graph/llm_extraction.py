"""The relation extractor over a language model: it proposes, the document and the vocabulary decide.

Kept are only relations between entities of the vocabulary that the document names, of the types the predicate asks for,
whose quoted sentence stands in the document word for word. Disease records are read by their wording, which needs no
model. A reply that cannot be read yields nothing for that document; an endpoint that cannot be reached
ends the stage (InfrastructureError).
"""

import asyncio
import re
from collections.abc import Collection
from importlib import resources
from string import Template
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, Field

from medr_ray.core.errors import ModelError
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction import Extraction, RulesExtractor, focused, is_withdrawn, relations_of
from medr_ray.graph.statements import Statement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.documents import HPO, Document

M = TypeVar("M", bound=BaseModel)


class StatedRelation(BaseModel):
    """One relation of the reply; names are those of the prompt's list."""

    subject: str
    predicate: str
    object: str
    temporal: str = ""
    spatial: str = ""
    clinical: str = ""
    confidence: float = Field(ge=0, le=1)
    sentence: str


class ExtractionReply(BaseModel):
    """What the model is to reply."""

    relations: list[StatedRelation]


class JsonClient(Protocol):
    """The part of ``llm.client.ChatClient`` that is used here."""

    async def complete_json(self, messages: list[dict[str, str]], model: type[M]) -> M:
        """The reply as ``model``; raises ModelError when it cannot be read as one."""
        ...


class LLMExtractor:
    """Relations of abstracts in a model's reading. ``unreadable`` counts replies that were no valid JSON."""

    def __init__(self, client: JsonClient, model: str, vocabulary: Vocabulary, matcher: Matcher,
                 records: RulesExtractor) -> None:
        self.name, self.unreadable = model, 0
        self._client, self._vocabulary, self._matcher, self._records = client, vocabulary, matcher, records
        text = resources.files("medr_ray.graph").joinpath("prompts", "extraction.txt").read_text("utf-8")
        self._prompt = Template(text)

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        if document.source == HPO:
            return self._records.extract(document, focus)
        names = {} if is_withdrawn(document) else self._names(document)
        if len(names) < 2:
            return Extraction(tuple(sorted(names.values())), ())
        statements = [one for stated in self._ask(document, names) if (one := _checked(stated, document, names))]
        relations = relations_of(document, statements, self._vocabulary, self.name)
        return Extraction(tuple(sorted(names.values())), focused(relations, focus))

    def _names(self, document: Document) -> dict[str, str]:
        """Ids of the concepts the document mentions, by preferred name."""
        ids = {one.concept_id for one in self._matcher.find(document.text) if one.concept_id in self._vocabulary}
        return {self._vocabulary.name_of(one): one for one in sorted(ids, reverse=True)}

    def _ask(self, document: Document, names: dict[str, str]) -> list[StatedRelation]:
        messages = [{"role": "user", "content": self.prompt(document, names)}]
        try:
            return asyncio.run(self._client.complete_json(messages, ExtractionReply)).relations
        except ModelError:
            self.unreadable += 1
            return []

    def prompt(self, document: Document, names: dict[str, str]) -> str:
        """The message sent for one document."""
        predicates = "\n".join(f"- {one.name}: {one.subject_type} -> {one.object_type}" for one in PREDICATES.values())
        listed = "\n".join(f"- {name} ({self._vocabulary.type_of(one)})" for name, one in sorted(names.items()))
        return self._prompt.substitute(predicates=predicates, names=listed, text=document.text)


def _checked(stated: StatedRelation, document: Document, names: dict[str, str]) -> Statement | None:
    """The statement, or None when it names something unlisted or quotes a sentence the document does not hold."""
    span = find_quote(document.text, stated.sentence)
    if span is None or stated.predicate not in PREDICATES or stated.subject not in names or stated.object not in names:
        return None
    values: dict[str, Any] = stated.model_dump(include={"temporal", "spatial", "clinical", "confidence"})
    return Statement(subject=names[stated.subject], predicate=stated.predicate, object=names[stated.object],
                     start=span[0], end=span[1], reference="", **values)


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Where ``quote`` stands in ``text``, white space aside; None when it does not or is empty."""
    words = quote.split()
    match = re.search(r"\s+".join(map(re.escape, words)), text) if words else None
    return match.span() if match else None
