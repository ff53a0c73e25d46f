"""PubMed files in, citations out.

Guarantees of this room:

- A downloaded file has the MD5 that its publisher names.
- Every record of the files becomes a citation or is quarantined with its reason and place.
- Revisions and deletions are applied in file order.
- The citations depend neither on the number of workers nor on how many runs read the files.
"""

from medr_ray.corpus.corpus_files import CorpusFile, list_corpus_files
from medr_ray.corpus.medline import parse_citation, read_records

__all__ = ["CorpusFile", "list_corpus_files", "parse_citation", "read_records"]
