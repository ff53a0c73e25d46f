"""The documents of the table's rows, of which the latest used stay in memory with their words.

A search gives numbers of rows; reading the eleven columns of thirty rows takes longer than finding
them, and splitting their sentences into words longer still. Guaranteed: a document is the same
whether it was kept or is read anew, and what is kept has a bound.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from medr_ray.core.records import from_row
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.index import COLUMNS

# Characters of the texts that are kept: some 6,000 abstracts. With its sentences and words a
# text takes about eight times as many bytes.
_MOST_CHARACTERS = 10_000_000


class DocumentCache:
    """Gives documents by the numbers of their rows; threads may share it.

    ``retracted`` are ids known to be retracted, whatever the table has.
    """

    def __init__(
        self,
        table: Any,
        retracted: Collection[str] = frozenset(),
        most_characters: int = _MOST_CHARACTERS,
    ) -> None:
        self._table = table
        self._retracted = retracted
        self._most_characters = most_characters
        # An index of an earlier version may lack some columns.
        self._columns = [column for column in COLUMNS if column in table.schema.names]
        self._documents: OrderedDict[int, Document] = OrderedDict()  # the latest used at the end
        self._characters = 0
        self._lock = threading.Lock()

    def fetch_documents(self, row_ids: Sequence[int]) -> list[Document]:
        """The documents of the rows, in their order."""
        documents = self._find_kept(row_ids)
        missing = [row_id for row_id in dict.fromkeys(row_ids) if row_id not in documents]
        if missing:
            # Without the lock: others need not wait for the disk.
            read = self._read_documents(missing)
            self._keep(read)
            documents.update(read)
        return [documents[row_id] for row_id in row_ids]

    def _find_kept(self, row_ids: Sequence[int]) -> dict[int, Document]:
        documents = {}
        with self._lock:
            for row_id in row_ids:
                if row_id in self._documents:
                    self._documents.move_to_end(row_id)
                    documents[row_id] = self._documents[row_id]
        return documents

    def _read_documents(self, row_ids: list[int]) -> dict[int, Document]:
        query = self._table.take_row_ids(row_ids).select(self._columns).with_row_id()
        rows = query.to_arrow().to_pylist()
        return {row["_rowid"]: self._build_document(row) for row in rows}

    def _build_document(self, row: dict[str, Any]) -> Document:
        document = from_row(Document, row)
        if document.document_id in self._retracted:
            return replace(document, retracted=True)
        return document

    def _keep(self, documents: dict[int, Document]) -> None:
        with self._lock:
            for row_id, document in documents.items():
                # Another thread may have read the same row meanwhile.
                if row_id not in self._documents:
                    self._characters += len(document.text)
                self._documents[row_id] = document
                self._documents.move_to_end(row_id)
            while self._characters > self._most_characters:
                _, oldest = self._documents.popitem(last=False)
                self._characters -= len(oldest.text)
