"""Checks the relations that a model reads in a document against the document itself.

Guaranteed: a relation that passes quotes whole sentences of the document word for word, and these
name both of its ends and do not deny it. Its qualifiers are words of the document. Every relation
that is dropped, and every qualifier that is left out, comes with a kind of failure and a detailed
reason.
"""

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from medr_ray.core.records import NodeType
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.assertion import DENIED, compute_assertion_factor
from medr_ray.graph.extraction.linking import Linker
from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.predicates import TEXT_PREDICATES, Predicate
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import Span

FailureKind = Literal[
    "unreadable",  # the whole reply
    "malformed",  # an item that is not a relation
    # dropped relations
    "predicate",
    "confidence",
    "quote",
    "instruction",
    "name",
    "type",
    "unnamed",
    "denied",
    "context",  # a dropped qualifier, or a relation dropped for lack of it
]

FAILURES = "failures"  # the name of the stage's list
_MAX_QUOTED_SENTENCES = 2  # the statement, and a sentence before it that it refers to
_CONFIDENCE_DIGITS = 3
_CONTEXT_FIELDS = ("temporal", "spatial", "clinical")
_PART_SEPARATOR = "; "  # as in ``contexts``
_CONTEXT_WORD = re.compile(r"^(?:in|at|as|versus|trial) ")
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,40}"
    r"\b(?:instructions?|prompts?|rules|above|previous)\b"
    r"|\byou are (?:now )?an? (?:\w+ )?(?:ai|assistant|language model|chatbot)\b|\bsystem prompt\b"
    r"|\b(?:reply|respond|answer) (?:only )?with\b"
    r"|[\"'](?:relations|subject|predicate|object|sentence)[\"']\s*:",
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

    @field_validator(*_CONTEXT_FIELDS, mode="before")
    @classmethod
    def _read_null_as_empty(cls, value: Any) -> Any:
        return "" if value is None else value


@dataclass(frozen=True, order=True)
class ExtractionFailure:
    """A part of a document or reply that did not become a relation. ``detail`` says what was wrong
    and quotes it."""

    document_id: str
    kind: str  # FailureKind; stored as text
    detail: str


class _StatementDropped(Exception):
    """The document does not support the statement."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class _StatementEnd:
    """An end of a statement, and where the quote names it."""

    concept_id: str
    spans: tuple[Span, ...]


class DocumentChecker:
    """Checks statements against one document."""

    def __init__(
        self, document: Document, vocabulary: Vocabulary, matcher: Matcher, linker: Linker
    ) -> None:
        self.document = document
        self._vocabulary = vocabulary
        self._linker = linker
        self._mentions = [
            mention
            for mention in matcher.find_mentions(document.text)
            if mention.concept_id in vocabulary
        ]

    @functools.cached_property
    def entities(self) -> frozenset[str]:
        """Ids of the concepts the document mentions."""
        return frozenset(mention.concept_id for mention in self._mentions)

    def check_relation(
        self, stated: StatedRelation
    ) -> tuple[RelationStatement | None, list[ExtractionFailure]]:
        """The statement, or None where the document does not support it, and the failures.

        The confidence is lower where the sentence hedges the relation.
        """
        try:
            predicate = _check_form(stated)
            start, end = quote = self._find_sentences(stated.sentence)
            subject = self._find_end(stated.subject, predicate.subject_type, quote)
            obj = self._find_end(stated.object, predicate.object_type, quote)
            factor = self._compute_assertion_factor(subject, obj, quote)
            contexts, missing = self._check_contexts(stated, predicate)
        except _StatementDropped as problem:
            return None, [self._build_failure(problem.kind, problem.detail, stated)]
        subject_id = subject.concept_id
        object_id = obj.concept_id
        if predicate.symmetric:
            subject_id, object_id = sorted((subject_id, object_id))
        statement = RelationStatement(
            subject_id,
            predicate.name,
            object_id,
            **contexts,
            confidence=round(stated.confidence * factor, _CONFIDENCE_DIGITS),
            start=start,
            end=end,
            reference="",
        )
        return statement, [self._build_failure("context", detail, stated) for detail in missing]

    def _build_failure(
        self, kind: FailureKind, detail: str, stated: StatedRelation
    ) -> ExtractionFailure:
        text = f"{detail}; in {stated.model_dump_json()}"
        return ExtractionFailure(self.document.document_id, kind, text)

    def _find_sentences(self, quote: str) -> Span:
        """The whole sentences that contain the quote."""
        span = find_quote(self.document.text, quote)
        if span is None:
            raise _StatementDropped("quote", "the document holds no such sentence")
        sentences = [
            (start, end) for start, end in self.document.spans if end > span[0] and start < span[1]
        ]
        if len(sentences) > _MAX_QUOTED_SENTENCES:
            raise _StatementDropped("quote", f"the quote runs over {len(sentences)} sentences")
        start = sentences[0][0]
        end = sentences[-1][1]
        if is_instruction(self.document.text[start:end]):
            raise _StatementDropped("instruction", "the sentence speaks to its reader")
        return start, end

    def _find_end(self, name: str, entity_type: NodeType, quote: Span) -> _StatementEnd:
        """The concept that ``name`` means in the quote, with the places where the quote names
        it."""
        wordings = tuple(self._find_wordings(name, quote))
        concept_id = self._link_name(name, entity_type, is_worded=bool(wordings))
        mentions = tuple(
            (mention.start, mention.end)
            for mention in self._mentions
            if mention.concept_id == concept_id
            and quote[0] <= mention.start
            and mention.end <= quote[1]
        )
        # The quote may name the concept by another form, or by the model's wording alone.
        if not (mentions or wordings):
            raise _StatementDropped("unnamed", f'the sentence does not name "{name}"')
        return _StatementEnd(concept_id, mentions or wordings)

    def _link_name(self, name: str, entity_type: NodeType, is_worded: bool) -> str:
        """The concept of that type with that name.

        A name that is only similar must be in the quote (``is_worded``), because nothing else
        connects it with the document.
        """
        concept_id = self._linker.find_by_name(name, self.entities, entity_type)
        if concept_id is not None:
            return concept_id
        # A name of another type is an error of the model, and never a matter of similarity.
        other = self._linker.find_by_name(name, self.entities)
        if other is not None:
            other_type = self._vocabulary.type_of(other)
            raise _StatementDropped("type", f'"{name}" is a {other_type}, not a {entity_type}')
        if is_worded:
            concept_id = self._linker.find_similar(name, self.entities, entity_type)
        if concept_id is None:
            raise _StatementDropped("name", f'"{name}" is no {entity_type} of the vocabulary')
        return concept_id

    def _find_wordings(self, name: str, quote: Span) -> Iterator[Span]:
        """The places where the quote contains ``name``, except those inside a longer name."""
        for start, end in find_occurrences(self.document.text, name, *quote):
            around = (
                mention
                for mention in self._mentions
                if mention.start <= start and end <= mention.end
            )
            if all((mention.start, mention.end) == (start, end) for mention in around):
                yield start, end

    def _compute_assertion_factor(
        self, subject: _StatementEnd, obj: _StatementEnd, quote: Span
    ) -> float:
        """The assertion factor of the quote for the two places of the ends that are nearest to each
        other."""
        if subject.concept_id == obj.concept_id:
            raise _StatementDropped("name", "both ends are the same concept")
        pairs = [sorted(pair) for pair in itertools.product(subject.spans, obj.spans)]
        left, right = min(pairs, key=lambda pair: (pair[1][1] - pair[0][0], pair))
        start, end = quote
        factor = compute_assertion_factor(
            self.document.text[start:end],
            (left[0] - start, left[1] - start),
            (right[0] - start, right[1] - start),
        )
        if factor == DENIED:
            raise _StatementDropped("denied", "the sentence denies it")
        return factor

    def _check_contexts(
        self, stated: StatedRelation, predicate: Predicate
    ) -> tuple[dict[str, str], list[str]]:
        """The qualifiers that are words of the document (the others as ""), and the reasons why
        others were left out."""
        contexts = {}
        missing = []
        for name in _CONTEXT_FIELDS:
            stated_parts = " ".join(getattr(stated, name).split()).split(_PART_SEPARATOR)
            parts = [part for part in stated_parts if part and self._says(name, part)]
            missing += [
                f'the document does not say {name} "{part}"'
                for part in stated_parts
                if part and part not in parts
            ]
            contexts[name] = _PART_SEPARATOR.join(parts)
        if predicate.prints_clinical(forward=True) and not contexts["clinical"]:
            raise _StatementDropped("context", f"{predicate.name} must say in how many of whom")
        return contexts, missing

    def _says(self, name: str, part: str) -> bool:
        """Whether the document has the words of a part of a context. A clinical one may begin with
        a word that only says what kind of part it is."""
        words = _CONTEXT_WORD.sub("", part) if name == "clinical" else part
        return any(find_quote(self.document.text, quote) for quote in (part, words))


def _check_form(stated: StatedRelation) -> Predicate:
    if stated.predicate not in TEXT_PREDICATES:
        raise _StatementDropped("predicate", f'there is no predicate "{stated.predicate}"')
    # Written so that NaN fails as well.
    if not 0 <= stated.confidence <= 1:
        raise _StatementDropped("confidence", f"{stated.confidence} is no confidence")
    return TEXT_PREDICATES[stated.predicate]


def find_quote(text: str, quote: str) -> Span | None:
    """The place of ``quote`` in ``text``, ignoring differences of white space; None where it is not
    there or is empty."""
    words = quote.split()
    if not words:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), text)
    return match.span() if match else None


def find_occurrences(text: str, name: str, start: int, end: int) -> Iterator[Span]:
    """The places of ``name`` in ``text[start:end]`` as whole words, ignoring white space and
    case."""
    words = name.split()
    if not words:
        return
    joined_words = r"\s+".join(map(re.escape, words))
    pattern = re.compile(rf"(?<!\w){joined_words}(?!\w)", re.IGNORECASE)
    for match in pattern.finditer(text, start, end):
        yield match.span()


def is_instruction(sentence: str) -> bool:
    """Whether a sentence instructs its reader, which no report of a finding does (prompt
    injection)."""
    return _INSTRUCTION.search(sentence) is not None
