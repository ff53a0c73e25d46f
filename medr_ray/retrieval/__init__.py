"""Retrieval: what is searchable, and how it is ranked.

Promises: one index of documents (citations with abstracts, disease records, drug labels and
approvals, registered trials, monographs) in LanceDB, an embedded, disk- or object-store-native
table that is brought up to date without being made anew; a retriever over it that answers the same
query with the same hits everywhere, by full text, vectors or both, with clinical authority on top
and the reasons for every score; filters by source, year and kind of evidence; snippets made of the
document's own sentences.
"""

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.retriever import Hit, Retriever

__all__ = ["Document", "Hit", "Retriever"]
