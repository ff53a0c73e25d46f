"""The table brought up to date from its parts: what changed is merged in, the rest stays where it
is.

Every row carries the mark of the part it was made as, which names the part and its content. So the
table itself says what it holds, whatever happened to the process that wrote it, and only parts
under new marks are merged into it (``merge_insert`` by document id) and rows under marks of the
past deleted. The full-text index is then made anew, which takes seconds where making vectors takes
hours: scores depend on all documents together, and so the refreshed table gives the hits of one
that is built from nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from medr_ray.core.config import IndexConfig
from medr_ray.core.run import Directory
from medr_ray.retrieval import index
from medr_ray.retrieval.filters import among

_AT_ONCE = 200  # marks in a condition
_MOST_CHANGED = 0.5  # of the parts; beyond, a new table is less work than merging

_SAMPLED_PARTS, _SAMPLED_ROWS = 50, 40  # vectors that show what is usual under the encoder

Read = Callable[[str], pa.Table]


def refresh(
    directory: Directory, marks: Sequence[str], read: Read, config: IndexConfig, dimensions: int
) -> int:
    """Make the table hold the parts ``marks``, each of which ``read`` gives; returns how many were
    written."""
    made_with = index.MadeWith.of(config, _unrelated_cosine(marks, read))
    is_finished = index.made_with(directory) == made_with
    table = _existing(directory, dimensions)
    held = _marks_in(table) if table is not None else set()
    new = [one for one in marks if one not in held]
    if table is not None and not new and held == set(marks) and is_finished:
        return 0
    directory.remove(
        index.MADE_WITH
    )  # until it is written again, the indices may be behind the rows
    if table is None or len(new) > _MOST_CHANGED * len(marks):
        index.build(directory, map(read, marks), config, dimensions)
        new = list(marks)
    else:
        _merge(table, new, sorted(held - set(marks)), read, dimensions)
        index.make_searchable(table, config)
    made_with.write(directory)
    return len(new)


def _unrelated_cosine(marks: Sequence[str], read: Read) -> float | None:
    """The mean cosine over a sample that depends on the parts alone, None without two vectors."""
    step, vectors = max(1, len(marks) // _SAMPLED_PARTS), []
    for mark in marks[::step]:
        column = read(mark).column("vector").drop_null().slice(0, _SAMPLED_ROWS)
        vectors += [np.asarray(one, dtype=np.float32) for one in column.to_pylist()]
    return index.mean_cosine(np.stack(vectors)) if len(vectors) > 1 else None


def _existing(directory: Directory, dimensions: int) -> Any:
    """The table there is, None where there is none that rows of today fit in."""
    if not index.is_there(directory):
        return None
    table = index.open_table(directory)
    return table if table.schema.equals(index.table_schema(dimensions)) else None


def _marks_in(table: Any) -> set[str]:
    batches = table.search().select(["part"]).limit(table.count_rows()).to_batches()
    return {mark for batch in batches for mark in batch.column("part").unique().to_pylist()}


def _merge(
    table: Any, new: Sequence[str], past: Sequence[str], read: Read, dimensions: int
) -> None:
    """Rows of the new parts in, those that are left of the past ones out; then the files are
    compacted."""
    if new:
        schema = index.table_schema(dimensions)
        rows: Iterator[pa.RecordBatch] = (
            batch for mark in new for batch in read(mark).to_batches()
        )
        merge = (
            table.merge_insert("document_id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
        )
        merge.execute(pa.RecordBatchReader.from_batches(schema, rows), on_bad_vectors="null")
    for start in range(0, len(past), _AT_ONCE):
        table.delete(among("part", past[start : start + _AT_ONCE]))
    table.optimize()
