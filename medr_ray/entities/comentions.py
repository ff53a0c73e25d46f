"""Which concepts are named together with the rare ones, and in how many citations.

What holds: counts are exact (a pair counts once per citation, however often either is named), cost
is linear in the postings, one file's pairs are in memory at a time, and neither the order of the
files nor that of their rows matters.
"""

from collections.abc import Collection, Iterable, Iterator

import polars as pl
import pyarrow as pa

from medr_ray.core.run import Directory
from medr_ray.entities.counting import POSTINGS

COMENTIONS = "comentions.parquet"
COMENTIONS_SCHEMA = pa.schema(
    [("concept_id", pa.string()), ("other_id", pa.string()), ("documents", pa.int64())]
)
_PAIR = ["concept_id", "other_id"]
_FEW_ROWS = 1_000_000  # pairs held unmerged before they are summed: some 100 MB


def read_postings(directory: Directory) -> Iterator[pa.Table]:
    """Each file of ``postings/`` of an ``entities`` directory, in name order, with only the column
    needed here."""
    for name in directory.list_files(POSTINGS):
        if name.endswith(".parquet"):
            yield directory.read_table(f"{POSTINGS}/{name}", ["concept_ids"])


def count_comentions(postings: Iterable[pa.Table], concepts: Collection[str]) -> pa.Table:
    """(concept_id, other_id, documents) for each of ``concepts`` and every other concept named
    beside it, sorted.

    ``postings``: tables with ``concept_ids``, the concepts each citation names, as
    ``read_postings`` gives them.
    """
    wanted = pl.DataFrame({"concept_id": sorted(set(concepts))}, schema={"concept_id": pl.String})
    waiting: list[pl.DataFrame] = []
    for table in postings:
        waiting.append(_pairs(pl.DataFrame(table.select(["concept_ids"])), wanted))
        if sum(frame.height for frame in waiting) > _FEW_ROWS:
            waiting = [_summed(waiting)]
    return _summed(waiting).sort(_PAIR).to_arrow().cast(COMENTIONS_SCHEMA)


def _pairs(named: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """The pairs of one file. Citations that name none of the wanted concepts drop out before any
    pair is made."""
    flat = named.with_row_index("citation").explode("concept_ids").drop_nulls().unique()
    rare = flat.join(wanted, left_on="concept_ids", right_on="concept_id", how="semi")
    pairs = rare.rename({"concept_ids": "concept_id"}).join(
        flat.rename({"concept_ids": "other_id"}), on="citation"
    )
    return _counted(pairs.filter(pl.col("concept_id") != pl.col("other_id")))


def _counted(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.group_by(_PAIR).agg(pl.len().cast(pl.Int64).alias("documents"))


def _summed(frames: list[pl.DataFrame]) -> pl.DataFrame:
    empty = pl.DataFrame(
        schema={"concept_id": pl.String, "other_id": pl.String, "documents": pl.Int64}
    )
    return pl.concat([empty, *frames]).group_by(_PAIR).agg(pl.sum("documents"))
