"""The concepts that are named together with the rare ones, and the number of such citations.

Guaranteed: counts are exact. A pair counts once per citation, however often the citation names
either concept. The cost is linear in the postings, and only one file's pairs are in memory at a
time. The order of the files and of their rows does not matter.
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
_PAIR_COLUMNS = ["concept_id", "other_id"]
_MAX_UNMERGED_PAIRS = 1_000_000  # pairs in memory before equal ones are summed: some 100 MB


def read_postings(directory: Directory) -> Iterator[pa.Table]:
    """The files of ``postings/`` of an ``entities`` directory in name order, each with its column
    ``concept_ids`` only."""
    for name in directory.list_files(POSTINGS):
        if name.endswith(".parquet"):
            yield directory.read_table(f"{POSTINGS}/{name}", ["concept_ids"])


def count_comentions(postings: Iterable[pa.Table], concepts: Collection[str]) -> pa.Table:
    """(concept_id, other_id, documents) for each of ``concepts`` and every other concept that the
    same citations name, sorted.

    ``postings`` are tables with a column ``concept_ids``: the concepts that each citation names.
    """
    rare = pl.DataFrame({"concept_id": sorted(set(concepts))}, schema={"concept_id": pl.String})
    unmerged: list[pl.DataFrame] = []
    for table in postings:
        citations = pl.DataFrame(table.select(["concept_ids"]))
        unmerged.append(_count_pairs(citations, rare))
        if sum(frame.height for frame in unmerged) > _MAX_UNMERGED_PAIRS:
            unmerged = [_sum_counts(unmerged)]
    return _sum_counts(unmerged).sort(_PAIR_COLUMNS).to_arrow().cast(COMENTIONS_SCHEMA)


def _count_pairs(citations: pl.DataFrame, rare: pl.DataFrame) -> pl.DataFrame:
    """The pairs of one file, with the number of its citations that name both."""
    named = citations.with_row_index("citation").explode("concept_ids").drop_nulls().unique()
    # Citations that name no rare concept drop out here, before any pair is formed.
    named_rare = named.join(rare, left_on="concept_ids", right_on="concept_id", how="semi")
    pairs = named_rare.rename({"concept_ids": "concept_id"}).join(
        named.rename({"concept_ids": "other_id"}), on="citation"
    )
    return (
        pairs.filter(pl.col("concept_id") != pl.col("other_id"))
        .group_by(_PAIR_COLUMNS)
        .agg(pl.len().cast(pl.Int64).alias("documents"))
    )


def _sum_counts(frames: list[pl.DataFrame]) -> pl.DataFrame:
    # The empty frame gives the result its columns where there is no other.
    empty = pl.DataFrame(
        schema={"concept_id": pl.String, "other_id": pl.String, "documents": pl.Int64}
    )
    return pl.concat([empty, *frames]).group_by(_PAIR_COLUMNS).agg(pl.sum("documents"))
