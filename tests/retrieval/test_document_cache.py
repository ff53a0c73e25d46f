"""Documents by row: the same whether they were kept or are read anew."""

import dataclasses
from pathlib import Path

from medr_ray.core.config import IndexConfig
from medr_ray.core.run import Directory
from medr_ray.retrieval import index
from medr_ray.retrieval.document_cache import DocumentCache
from medr_ray.retrieval.documents import Document

DOCUMENTS = [
    Document(f"PMID:{number}", "pubmed", f"T{number}", "x" * 100, None, ("D1",), False, "J")
    for number in range(20)
]


def test_what_is_kept_has_a_bound_and_what_is_read_again_is_the_same(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    index.build_table(directory, [index.build_batch(DOCUMENTS, None, 4)], IndexConfig(), 4)
    table = index.open_table(directory)
    rows = table.search().select(["document_id"]).with_row_id(True).limit(20).to_list()
    row_ids = [row["_rowid"] for row in reversed(rows)]
    expected = {document.document_id: document for document in DOCUMENTS}
    expected["PMID:3"] = dataclasses.replace(expected["PMID:3"], retracted=True)
    documents = DocumentCache(table, {"PMID:3"}, most_characters=1000)
    # In the order that was asked for, one of them twice, and more than are kept.
    for asked in ([*row_ids, row_ids[0]], row_ids[:5], row_ids[3:9], []):
        ids = [rows[len(rows) - 1 - row_ids.index(row_id)]["document_id"] for row_id in asked]
        assert documents.fetch_documents(asked) == [expected[key] for key in ids]
        assert len(documents._documents) <= 10
    kept = documents.fetch_documents(row_ids[3:9])
    again = documents.fetch_documents(row_ids[3:9])
    assert all(first is second for first, second in zip(kept, again, strict=True))
