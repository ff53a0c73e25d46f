"""The two passes of ingest, one file per task.

First pass: a file becomes a part of all its citations, with its deletions and what had to be set aside. Between them
the winners are decided from (PMID, version, place) alone. Second pass: each part keeps its winners, in order.

What holds: files count in the order given, records in file order; of one (PMID, version) the last record wins; a
deletion removes what came before it, not what comes after; of one PMID the highest version left is the citation. A
record that cannot be read is set aside with its reason, and so is a file, which then contributes nothing at all.
"""

import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, arrow_schema
from medr_ray.core.run import Directory
from medr_ray.corpus.medline import BOOK, DELETION, Record, citation_row, deleted, parse_element, read_records
from medr_ray.corpus.sources import SourceFile, open_source

_BATCH = 2_000  # rows held as Python objects before they become Arrow
_KEYS = pl.DataFrame(schema={"file": pl.Int64, "pmid": pl.String, "version": pl.Int64, "position": pl.Int64})


@dataclass(frozen=True)
class Quarantined:
    """What was set aside: a record at ``position``, or the whole file where it is null."""

    file: str
    position: int | None
    reason: str


@dataclass(frozen=True)
class FileReport:
    """What the first pass found in a file; ``deletions`` are (PMID, version) pairs."""

    number: int
    name: str
    records: int
    books: int
    citations: int
    deletions: list[list[Any]]
    quarantined: list[dict[str, Any]]
    readable: bool


def part_name(number: int) -> str:
    return f"part-{number:05d}"


def first_pass(source: SourceFile, directory: Directory, limit: int | None) -> None:
    """Write ``parts/part-NNNNN.parquet`` and then its report; a report that exists means the part is done."""
    try:
        table, report = _read(source, limit)
    except (DataError, EOFError, OSError) as error:
        quarantined = asdict(Quarantined(source.name, None, f"{type(error).__name__}: {error}"))
        table = arrow_schema(Citation).empty_table()
        report = FileReport(source.number, source.name, 0, 0, 0, [], [quarantined], readable=False)
    directory.write_table(f"parts/{part_name(source.number)}.parquet", table)
    directory.write_json(f"parts/{part_name(source.number)}.json", asdict(report))


def _read(source: SourceFile, limit: int | None) -> tuple[pa.Table, FileReport]:
    schema = arrow_schema(Citation)
    batches: list[pa.RecordBatch] = []
    rows: list[dict[str, Any]] = []
    deletions: list[list[Any]] = []
    quarantined: list[dict[str, Any]] = []
    records = books = 0
    with open_source(source) as stream:
        for record in itertools.islice(read_records(stream), limit):
            records += record.kind != DELETION
            books += record.kind == BOOK
            try:
                _sort_in(record, source.name, rows, deletions)
            except DataError as error:
                quarantined.append(asdict(Quarantined(source.name, record.position, str(error))))
            if len(rows) >= _BATCH:
                batches.append(pa.RecordBatch.from_pylist(rows, schema=schema))
                rows.clear()
    batches.append(pa.RecordBatch.from_pylist(rows, schema=schema))
    table = pa.Table.from_batches(batches, schema=schema)
    return table, FileReport(
        source.number, source.name, records, books, table.num_rows, deletions, quarantined, readable=True)


def _sort_in(record: Record, name: str, rows: list[dict[str, Any]], deletions: list[list[Any]]) -> None:
    """Books are counted by the caller and are not citations."""
    if record.kind == DELETION:
        deletions.extend([pmid, version] for pmid, version in deleted(record))
    elif record.kind != BOOK:
        rows.append(citation_row(parse_element(record), name, record.position))


def read_reports(directory: Directory, sources: Iterable[SourceFile]) -> list[FileReport]:
    return [FileReport(**directory.read_json(f"parts/{part_name(source.number)}.json")) for source in sources]


@dataclass(frozen=True)
class Winners:
    """Which records are the citations: for each file the kept positions; how many were superseded or deleted."""

    positions: dict[int, list[int]]
    revised: int
    deletions_hit: int


def read_keys(directory: Directory, reports: Iterable[FileReport]) -> pl.DataFrame:
    """(file, pmid, version, position) of every citation of the parts."""
    frames = [_KEYS.clear()]
    for report in reports:
        table = directory.read_table(f"parts/{part_name(report.number)}.parquet", ["pmid", "version", "position"])
        frame = pl.DataFrame(table).with_columns(pl.lit(report.number, dtype=pl.Int64).alias("file"))
        frames.append(frame.select(_KEYS.columns))
    return pl.concat(frames)


def choose_winners(keys: pl.DataFrame, reports: Iterable[FileReport]) -> Winners:
    """The rules of the module docstring, over ``keys`` (file, pmid, version, position)."""
    ordered = keys.sort("file", "position")
    last = ordered.unique(["pmid", "version"], keep="last", maintain_order=True)
    deletions = _last_deletions(reports)
    struck = last.join(deletions, on=["pmid", "version"], how="left").filter(pl.col("deleted_in") >= pl.col("file"))
    standing = last.join(struck, on=["pmid", "version"], how="anti")
    kept = standing.sort("version", maintain_order=True).unique("pmid", keep="last", maintain_order=True)
    by_file = kept.sort("file", "position").group_by("file", maintain_order=True).agg("position")
    positions = dict(zip(by_file["file"], by_file["position"].to_list(), strict=True))
    return Winners(positions, keys.height - struck.height - kept.height, struck.height)


def _last_deletions(reports: Iterable[FileReport]) -> pl.DataFrame:
    """(pmid, version) with the number of the last file that deletes it; a file's deletions follow its records."""
    rows = [(pmid, version, report.number) for report in reports for pmid, version in report.deletions]
    schema = {"pmid": pl.String, "version": pl.Int64, "deleted_in": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").group_by("pmid", "version").agg(pl.max("deleted_in"))


def second_pass(number: int, positions: list[int], directory: Directory) -> int:
    """Write ``citations/part-NNNNN.parquet`` with the winners of a part; returns how many of them have an abstract."""
    table = directory.read_table(f"parts/{part_name(number)}.parquet")
    kept = table.filter(pc.is_in(table["position"], pa.array(positions, pa.int64())))
    directory.write_table(f"citations/{part_name(number)}.parquet", kept)
    return with_abstract(kept)


def with_abstract(table: pa.Table) -> int:
    return pc.sum(pc.not_equal(table["abstract"], "")).as_py() or 0
