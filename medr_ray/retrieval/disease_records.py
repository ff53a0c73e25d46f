"""Disease records of the HPO annotations as documents.

With them in the index, an agent can find every source that a relation may cite.
"""

from medr_ray.knowledge.hpo import DiseaseRecord
from medr_ray.retrieval.documents import HPO, Document

_PUBLISHED_IN = "Human Phenotype Ontology annotations"


def document_from_disease(record: DiseaseRecord) -> Document:
    """The document ``HPO:<entity id>``.

    It has one sentence a line; inheritance, onset and genes come before the findings.
    """
    text = "\n".join(sentence for _, sentence in record.sentences())
    return Document(
        document_id=f"HPO:{record.entity_id}",
        source=HPO,
        title=record.name,
        text=text,
        year=None,
        publication_types=(),
        retracted=False,
        journal=_PUBLISHED_IN,
    )
