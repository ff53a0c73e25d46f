"""The LanceDB table ``documents``: full text, look-up by id, and vectors.

Columns: those of ``Document``, ``kind`` (of evidence, for filters), ``part`` (the mark of the part
that the row belongs to, see ``retrieval.index_update``) and ``vector`` (fixed_size_list
float32[dimensions], null where the document was not embedded). The full-text index covers ``text``,
which has the title in it as well. LanceDB is embedded and reads and writes a local folder or an
object store by URI. The same batches in the same order give the same ranking.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.config import EncodingConfig, IndexConfig
from medr_ray.core.errors import DataError
from medr_ray.core.run import Directory
from medr_ray.retrieval.authority import evidence_kind
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.ranking import (
    TEXT_VECTOR_WEIGHT,
    TITLE_VECTOR_WEIGHT,
    UNRELATED_COSINE,
    CosineCalibration,
)
from medr_ray.retrieval.word_rarity import WordRarity

TABLE = "documents"
DATABASE = "lancedb"
COMMON_WORDS = "common_words.parquet"
SETTINGS_FILE = "made_with.json"
DIMENSIONS = 384  # of the vector column where nothing is embedded: those of MiniLM
COLUMNS = tuple(column.name for column in fields(Document))


def table_schema(dimensions: int) -> pa.Schema:
    """The schema of the table, for vectors of so many numbers."""
    return pa.schema(
        [
            pa.field("document_id", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("title", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("year", pa.int64()),
            pa.field("publication_types", pa.list_(pa.string())),
            pa.field("retracted", pa.bool_(), nullable=False),
            pa.field("journal", pa.string(), nullable=False),
            pa.field("issn", pa.string()),
            pa.field("evidence", pa.string()),
            pa.field("references", pa.list_(pa.string())),
            pa.field("kind", pa.string()),
            pa.field("part", pa.string()),
            pa.field("vector", pa.list_(pa.float32(), dimensions)),
        ]
    )


def build_batch(
    documents: Sequence[Document], vectors: np.ndarray | None, dimensions: int, part: str = ""
) -> pa.Table:
    """Documents and their vectors as rows of the table.

    ``vectors`` has the shape (len(documents), dimensions); None where they are not embedded.
    ``part`` is the mark of the part (see ``retrieval.index_update``).
    """
    schema = table_schema(dimensions)
    columns: list[Any] = []
    for name in COLUMNS:
        values = [getattr(document, name) for document in documents]
        columns.append(pa.array(values, schema.field(name).type))
    columns.append(pa.array(map(evidence_kind, documents), pa.string()))
    columns.append(pa.array([part] * len(documents), pa.string()))
    if vectors is None:
        columns.append(pa.nulls(len(documents), schema.field("vector").type))
    else:
        # All vectors end to end, without a Python object for each: Arrow cuts them into equal
        # lists.
        numbers = pa.array(vectors.reshape(-1), pa.float32())
        columns.append(pa.FixedSizeListArray.from_arrays(numbers, dimensions))
    return pa.Table.from_arrays(columns, schema=schema)


def connect_database(directory: Directory) -> Any:
    """The LanceDB connection of an index directory, local or by URI."""
    import lancedb

    # LanceDB has its own access to object stores: it gets an address, not a file system.
    uri = directory.uri if "://" in directory.uri else str(directory.local)
    return lancedb.connect(f"{uri.rstrip('/')}/{DATABASE}")


def rewrite_table(database: Any, name: str, rows: pa.RecordBatchReader) -> Any:
    """Write a table of a LanceDB connection, in place of an earlier one; returns it."""
    is_new = name not in database.list_tables().tables
    return database.create_table(
        name,
        rows,
        schema=rows.schema,
        # LanceDB warns where there is nothing to overwrite.
        mode="create" if is_new else "overwrite",
        on_bad_vectors="null",  # LanceDB counts a null vector as a bad one
    )


def build_table(
    directory: Directory,
    batches: Iterable[pa.Table],
    config: IndexConfig,
    dimensions: int = DIMENSIONS,
) -> int:
    """(Re)write the table from the batches, index it, and return the number of rows."""
    schema = table_schema(dimensions)
    # A generator, so that one part at a time is in memory.
    rows = (batch for table in batches for batch in table.to_batches())
    reader = pa.RecordBatchReader.from_batches(schema, rows)
    table = rewrite_table(connect_database(directory), TABLE, reader)
    build_indices(table, config)
    return int(table.count_rows())


def build_indices(table: Any, config: IndexConfig) -> None:
    """(Re)make the indices over all rows."""
    from lancedb.index import FTS, BTree

    # One worker, and nothing kept of an earlier index: the scores depend on how the documents are
    # divided into the partitions of the full-text index.
    full_text = FTS(stem=True, remove_stop_words=config.remove_stop_words, num_workers=1)
    table.create_index("text", config=full_text)
    # For merges and look-ups by id, which would otherwise read the whole column.
    table.create_index("document_id", config=BTree())


def has_table(directory: Directory) -> bool:
    """Whether the directory has an index."""
    return TABLE in connect_database(directory).list_tables().tables


def open_table(directory: Directory) -> Any:
    """The finished table. DataError where there is none."""
    connection = connect_database(directory)
    if TABLE not in connection.list_tables().tables:
        raise DataError(
            f"{directory.uri}: no index here; run the index stage first (medr run --until index)"
        )
    return connection.open_table(TABLE)


def open_word_rarity(directory: Directory) -> WordRarity:
    """The weights of words in a finished index. DataError where there is none."""
    documents = open_table(directory).count_rows()
    common = directory.read_table(COMMON_WORDS).to_pydict()
    # Stored with the index: counting words anew would read every document.
    return WordRarity(documents, dict(zip(common["word"], common["documents"], strict=True)))


@dataclass(frozen=True)
class IndexSettings:
    """How an index was made; it is stored with the index, and queries and scores must match it.

    ``unrelated_cosine`` is the mean cosine of its documents' vectors, None where nothing is
    embedded.
    """

    embed: str = "titles"
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    remove_stop_words: bool = True
    unrelated_cosine: float | None = None

    @classmethod
    def from_config(cls, config: IndexConfig, unrelated_cosine: float | None) -> "IndexSettings":
        return cls(config.embed, config.encoding, config.remove_stop_words, unrelated_cosine)

    @property
    def calibration(self) -> CosineCalibration:
        """How the cosines of queries with these vectors are read."""
        unrelated = UNRELATED_COSINE if self.unrelated_cosine is None else self.unrelated_cosine
        weight = TITLE_VECTOR_WEIGHT if self.embed == "titles" else TEXT_VECTOR_WEIGHT
        return CosineCalibration(unrelated, weight)

    def write(self, directory: Directory) -> None:
        # A pydantic section is not a dataclass, so ``asdict`` leaves it as it is.
        encoding = self.encoding.model_dump(mode="json")
        directory.write_json(SETTINGS_FILE, {**asdict(self), "encoding": encoding})


def read_index_settings(directory: Directory) -> IndexSettings | None:
    """How the index was made.

    None where that is not stored: the index is not finished, or older than the file.
    """
    if not directory.exists(SETTINGS_FILE):
        return None
    stored = directory.read_json(SETTINGS_FILE)
    return IndexSettings(**{**stored, "encoding": EncodingConfig(**stored["encoding"])})


def compute_mean_cosine(vectors: np.ndarray) -> float:
    """The mean over all pairs of different rows.

    The rows are unit vectors, shape (n, dimensions), n at least 2.
    """
    count = len(vectors)
    # The square of the sum of all rows has every pair twice, and each row with itself once (1).
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1)))


def find_newest_year(table: Any) -> int:
    """The latest year of a document, 0 where none has one."""
    # Only this column is read, but of every row; the limit says so to searches that have one by
    # default.
    years = table.search().select(["year"]).limit(table.count_rows()).to_arrow()["year"]
    return int(pc.max(years).as_py() or 0)
