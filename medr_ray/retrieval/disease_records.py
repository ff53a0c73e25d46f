"""Disease records of the HPO annotations as documents: every source a relation may cite can be
found by an agent."""

from medr_ray.knowledge.hpo import DiseaseRecord
from medr_ray.retrieval.documents import HPO, Document

_PUBLISHED_IN = "Human Phenotype Ontology annotations"


def from_disease(record: DiseaseRecord) -> Document:
    """The document ``HPO:<entity id>``: one sentence a line, inheritance, onset and genes before
    the findings."""
    text = "\n".join(sentence for _, sentence in record.sentences())
    return Document(
        f"HPO:{record.entity_id}", HPO, record.name, text, None, (), False, _PUBLISHED_IN
    )
