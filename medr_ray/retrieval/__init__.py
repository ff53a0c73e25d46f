"""Retrieval: what is searchable, and how it is ranked.

Guarantees of this room:

- One index of documents (citations with abstracts, disease records, drug labels and approvals,
  registered trials, monographs) in LanceDB, an embedded table on disk or in an object store. It is
  brought up to date without being made anew.
- A retriever over it that gives the same hits for the same query everywhere, by full text, vectors
  or both, with clinical authority on top and the reasons for every score.
- Filters by source, year and kind of evidence.
- Snippets made of the document's own sentences.
"""

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.retriever import RetrievalHit, Retriever

__all__ = ["Document", "RetrievalHit", "Retriever"]
