"""PubMed in, citations out.

The room promises: a downloaded file has the MD5 that its publisher gives it; every record of the
files is a citation or quarantined with its reason and place; revised records and deletions are
applied in file order; the citations depend neither on the number of workers nor on whether the
files were read at once or as they came.
"""

from medr_ray.corpus.medline import parse_citation, read_records
from medr_ray.corpus.sources import SourceFile, list_sources

__all__ = ["SourceFile", "list_sources", "parse_citation", "read_records"]
