"""Checking what a model says a document states against the document itself.

What holds: a statement that passes quotes the document word for word, whole sentences that name
both of its ends and deny nothing between them; its qualifiers are words of the document. Every
statement that does not pass, and every qualifier that is left out, comes with a kind and what
exactly was wrong.
"""

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, field_validator

from medr_ray.core.records import EntityType
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.assertion import DENIED, certainty
from medr_ray.graph.extraction.linking import Linker
from medr_ray.graph.extraction.statements import Statement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import PREDICATES, Predicate
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import Span

FAILURES, UNREADABLE = (
    "failures",
    "unreadable",
)  # the name of the stage's list, and the kind for a whole document
_SENTENCES = 2  # a quote may span: the statement and the sentence it leans on
_CONTEXTS = ("temporal", "spatial", "clinical")
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,40}\b(?:instructions?|prompts?|rules|above|previous)\b"
    r"|\byou are (?:now )?an? (?:\w+ )?(?:ai|assistant|language model|chatbot)\b|\bsystem prompt\b"
    r"|\b(?:reply|respond|answer) (?:only )?with\b|[\"'](?:relations|subject|predicate|object|sentence)[\"']\s*:",
    re.IGNORECASE,
)


class StatedRelation(BaseModel):
    """One relation as a model states it."""

    subject: str
    predicate: str
    object: str
    temporal: str = ""
    spatial: str = ""
    clinical: str = ""
    confidence: float
    sentence: str

    @field_validator(*_CONTEXTS, mode="before")
    @classmethod
    def _nothing_said(cls, value: Any) -> Any:
        return "" if value is None else value


@dataclass(frozen=True, order=True)
class Failure:
    """Something of a document that did not become a relation. ``kind``: "unreadable" (the whole
    reply), "malformed" (an item that is no relation), "predicate", "confidence", "quote",
    "instruction", "name", "type", "unnamed", "denied" (a dropped relation) or "context" (a dropped
    qualifier). ``detail`` says what was wrong, and with what."""

    document_id: str
    kind: str
    detail: str


class _Dropped(Exception):
    """The statement does not hold: a kind and a detail."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


@dataclass(frozen=True)
class _End:
    """An end of a statement, and where the quote names it."""

    concept_id: str
    spans: tuple[Span, ...]


class Page:
    """A document with what the vocabulary knows of it."""

    def __init__(
        self, document: Document, vocabulary: Vocabulary, matcher: Matcher, linker: Linker
    ) -> None:
        self.document = document
        self._vocabulary, self._linker = vocabulary, linker
        self._mentions = [
            one for one in matcher.find(document.text) if one.concept_id in vocabulary
        ]

    @functools.cached_property
    def entities(self) -> frozenset[str]:
        """Ids of the concepts the document mentions."""
        return frozenset(one.concept_id for one in self._mentions)

    def check(self, stated: StatedRelation) -> tuple[Statement | None, list[Failure]]:
        """The statement, less sure where the sentence hedges it, or None where it does not hold;
        and what is wrong."""
        try:
            predicate = _well_formed(stated)
            quote = self._quote(stated.sentence)
            subject = self._end(stated.subject, predicate.subject_type, quote)
            obj = self._end(stated.object, predicate.object_type, quote)
            confidence = round(stated.confidence * self._certainty(subject, obj, quote), 3)
            contexts, missing = self._contexts(stated, predicate)
        except _Dropped as problem:
            return None, [self._failure(problem.kind, problem.detail, stated)]
        first, second = subject.concept_id, obj.concept_id
        if predicate.symmetric:
            first, second = sorted((first, second))
        statement = Statement(
            first,
            predicate.name,
            second,
            **contexts,
            confidence=confidence,
            start=quote[0],
            end=quote[1],
            reference="",
        )
        return statement, [self._failure("context", one, stated) for one in missing]

    def _failure(self, kind: str, detail: str, stated: StatedRelation) -> Failure:
        return Failure(self.document.document_id, kind, f"{detail}; in {stated.model_dump_json()}")

    def _quote(self, sentence: str) -> Span:
        """The whole sentences that hold the quote."""
        found = find_quote(self.document.text, sentence)
        if found is None:
            raise _Dropped("quote", "the document holds no such sentence")
        held = [span for span in self.document.spans if span[1] > found[0] and span[0] < found[1]]
        if len(held) > _SENTENCES:
            raise _Dropped("quote", f"the quote runs over {len(held)} sentences")
        start, end = held[0][0], held[-1][1]
        if is_instruction(self.document.text[start:end]):
            raise _Dropped("instruction", "the sentence speaks to its reader")
        return start, end

    def _end(self, name: str, entity_type: EntityType, quote: Span) -> _End:
        """The concept that ``name`` means in the quote."""
        worded = tuple(self._wordings(name, quote))
        concept_id = self._linker.known(name, self.entities, entity_type)
        if concept_id is None and (other := self._linker.known(name, self.entities)) is not None:
            raise _Dropped(
                "type", f'"{name}" is a {self._vocabulary.type_of(other)}, not a {entity_type}'
            )
        if concept_id is None and worded:
            concept_id = self._linker.similar(name, self.entities, entity_type)
        if concept_id is None:
            raise _Dropped("name", f'"{name}" is no {entity_type} of the vocabulary')
        mentioned = tuple(
            (one.start, one.end)
            for one in self._mentions
            if one.concept_id == concept_id and quote[0] <= one.start and one.end <= quote[1]
        )
        if not (mentioned or worded):
            raise _Dropped("unnamed", f'the sentence does not name "{name}"')
        return _End(concept_id, mentioned or worded)

    def _wordings(self, name: str, quote: Span) -> Iterator[Span]:
        """Where the quote holds the words of ``name`` and they are no piece of a longer name of
        something."""
        for start, end in occurrences(self.document.text, name, *quote):
            longer = (one for one in self._mentions if one.start <= start and end <= one.end)
            if all((one.start, one.end) == (start, end) for one in longer):
                yield start, end

    def _certainty(self, subject: _End, obj: _End, quote: Span) -> float:
        """How sure the words around the two nearest namings are of what is said of them."""
        if subject.concept_id == obj.concept_id:
            raise _Dropped("name", "both ends are the same concept")
        pairs = [sorted(pair) for pair in itertools.product(subject.spans, obj.spans)]
        left, right = min(pairs, key=lambda pair: (pair[1][1] - pair[0][0], pair))
        start, end = quote
        factor = certainty(
            self.document.text[start:end],
            (left[0] - start, left[1] - start),
            (right[0] - start, right[1] - start),
            named=False,
        )
        if factor == DENIED:
            raise _Dropped("denied", "the sentence denies it")
        return factor

    def _contexts(
        self, stated: StatedRelation, predicate: Predicate
    ) -> tuple[dict[str, str], list[str]]:
        """The qualifiers that are words of the document, others as "", and what was left out."""
        said = {name: " ".join(getattr(stated, name).split()) for name in _CONTEXTS}
        held = {
            name: value if find_quote(self.document.text, value) else ""
            for name, value in said.items()
        }
        missing = [
            f'the document does not say {name} "{value}"'
            for name, value in said.items()
            if value != held[name]
        ]
        if predicate.prints_clinical(forward=True) and not held["clinical"]:
            raise _Dropped("context", f"{predicate.name} must say in how many of whom")
        return held, missing


def _well_formed(stated: StatedRelation) -> Predicate:
    if stated.predicate not in PREDICATES:
        raise _Dropped("predicate", f'there is no predicate "{stated.predicate}"')
    if not 0 <= stated.confidence <= 1:  # neither is "not a number"
        raise _Dropped("confidence", f"{stated.confidence} is no confidence")
    return PREDICATES[stated.predicate]


def find_quote(text: str, quote: str) -> Span | None:
    """Where ``quote`` stands in ``text``, white space aside; None when it does not or is empty."""
    words = quote.split()
    match = re.search(r"\s+".join(map(re.escape, words)), text) if words else None
    return match.span() if match else None


def occurrences(text: str, name: str, start: int, end: int) -> Iterator[Span]:
    """Where ``name`` stands in ``text[start:end]`` as whole words, white space and case aside."""
    words = name.split()
    if words:
        pattern = re.compile(
            r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)", re.IGNORECASE
        )
        yield from (match.span() for match in pattern.finditer(text, start, end))


def is_instruction(sentence: str) -> bool:
    """Whether a sentence tells its reader what to reply, as no report of a finding does."""
    return _INSTRUCTION.search(sentence) is not None
