"""Reads a list of papers that are known to be retracted.

PubMed flags a retraction only once its notice is indexed. The list is a text file with one PMID a
line, plain or gzip, such as the PubMed search "Retracted Publication"[pt] gives when it is saved in
the format PMID.
"""

import functools

from medr_ray.core.errors import DataError
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary


@functools.lru_cache(2)
def load_retracted_ids(path: str) -> frozenset[str]:
    """The document ids, ``PMID:<pmid>``.

    DataError for a file that is missing or a line that is not a PMID.
    """
    with open_vocabulary(path) as stream:
        pmids = [line.strip() for line in as_text(stream) if line.strip()]
    for number, pmid in enumerate(pmids, 1):
        if not pmid.isdecimal():
            raise DataError(
                f"{path}: entry {number} is no PMID: {pmid[:40]!r}; retrieval.retracted_pmids is a "
                "list of numbers, one a line"
            )
    return frozenset(f"PMID:{pmid}" for pmid in pmids)
