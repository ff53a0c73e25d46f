"""PubMed in, citations out.

The room promises: every record of the files is a citation, a counted book, or quarantined with its reason; revised
records and deletions are applied in file order; the citations do not depend on the number of workers.
"""

from medr_ray.corpus.medline import parse_citation, read_records
from medr_ray.corpus.sources import SourceFile, list_sources

__all__ = ["SourceFile", "list_sources", "parse_citation", "read_records"]
