"""Reading a disease record back: each line is a sentence in the wording of
``knowledge.predicates``.

The relation comes from the document's text alone; the annotations are asked only for what each line
cites.
"""

import functools
import re

from medr_ray.graph.extraction.statements import Statement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.documents import Document

_CURATED = 1.0  # read by a curator, not guessed from wording
_RECORD_PREDICATES = ("has_inheritance", "has_onset", "associated_gene", "has_finding")


def read_record(document: Document, vocabulary: Vocabulary, hpo: Hpo) -> list[Statement]:
    """The statements of a disease record; lines about objects outside the vocabulary are passed
    over."""
    record_id = record_of(document)
    subject, record = vocabulary.canonical(record_id), hpo.diseases.get(record_id)
    references = (
        {(fact.predicate, fact.object_id): fact.reference for fact in record.facts}
        if record
        else {}
    )
    found = []
    for start, end in document.spans:
        read = read_line(document.text[start:end], document.title)
        if read is None:
            continue
        predicate, object_name, clinical = read
        entity = vocabulary.named(PREDICATES[predicate].object_type, object_name)
        if entity is not None:
            reference = references.get((predicate, entity), "")
            found.append(
                Statement(
                    subject, predicate, entity, "", "", clinical, _CURATED, start, end, reference
                )
            )
    return found


def record_of(document: Document) -> str:
    """The id of the disease whose record the document is."""
    return document.document_id.partition(":")[2]


def read_line(line: str, disease: str) -> tuple[str, str, str] | None:
    """(predicate, object name, clinical qualifier) of a line about the disease; None when it states
    none."""
    for name in _RECORD_PREDICATES:
        before, after = _around_subject(name)
        head, found, rest = line.partition(f"{disease} is ")
        matched = before.fullmatch(head) if found else None
        if matched and rest.endswith(after):
            return name, rest.removesuffix(after), matched.groupdict().get("clinical") or ""
    return None


@functools.cache
def _around_subject(predicate: str) -> tuple[re.Pattern[str], str]:
    """A pattern for what stands before the subject, and the text after the object."""
    head, _, tail = PREDICATES[predicate].sentence.partition("{subject} is {object}")
    return re.compile(re.escape(head).replace(r"\{clinical\}", "(?P<clinical>.+)")), tail
