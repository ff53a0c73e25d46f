"""The LanceDB table ``documents``: full text, look-up by id, and vectors.

Columns: those of ``Document``, ``kind`` (of evidence, for filters), ``part`` (what the row was made
as) and ``vector`` (fixed_size_list float32[dimensions], null where the document was not embedded).
The full-text index covers ``text``, which holds the title as well (a disease record names its
disease in every sentence). LanceDB is embedded and reads and writes a local folder or an object
store by URI. The same batches in the same order give the same ranking.
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
from medr_ray.retrieval.authority import kind_of
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.ranking import (
    TEXT_VECTOR_WEIGHT,
    TITLE_VECTOR_WEIGHT,
    UNRELATED_COSINE,
    Calibration,
)

TABLE = "documents"
DATABASE = "lancedb"
COMMON_WORDS = "common_words.parquet"
MADE_WITH = "made_with.json"
DIMENSIONS = 384
COLUMNS = tuple(one.name for one in fields(Document))


def table_schema(dimensions: int) -> pa.Schema:
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


def to_batch(
    documents: Sequence[Document], vectors: np.ndarray | None, dimensions: int, part: str = ""
) -> pa.Table:
    """Documents and their vectors, shape (len(documents), dimensions), as rows of the table; None:
    not embedded. ``part`` names what they were made as (see ``retrieval.index_update``)."""
    schema = table_schema(dimensions)
    columns: list[Any] = [
        pa.array([getattr(one, name) for one in documents], schema.field(name).type)
        for name in COLUMNS
    ]
    columns += [
        pa.array(map(kind_of, documents), pa.string()),
        pa.array([part] * len(documents), pa.string()),
    ]
    if vectors is None:
        columns.append(pa.nulls(len(documents), schema.field("vector").type))
    else:
        columns.append(
            pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.reshape(-1), pa.float32()), dimensions
            )
        )
    return pa.Table.from_arrays(columns, schema=schema)


def connect(directory: Directory) -> Any:
    """The LanceDB connection of an index directory, local or by URI."""
    import lancedb

    uri = directory.uri if "://" in directory.uri else str(directory.local)
    return lancedb.connect(f"{uri.rstrip('/')}/{DATABASE}")


def build(
    directory: Directory,
    batches: Iterable[pa.Table],
    config: IndexConfig,
    dimensions: int = DIMENSIONS,
) -> int:
    """(Re)write the table from the batches, index it, and return the number of rows."""
    schema = table_schema(dimensions)
    rows = (batch for table in batches for batch in table.to_batches())
    table = connect(directory).create_table(
        TABLE,
        pa.RecordBatchReader.from_batches(schema, rows),
        schema=schema,
        mode="overwrite",
        on_bad_vectors="null",
    )  # a null vector counts as a bad one
    make_searchable(table, config)
    return int(table.count_rows())


def make_searchable(table: Any, config: IndexConfig) -> None:
    """(Re)make the indices over all rows. One worker, and nothing kept of an earlier index: how
    documents are divided into its partitions decides the scores."""
    from lancedb.index import FTS, BTree

    table.create_index(
        "text", config=FTS(stem=True, remove_stop_words=config.remove_stop_words, num_workers=1)
    )
    table.create_index("document_id", config=BTree())


def is_there(directory: Directory) -> bool:
    """Whether there is a table."""
    return TABLE in connect(directory).list_tables().tables


def open_table(directory: Directory) -> Any:
    """The finished table. Raises DataError where there is none."""
    connection = connect(directory)
    if TABLE not in connection.list_tables().tables:
        raise DataError(
            f"{directory.uri}: no index here; run the index stage first (medr run --until index)"
        )
    return connection.open_table(TABLE)


@dataclass(frozen=True)
class MadeWith:
    """How an index was made, kept in it: what queries and scores have to match.

    ``unrelated_cosine`` is the mean cosine of its documents' vectors, None where nothing is
    embedded."""

    embed: str = "titles"
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    remove_stop_words: bool = True
    unrelated_cosine: float | None = None

    @classmethod
    def of(cls, config: IndexConfig, unrelated_cosine: float | None) -> "MadeWith":
        return cls(config.embed, config.encoding, config.remove_stop_words, unrelated_cosine)

    @property
    def calibration(self) -> Calibration:
        """How the cosines of queries with these vectors are read."""
        unrelated = UNRELATED_COSINE if self.unrelated_cosine is None else self.unrelated_cosine
        return Calibration(
            unrelated, TITLE_VECTOR_WEIGHT if self.embed == "titles" else TEXT_VECTOR_WEIGHT
        )

    def write(self, directory: Directory) -> None:
        directory.write_json(
            MADE_WITH, {**asdict(self), "encoding": self.encoding.model_dump(mode="json")}
        )


def made_with(directory: Directory) -> MadeWith | None:
    """How the index was made; None where it does not say, for it is not finished or older than the
    question."""
    if not directory.exists(MADE_WITH):
        return None
    said = directory.read_json(MADE_WITH)
    return MadeWith(**{**said, "encoding": EncodingConfig(**said["encoding"])})


def mean_cosine(vectors: np.ndarray) -> float:
    """Over all pairs of different rows, which are unit vectors, shape (n, dimensions), n at least
    2."""
    count, total = len(vectors), vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1)))


def newest_year(table: Any) -> int:
    """The latest year of a document, 0 where none has one."""
    years = table.search().select(["year"]).limit(table.count_rows()).to_arrow()["year"]
    return int(pc.max(years).as_py() or 0)
