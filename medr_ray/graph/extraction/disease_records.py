"""The relations of a disease record: its annotations, as far as the document shows them.

A relation's evidence is the line that the document has for the annotation. An annotation without a
line in it gives no relation, because nobody could find it by a search.
"""

from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.disease_records import render_line
from medr_ray.retrieval.documents import Document

_CURATED_CONFIDENCE = 1.0  # a curator has read the source


def read_record(document: Document, vocabulary: Vocabulary, hpo: Hpo) -> list[RelationStatement]:
    """The statements of a disease record; annotations of objects outside the vocabulary are
    skipped."""
    record_id = get_record_id(document)
    record = hpo.diseases.get(record_id)
    if record is None:
        return []
    subject = vocabulary.canonical_id(record_id)
    spans = {document.text[start:end]: (start, end) for start, end in document.spans}
    statements = []
    for fact in record.facts:
        span = spans.get(render_line(fact))
        predicate = PREDICATES[fact.predicate]
        entity = vocabulary.find_by_name(predicate.object_type, fact.object_name)
        if span is None or entity is None:
            continue
        statements.append(
            RelationStatement(
                subject=subject,
                predicate=fact.predicate,
                object=entity,
                temporal="",
                spatial="",
                # Only findings are told apart by the share of patients.
                clinical=fact.clinical if predicate.prints_clinical(forward=True) else "",
                confidence=_CURATED_CONFIDENCE,
                start=span[0],
                end=span[1],
                reference=fact.reference,
            )
        )
    return statements


def get_record_id(document: Document) -> str:
    """The id of the disease whose record the document is."""
    return document.document_id.partition(":")[2]
