"""Reads the text of a disease record, in which each line is a sentence in the wording of
``knowledge.predicates``.

The relations come from the document's text alone. The annotations are consulted only for the
reference that each line cites.
"""

import functools
import re

from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.documents import Document

_CURATED_CONFIDENCE = 1.0  # a curator has read the source
_RECORD_PREDICATES = ("has_inheritance", "has_onset", "associated_gene", "has_finding")


def read_record(document: Document, vocabulary: Vocabulary, hpo: Hpo) -> list[RelationStatement]:
    """The statements of a disease record; lines about objects outside the vocabulary are
    skipped."""
    record_id = get_record_id(document)
    subject = vocabulary.canonical_id(record_id)
    record = hpo.diseases.get(record_id)
    facts = record.facts if record else ()
    references = {(fact.predicate, fact.object_id): fact.reference for fact in facts}
    statements = []
    for start, end in document.spans:
        line = read_line(document.text[start:end], document.title)
        if line is None:
            continue
        predicate, object_name, clinical = line
        entity = vocabulary.find_by_name(PREDICATES[predicate].object_type, object_name)
        if entity is None:
            continue
        statements.append(
            RelationStatement(
                subject=subject,
                predicate=predicate,
                object=entity,
                temporal="",
                spatial="",
                clinical=clinical,
                confidence=_CURATED_CONFIDENCE,
                start=start,
                end=end,
                reference=references.get((predicate, entity), ""),
            )
        )
    return statements


def get_record_id(document: Document) -> str:
    """The id of the disease whose record the document is."""
    return document.document_id.partition(":")[2]


def read_line(line: str, disease: str) -> tuple[str, str, str] | None:
    """(predicate, object name, clinical qualifier) of a line about the disease; None for a line
    that states no relation."""
    # Every such sentence contains "{subject} is {object}"; the rest identifies the predicate.
    head, separator, rest = line.partition(f"{disease} is ")
    if not separator:
        return None
    for predicate in _RECORD_PREDICATES:
        head_pattern, tail = _compile_line_pattern(predicate)
        match = head_pattern.fullmatch(head)
        if match and rest.endswith(tail):
            return predicate, rest.removesuffix(tail), match.groupdict().get("clinical") or ""
    return None


@functools.cache
def _compile_line_pattern(predicate: str) -> tuple[re.Pattern[str], str]:
    """A pattern for the text before the subject, and the text after the object."""
    # The text before may contain the qualifier ("The finding in 3 of 7 patients with"), so it needs
    # a pattern.
    head, _, tail = PREDICATES[predicate].sentence.partition("{subject} is {object}")
    return re.compile(re.escape(head).replace(r"\{clinical\}", "(?P<clinical>.+)")), tail
