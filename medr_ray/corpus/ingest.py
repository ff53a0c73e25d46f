"""The two passes of ingest, with one task for each file.

The first pass writes a part for each file with all its citations, and reports its deletions and the
records that had to be quarantined. Between the passes, the (PMID, version, file, position) of all
records decide which are kept. The second pass writes the kept records of each part, in order.

Rules: files apply in the given order, records in the order of their file. For each (PMID, version),
the last record is kept. A deletion removes the records of its (PMID, version) from its own file,
wherever they stand in it, and from the files before, but not from later files. For each PMID, the
highest version that remains becomes the citation. Dates are ignored. An unreadable record is
quarantined with its reason and place. An unreadable file is quarantined as a whole and contributes
no records.

The name of a part contains a hash of its file's content, and its marker the content's fingerprint.
So files that were read before are not read again when others are added, and the citations are the
same as if all files were read again.

Memory: a task holds one piece of its file at a time (8 MiB of XML, one record, and the tables made
from them), about 0.4 GB with its interpreter and libraries. The driver holds about 20 bytes for
each record of the corpus, in several copies while it sorts them: 3 GB for the whole of PubMed.
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
from medr_ray.corpus.corpus_files import CorpusFile, open_corpus_file
from medr_ray.corpus.record_stream import CitationChunk, read_citations

ALL_RECORDS_FOLDER = "parts"  # of the first pass; the second writes CITATIONS
# Of the text of citations. 2: raised figures and fractions keep their values. 3: other abstracts
# and titles stand in for missing ones, comments are no records. 4: powers may stand behind a space.
# 5: authors, identifiers, volume and pages, databank numbers and grants.
_FORMAT = 5
_READ_ERRORS = (DataError, OSError, *BROKEN_GZIP)  # what a damaged file or stream raises
_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9.-]+")
_KEY_SCHEMA = {"file": pl.Int32, "pmid": pl.Int64, "version": pl.Int32, "position": pl.Int32}


@dataclass(frozen=True)
class QuarantinedRecord:
    """A record that could not be read, at ``position`` (from 0) and byte ``offset`` of the file's
    XML; the whole file where both are null."""

    file: str
    position: int | None
    offset: int | None
    reason: str


@dataclass(frozen=True)
class FileReport:
    """The counts of the first pass over a file.

    ``hard`` counts the citations that the fast compiled parser could not handle, which the slower
    XML reader then parsed. ``deletions`` are (PMID, version) pairs. They are lists, not tuples,
    because the report is read back from the JSON of the part's marker.
    """

    name: str
    records: int
    books: int
    citations: int
    with_abstract: int
    hard: int
    deletions: list[list[Any]]
    quarantined: list[dict[str, Any]]
    readable: bool


def build_part_name(file: CorpusFile) -> str:
    """The name of a file's part: the file's name and the beginning of its content's hash.

    The name comes first, so that the sorted parts of NLM's files are in the order of their numbers.
    """
    stem = file.name.removesuffix(".gz").removesuffix(".xml")
    return f"{_UNSAFE_CHARACTERS.sub('-', stem)}-{digest(*file.content)[:8]}"


def build_part_fingerprint(file: CorpusFile, limit: int | None) -> str:
    """A digest of everything that decides the part of a file: its content, the limit of records,
    and the schema and format of citations."""
    return digest(*file.content, limit, str(arrow_schema(Citation)), _FORMAT)


# --- first pass -----------------------------------------------------------------------


def read_corpus_file(file: CorpusFile, directory: Directory, limit: int | None) -> FileReport:
    """Write the part of a file, then its marker, which contains the returned report."""
    parts = Parts(directory, ALL_RECORDS_FOLDER)
    name = build_part_name(file)
    schema = arrow_schema(Citation)
    reader = _FileReader(file, limit)
    try:
        parts.write_batches(name, schema, reader.read_tables())
        report = reader.build_report()
    except _READ_ERRORS as error:
        # An empty part replaces the records that were written before the damage.
        parts.write_batches(name, schema, [])
        report = _report_unreadable(file, error)
    parts.finish(name, build_part_fingerprint(file, limit), asdict(report))
    return report


def _report_unreadable(file: CorpusFile, error: Exception) -> FileReport:
    reason = f"{type(error).__name__}: {error}"
    return FileReport(
        name=file.name,
        records=0,
        books=0,
        citations=0,
        with_abstract=0,
        hard=0,
        deletions=[],
        quarantined=[asdict(QuarantinedRecord(file.name, None, None, reason))],
        readable=False,
    )


class _FileReader:
    """Reads one file as a sequence of tables and counts what they contain."""

    def __init__(self, file: CorpusFile, limit: int | None) -> None:
        self._file = file
        self._limit = limit
        self._records = 0
        self._books = 0
        self._citations = 0
        self._with_abstract = 0
        self._hard = 0
        self._deletions: list[list[Any]] = []
        self._quarantined: list[dict[str, Any]] = []

    def read_tables(self) -> Iterator[pa.Table]:
        with open_corpus_file(self._file) as stream:
            for chunk in read_citations(stream, self._file.name, self._limit):
                self._count_chunk(chunk)
                yield chunk.table

    def _count_chunk(self, chunk: CitationChunk) -> None:
        self._records += chunk.records
        self._books += chunk.books
        self._hard += chunk.hard
        self._citations += chunk.table.num_rows
        self._with_abstract += count_with_abstract(chunk.table)
        self._deletions += [list(deletion) for deletion in chunk.deletions]
        for record in chunk.rejected:
            quarantined = QuarantinedRecord(
                self._file.name, record.position, record.offset, record.reason
            )
            self._quarantined.append(asdict(quarantined))

    def build_report(self) -> FileReport:
        """The counts over the tables read so far."""
        return FileReport(
            name=self._file.name,
            records=self._records,
            books=self._books,
            citations=self._citations,
            with_abstract=self._with_abstract,
            hard=self._hard,
            deletions=self._deletions,
            quarantined=self._quarantined,
            readable=True,
        )


def read_reports(directory: Directory, files: Iterable[CorpusFile]) -> list[FileReport]:
    """The reports of finished parts, in the order of the files."""
    markers = Parts(directory, ALL_RECORDS_FOLDER).read_markers()
    fields = FileReport.__dataclass_fields__
    reports = []
    for file in files:
        marker = markers[build_part_name(file)]
        reports.append(FileReport(**{name: marker[name] for name in fields}))
    return reports


# --- which records are kept -----------------------------------------------------------


@dataclass(frozen=True)
class DroppedRecords:
    """The records that are not kept.

    ``positions`` maps the number of a file, from 0 in the given order, to the positions of its
    dropped records. ``replaced`` counts the records that were dropped because a later record of
    their (PMID, version) or a higher version of their PMID is kept. ``deleted`` counts the last
    records of their (PMID, version) that a deletion removed.
    """

    positions: Mapping[int, list[int]]
    replaced: int
    deleted: int


def read_record_keys(directory: Directory, files: Iterable[CorpusFile]) -> pl.DataFrame:
    """(file, pmid, version, position) of every record of the parts, in order."""
    # The empty frame is for a corpus without files, of which ``concat`` would fail.
    frames = [pl.DataFrame(schema=_KEY_SCHEMA)]
    for number, file in enumerate(files):
        path = f"{ALL_RECORDS_FOLDER}/{build_part_name(file)}.parquet"
        table = directory.read_table(path, ["pmid", "version", "position"])
        columns = [pl.lit(number).alias("file"), pl.col("pmid", "version", "position")]
        keys = pl.DataFrame(table).select(columns)
        frames.append(keys.cast(_KEY_SCHEMA))  # type: ignore[arg-type]
    return pl.concat(frames)


def choose_dropped_records(keys: pl.DataFrame, reports: Iterable[FileReport]) -> DroppedRecords:
    """Apply the rules of the module docstring to ``keys`` (file, pmid, version, position)."""
    # In this order the last row of each (pmid, version) is the one that is kept, and the last row
    # of each pmid has the highest version.
    ordered = keys.sort("pmid", "version", "file", "position")
    last = ordered.filter(_is_last_of("pmid", "version"))
    # Records of files after the last deletion stay.
    deleted = last.join(_find_last_deletions(reports), on=["pmid", "version"]).filter(
        pl.col("deleted_in") >= pl.col("file")
    )
    remaining = last.join(deleted, on=["pmid", "version"], how="anti", maintain_order="left")
    kept = remaining.filter(_is_last_of("pmid"))
    dropped = keys.join(kept, on=["file", "position"], how="anti").sort("file", "position")
    by_file = dropped.group_by("file", maintain_order=True).agg("position")
    positions = dict(zip(by_file["file"], by_file["position"].to_list(), strict=True))
    # Every record is kept, deleted or replaced.
    replaced = keys.height - deleted.height - kept.height
    return DroppedRecords(positions, replaced, deleted.height)


def _is_last_of(*columns: str) -> pl.Expr:
    """Whether the next row of a sorted frame differs in one of the columns. True for the last
    row."""
    same = pl.all_horizontal(pl.col(column) == pl.col(column).shift(-1) for column in columns)
    return same.fill_null(False).not_()


def _find_last_deletions(reports: Iterable[FileReport]) -> pl.DataFrame:
    """Returns for each deleted (pmid, version) the number of the last file that deletes it.

    The place of a deletion in its file does not matter: it also removes the records after it.
    """
    rows = [
        (int(pmid), version, number)
        for number, report in enumerate(reports)
        for pmid, version in report.deletions
    ]
    schema = {"pmid": pl.Int64, "version": pl.Int32, "deleted_in": pl.Int32}
    deletions = pl.DataFrame(rows, schema=schema, orient="row")
    return deletions.group_by("pmid", "version").agg(pl.max("deleted_in"))


# --- second pass ----------------------------------------------------------------------


def write_kept_citations(
    name: str, dropped: list[int], directory: Directory, fingerprint: str
) -> int:
    """Write the kept records of the part ``name`` into ``citations``.

    ``dropped`` are the positions of the other records. ``fingerprint`` identifies everything that
    the part is made from. Returns the number of citations with an abstract.
    """
    parts = Parts(directory, CITATIONS.name)
    if not dropped:
        # A part from which no record is dropped is linked instead of written again.
        report = Parts(directory, ALL_RECORDS_FOLDER).read_marker(name)
        directory.link_or_copy(
            f"{ALL_RECORDS_FOLDER}/{name}.parquet", f"{CITATIONS.name}/{name}.parquet"
        )
        counts = {field: report[field] for field in ("citations", "with_abstract")}
        parts.finish(name, fingerprint, counts)
        return int(report["with_abstract"])
    table = directory.read_table(f"{ALL_RECORDS_FOLDER}/{name}.parquet")
    positions = table["position"]
    is_dropped = pc.is_in(positions, pa.array(dropped, positions.type))
    kept = table.filter(pc.invert(is_dropped))
    abstracts = count_with_abstract(kept)
    parts.write(name, fingerprint, kept, {"citations": kept.num_rows, "with_abstract": abstracts})
    return abstracts


def count_with_abstract(table: pa.Table) -> int:
    """The number of citations in the table that have an abstract."""
    return pc.sum(pc.not_equal(table["abstract"], "")).as_py() or 0
