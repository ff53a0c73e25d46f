"""The LanceDB table ``documents``: full text, look-up by id, and vectors.

Columns: those of ``Document`` and ``vector`` (fixed_size_list float32[dimensions], null where the document was not
embedded). The full-text index covers ``text``, which holds the title as well (a disease record names its disease in
every sentence). LanceDB is embedded and reads and writes a local
folder or an object store by URI. The same batches in the same order give the same ranking.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from medr_ray.core.config import IndexConfig
from medr_ray.core.errors import DataError
from medr_ray.core.run import Directory
from medr_ray.retrieval.documents import Document

TABLE = "documents"
DATABASE = "lancedb"
COMMON_WORDS = "common_words.parquet"
DIMENSIONS = 384
COLUMNS = ("document_id", "source", "title", "text", "year", "publication_types", "retracted", "journal")


def table_schema(dimensions: int) -> pa.Schema:
    return pa.schema([
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("year", pa.int64()),
        pa.field("publication_types", pa.list_(pa.string())),
        pa.field("retracted", pa.bool_(), nullable=False),
        pa.field("journal", pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), dimensions)),
    ])


def to_batch(documents: Sequence[Document], vectors: np.ndarray | None, dimensions: int) -> pa.Table:
    """Documents and their vectors, shape (len(documents), dimensions), as rows of the table; None: not embedded."""
    schema = table_schema(dimensions)
    columns: list[Any] = [pa.array([getattr(one, name) for one in documents], schema.field(name).type)
                          for name in COLUMNS]
    if vectors is None:
        columns.append(pa.nulls(len(documents), schema.field("vector").type))
    else:
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), dimensions))
    return pa.Table.from_arrays(columns, schema=schema)


def from_row(row: dict[str, Any]) -> Document:
    values = {name: row[name] for name in COLUMNS}
    return Document(**{**values, "publication_types": tuple(values["publication_types"])})


def connect(directory: Directory) -> Any:
    """The LanceDB connection of an index directory, local or by URI."""
    import lancedb

    uri = directory.uri if "://" in directory.uri else str(directory.local)
    return lancedb.connect(f"{uri.rstrip('/')}/{DATABASE}")


def build(directory: Directory, batches: Iterable[pa.Table], config: IndexConfig, dimensions: int = DIMENSIONS) -> int:
    """(Re)write the table from the batches, index it, and return the number of rows."""
    from lancedb.index import FTS, BTree

    schema = table_schema(dimensions)
    rows = (batch for table in batches for batch in table.to_batches())
    table = connect(directory).create_table(
        TABLE, pa.RecordBatchReader.from_batches(schema, rows), schema=schema, mode="overwrite",
        on_bad_vectors="null")  # a null vector counts as a bad one
    # One worker: how documents are divided between workers decides the index's partitions, and so its scores.
    text = FTS(stem=True, remove_stop_words=config.remove_stop_words, num_workers=1)
    table.create_index("text", config=text)
    table.create_index("document_id", config=BTree())
    return int(table.count_rows())


def open_table(directory: Directory) -> Any:
    """The finished table. Raises DataError where there is none."""
    connection = connect(directory)
    if TABLE not in connection.list_tables().tables:
        raise DataError(f"{directory.uri}: no index here; run the index stage first (medr run --until index)")
    return connection.open_table(TABLE)
