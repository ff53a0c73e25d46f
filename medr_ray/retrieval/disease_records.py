"""Disease records of the HPO annotations as documents, rendered as the registry shows them.

The first line is the disease, and each further line an annotation: its category with the term or
gene, then the columns of the annotation that are not empty ("Inheritance: Autosomal dominant
inheritance; HPO: HP:0000006; Reference: PMID:301465; Evidence: TAS"). What says most stands first,
because a snippet may cut the rest off. No line is a sentence, so that no question has its wording
from the document that answers it.
"""

import re

from medr_ray.core.errors import DataError
from medr_ray.knowledge.hpo import DiseaseFact, DiseaseRecord, describe_frequency
from medr_ray.retrieval.documents import HPO, Document
from medr_ray.retrieval.snippets import ELLIPSIS

_PUBLISHED_IN = "Human Phenotype Ontology annotations"
# The categories of annotations, by predicate: aspects of ``phenotype.hpoa``, and the gene of
# ``genes_to_phenotype.txt``.
CATEGORIES = {
    "has_inheritance": "Inheritance",
    "has_onset": "Onset",
    "associated_gene": "Gene",
    "has_finding": "Phenotypic abnormality",
}
_PREDICATES = {category: predicate for predicate, category in CATEGORIES.items()}
_FREQUENCY = "Frequency"
_SEPARATOR = "; "
# Between the lines of a snippet. A category behind a separator is a column of the line before.
_LINE_BREAK = re.compile(rf"(?<!;) (?=(?:{'|'.join(_PREDICATES)}): )")


def document_from_disease(record: DiseaseRecord) -> Document:
    """The document ``HPO:<entity id>``; inheritance, onset and genes come before the findings."""
    return Document(
        document_id=f"HPO:{record.entity_id}",
        source=HPO,
        title=record.name,
        text="\n".join((record.name, *map(render_line, record.facts))),
        year=None,
        publication_types=(),
        retracted=False,
        journal=_PUBLISHED_IN,
    )


def render_line(fact: DiseaseFact) -> str:
    """The line of an annotation."""
    fields = ((CATEGORIES[fact.predicate], fact.object_name), *fact.fields)
    return _SEPARATOR.join(f"{name}: {value}" for name, value in fields)


def split_lines(snippet: str) -> list[str]:
    """The lines that a snippet of a disease record joins."""
    return _LINE_BREAK.split(snippet)


def read_line(line: str) -> tuple[str, str, str] | None:
    """(predicate, object name, clinical qualifier) of a line; None for one that states nothing.

    A line that is cut off states something only where the columns that are left tell the qualifier.
    """
    fields = line.strip().split(_SEPARATOR)
    if fields[-1].endswith(ELLIPSIS):
        # The last field may miss its end, and with one field left the frequency may be missing.
        fields.pop()
        if len(fields) < 2:
            return None
    category, _, object_name = fields[0].partition(": ")
    predicate = _PREDICATES.get(category)
    if predicate is None or not object_name:
        return None
    columns = dict(field.partition(": ")[::2] for field in fields[1:])
    frequency = columns.get(_FREQUENCY, "")
    # As in ``knowledge.hpo``: only a finding is stated "in some patients" without a frequency.
    if not frequency and predicate != "has_finding":
        return predicate, object_name, ""
    try:
        clinical = describe_frequency(frequency)
    except DataError:
        return None
    return None if clinical is None else (predicate, object_name, clinical)
