"""Brings the table up to date from its parts: changed parts are merged in, the rest stays in place.

Every row has the mark of the part it belongs to, which names the part and its content. So the table
itself shows what is in it, whatever happened to the process that wrote it. Only parts under new
marks are merged in (``merge_insert`` by document id), and rows under old marks are deleted. The
full-text index is then made anew, which takes seconds where making vectors takes hours. It has to
be, because scores depend on all documents together; so the refreshed table gives the hits of one
that is built from nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from medr_ray.core.config import IndexConfig
from medr_ray.core.run import Directory
from medr_ray.retrieval import index
from medr_ray.retrieval.filters import sql_in

_MARKS_PER_DELETE = 200  # in one condition
_LARGEST_MERGE = 0.5  # share of the parts; beyond, a new table is less work than merging
# Vectors that show what cosine is usual under the encoder.
_SAMPLED_PARTS = 50
_SAMPLED_ROWS = 40  # of each part

ReadPart = Callable[[str], pa.Table]


def refresh_table(
    directory: Directory,
    marks: Sequence[str],
    read_part: ReadPart,
    config: IndexConfig,
    dimensions: int,
) -> int:
    """Make the table hold exactly the parts under ``marks``; returns how many were written.

    ``read_part`` gives the rows of a part by its mark.
    """
    # Read from the parts and not from the table, so that a merge and a new table get the same.
    settings = index.IndexSettings.from_config(config, _sample_cosine(marks, read_part))
    is_finished = index.read_index_settings(directory) == settings
    table = _open_existing(directory, dimensions)
    stored = _list_marks(table) if table is not None else set()
    new = [mark for mark in marks if mark not in stored]
    if table is not None and not new and stored == set(marks) and is_finished:
        return 0
    # Until the file is written again, the indices may be behind the rows.
    directory.remove(index.SETTINGS_FILE)
    if table is None or len(new) > _LARGEST_MERGE * len(marks):
        index.build_table(directory, map(read_part, marks), config, dimensions)
        new = list(marks)
    else:
        outdated = sorted(stored - set(marks))
        _merge_parts(table, new, outdated, read_part, dimensions)
        index.build_indices(table, config)
    settings.write(directory)
    return len(new)


def _sample_cosine(marks: Sequence[str], read_part: ReadPart) -> float | None:
    """The mean cosine over a sample that depends on the parts alone; None without two vectors."""
    step = max(1, len(marks) // _SAMPLED_PARTS)
    vectors: list[np.ndarray] = []
    for mark in marks[::step]:
        # Documents of sources that are not embedded have no vector.
        column = read_part(mark).column("vector").drop_null().slice(0, _SAMPLED_ROWS)
        vectors += [np.asarray(vector, dtype=np.float32) for vector in column.to_pylist()]
    return index.compute_mean_cosine(np.stack(vectors)) if len(vectors) > 1 else None


def _open_existing(directory: Directory, dimensions: int) -> Any:
    """The table; None if there is none, or one with another schema."""
    if not index.has_table(directory):
        return None
    table = index.open_table(directory)
    return table if table.schema.equals(index.table_schema(dimensions)) else None


def _list_marks(table: Any) -> set[str]:
    batches = table.search().select(["part"]).limit(table.count_rows()).to_batches()
    return {mark for batch in batches for mark in batch.column("part").unique().to_pylist()}


def _merge_parts(
    table: Any,
    new: Sequence[str],
    outdated: Sequence[str],
    read_part: ReadPart,
    dimensions: int,
) -> None:
    """Put in the rows of the new parts, delete what is left of the outdated ones, compact."""
    if new:
        schema = index.table_schema(dimensions)
        rows: Iterator[pa.RecordBatch] = (
            batch for mark in new for batch in read_part(mark).to_batches()
        )
        merge = (
            table.merge_insert("document_id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
        )
        merge.execute(pa.RecordBatchReader.from_batches(schema, rows), on_bad_vectors="null")
    # After the merge: a document that has moved to a new part has its new mark by now and stays.
    for start in range(0, len(outdated), _MARKS_PER_DELETE):
        table.delete(sql_in("part", outdated[start : start + _MARKS_PER_DELETE]))
    # Merges and deletions leave small fragments and tombstones, which slow every later scan.
    table.optimize()
