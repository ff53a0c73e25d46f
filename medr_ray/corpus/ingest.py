"""The two passes of ingest, one file per task.

First pass: a file becomes a part of all its citations, with its deletions and what had to be set
aside. Between them the winners are decided from (PMID, version, place) alone. Second pass: each
part keeps its winners, in order.

What holds: files count in the order given, records in file order; of one (PMID, version) the last
record wins; a deletion removes what came before it, not what comes after; of one PMID the highest
version left is the citation. Dates play no part. A record that cannot be read is set aside with its
reason and place, and so is a file, which then contributes nothing at all.

A part is named for its file and marked with the file's content, so files that were read before are
not read again when others join them, and the citations are the same as if all had been read anew. A
task holds one piece of its file at a time (8 MiB of XML, one record, and what they become): some
0.4 GB with its interpreter and libraries. The driver holds about 20 bytes for each record of the
corpus, a few times over while it sorts them: 3 GB for the whole of PubMed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.errors import DataError
from medr_ray.core.files import BROKEN_GZIP
from medr_ray.core.parts import Parts, digest
from medr_ray.core.records import Citation, arrow_schema
from medr_ray.core.run import Directory
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.corpus.record_stream import read_citations
from medr_ray.corpus.sources import SourceFile, open_source

READ = "parts"  # the folder of the first pass; the second writes CITATIONS
_BROKEN = (DataError, OSError, *BROKEN_GZIP)  # what a damaged file or stream raises
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_KEYS = {"file": pl.Int32, "pmid": pl.Int64, "version": pl.Int32, "position": pl.Int32}


@dataclass(frozen=True)
class Quarantined:
    """What was set aside: the record at ``position`` (from 0) and byte ``offset`` of the file's
    XML, or the whole file where both are null."""

    file: str
    position: int | None
    offset: int | None
    reason: str


@dataclass(frozen=True)
class FileReport:
    """What the first pass found in a file; ``deletions`` are (PMID, version) pairs. ``hard``
    records took the slow path of the parser."""

    name: str
    records: int
    books: int
    citations: int
    with_abstract: int
    hard: int
    deletions: list[list[Any]]
    quarantined: list[dict[str, Any]]
    readable: bool


def part_name(source: SourceFile) -> str:
    """The file's name and some of its content's hash; sorted, these are in the order of NLM's file
    numbers."""
    stem = source.name.removesuffix(".gz").removesuffix(".xml")
    return f"{_UNSAFE.sub('-', stem)}-{digest(*source.content)[:8]}"


def made_from(source: SourceFile, limit: int | None) -> str:
    """What the part of a file is made from: its content, how much of it is read, and what a
    citation is."""
    return digest(*source.content, limit, str(arrow_schema(Citation)))


def first_pass(source: SourceFile, directory: Directory, limit: int | None) -> FileReport:
    """Write the part of a file, and then its marker with the report."""
    parts, name, schema = Parts(directory, READ), part_name(source), arrow_schema(Citation)
    reading = _Reading(source, limit)
    try:
        parts.write_batches(name, schema, reading.tables())
        report = reading.report()
    except _BROKEN as error:
        reason = asdict(Quarantined(source.name, None, None, f"{type(error).__name__}: {error}"))
        parts.write_batches(name, schema, [])
        report = FileReport(source.name, 0, 0, 0, 0, 0, [], [reason], readable=False)
    parts.finish(name, made_from(source, limit), asdict(report))
    return report


class _Reading:
    """One file being read: its tables as they come, and what they add up to."""

    def __init__(self, source: SourceFile, limit: int | None) -> None:
        self._source, self._limit = source, limit
        self._records = self._books = self._citations = self._with_abstract = self._hard = 0
        self._deletions: list[list[Any]] = []
        self._quarantined: list[dict[str, Any]] = []

    def tables(self) -> Iterator[pa.Table]:
        with open_source(self._source) as stream:
            for chunk in read_citations(stream, self._source.name, self._limit):
                self._records += chunk.records
                self._books += chunk.books
                self._hard += chunk.hard
                self._deletions += [list(one) for one in chunk.deletions]
                self._quarantined += [
                    asdict(Quarantined(self._source.name, one.position, one.offset, one.reason))
                    for one in chunk.rejected
                ]
                self._citations += chunk.table.num_rows
                self._with_abstract += with_abstract(chunk.table)
                yield chunk.table

    def report(self) -> FileReport:
        return FileReport(
            self._source.name,
            self._records,
            self._books,
            self._citations,
            self._with_abstract,
            self._hard,
            self._deletions,
            self._quarantined,
            readable=True,
        )


def read_reports(directory: Directory, sources: Iterable[SourceFile]) -> list[FileReport]:
    """The reports of finished parts, in the order of the files."""
    made = Parts(directory, READ).read_markers()
    fields = FileReport.__dataclass_fields__
    return [
        FileReport(**{name: made[part_name(source)][name] for name in fields}) for source in sources
    ]


@dataclass(frozen=True)
class Losers:
    """Which records are not the citations: for each file (by its place in the order) the positions
    that go; how many were superseded by another record, and how many deleted."""

    positions: Mapping[int, list[int]]
    revised: int
    deletions_hit: int


def read_keys(directory: Directory, sources: Iterable[SourceFile]) -> pl.DataFrame:
    """(file, pmid, version, position) of every record of the parts, in order."""
    frames = [pl.DataFrame(schema=_KEYS)]
    for number, source in enumerate(sources):
        table = directory.read_table(
            f"{READ}/{part_name(source)}.parquet", ["pmid", "version", "position"]
        )
        frames.append(
            pl.DataFrame(table).select(
                pl.lit(number).alias("file").cast(pl.Int32),
                *(pl.col(one).cast(kind) for one, kind in _KEYS.items() if one != "file"),
            )
        )
    return pl.concat(frames)


def choose_losers(keys: pl.DataFrame, reports: Iterable[FileReport]) -> Losers:
    """The rules of the module docstring, over ``keys`` (file, pmid, version, position)."""
    ordered = keys.sort("pmid", "version", "file", "position")
    again = (pl.col("pmid") == pl.col("pmid").shift(-1)) & (
        pl.col("version") == pl.col("version").shift(-1)
    )
    last = ordered.filter(again.fill_null(False).not_())
    struck = last.join(_last_deletions(reports), on=["pmid", "version"]).filter(
        pl.col("deleted_in") >= pl.col("file")
    )
    standing = last.join(struck, on=["pmid", "version"], how="anti", maintain_order="left")
    kept = standing.filter((pl.col("pmid") == pl.col("pmid").shift(-1)).fill_null(False).not_())
    lost = keys.join(kept, on=["file", "position"], how="anti").sort("file", "position")
    by_file = lost.group_by("file", maintain_order=True).agg("position")
    positions = dict(zip(by_file["file"], by_file["position"].to_list(), strict=True))
    return Losers(positions, keys.height - struck.height - kept.height, struck.height)


def _last_deletions(reports: Iterable[FileReport]) -> pl.DataFrame:
    """(pmid, version) with the number of the last file that deletes it; a file's deletions follow
    its records."""
    rows = [
        (int(pmid), version, number)
        for number, report in enumerate(reports)
        for pmid, version in report.deletions
    ]
    schema = {"pmid": pl.Int64, "version": pl.Int32, "deleted_in": pl.Int32}
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .group_by("pmid", "version")
        .agg(pl.max("deleted_in"))
    )


def second_pass(name: str, losers: list[int], directory: Directory, source: str) -> int:
    """Write the winners of the part ``name`` into ``citations``, made from ``source``; returns how
    many of them have an abstract. A part that loses nothing is the same file."""
    parts = Parts(directory, CITATIONS.name)
    if losers:
        table = directory.read_table(f"{READ}/{name}.parquet")
        kept = table.filter(
            pc.invert(pc.is_in(table["position"], pa.array(losers, table["position"].type)))
        )
        abstracts = with_abstract(kept)
        parts.write(name, source, kept, {"citations": kept.num_rows, "with_abstract": abstracts})
        return abstracts
    report = Parts(directory, READ).read_marker(name)
    directory.link_or_copy(f"{READ}/{name}.parquet", f"{CITATIONS.name}/{name}.parquet")
    parts.finish(name, source, {one: report[one] for one in ("citations", "with_abstract")})
    return int(report["with_abstract"])


def with_abstract(table: pa.Table) -> int:
    return pc.sum(pc.not_equal(table["abstract"], "")).as_py() or 0
