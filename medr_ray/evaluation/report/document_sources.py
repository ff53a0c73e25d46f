"""The names of the sources that documents are from, by the beginning of their ids."""

from collections.abc import Iterable

# As their publishers call them.
_NAMES = {
    "PMID": "PubMed",
    "NCT": "ClinicalTrials.gov",
    "FDA": "Drugs@FDA",
    "FDA-LABEL": "DailyMed",
    "ORANGE-BOOK": "Orange Book",
    "HPO": "Human Phenotype Ontology",
    "ORPHANET": "Orphanet",
    "LIVERTOX": "LiverTox",
    "WEB": "web pages",
    "http": "web pages",
    "https": "web pages",
}


def list_source_names(document_ids: Iterable[str]) -> list[str]:
    """The sources of the documents, each once, in the order of the alphabet. An id of another kind
    counts as "other"."""
    names = {_NAMES.get(document_id.partition(":")[0], "other") for document_id in document_ids}
    return sorted(names)
