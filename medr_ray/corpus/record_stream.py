"""A stream of PubMed XML as Arrow tables: the compiled passes, and the plain reader for the few
records they leave.

What holds: every row is the one ``medline.citation_row`` gives; rows stand in file order; a record
that cannot be read is rejected with its reason and its place. Memory is bounded whatever the file:
the piece last read (8 MiB), a record that it cuts in two (64 MiB at most), and the columns of both,
which hold less than they were read from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from medr_ray.core.errors import DataError
from medr_ray.corpus import medline, scan
from medr_ray.corpus.byte_words import SLACK
from medr_ray.corpus.column_memory import Found, Workspace, splice

_PIECE = 8 * 2**20  # bytes read before the next scan
_READ = 2**20  # bytes at a time: few enough to be copied from the processor's cache
_SPARE = 2**20  # room for the record that a piece cuts in two, before more is made
_LONGEST = 64 * 2**20  # bytes of one record; those of NLM stay below 1 MiB
_KINDS = {scan.CITATION: medline.CITATION, scan.BOOK: medline.BOOK, scan.DELETION: medline.DELETION}


@dataclass(frozen=True)
class Rejected:
    """A record that could not be read.

    ``position`` is its place among the file's citations and books, from 0 (for a list of deletions:
    that of the record after it); ``offset`` is where it begins, in bytes of the decompressed
    stream.
    """

    position: int
    offset: int
    reason: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of a file.

    ``table`` has ``arrow_schema(Citation)``; ``deletions`` are the (PMID, version) pairs of
    DeleteCitation lists; ``records`` counts citations and books, rejected ones too, ``books`` the
    books among them, ``hard`` the citations that the compiled passes left to the plain reader.
    """

    table: pa.Table
    deletions: list[tuple[str, int]]
    rejected: list[Rejected]
    records: int
    books: int
    hard: int


def read_citations(stream: BinaryIO, source_file: str, limit: int | None = None) -> Iterator[Chunk]:
    """The records of a stream, or its first ``limit`` citations and books, about a thousand at a
    time.

    DataError when the stream is no PubMed XML or ends early; errors of the stream itself (a broken
    gzip) pass through.
    """
    window = _Window(stream)
    header = _read_header(window)
    position, closed = (
        0,
        False,
    )  # closed: whether the end of the set stands after the last record so far
    while True:
        most = scan.EVERY if limit is None else limit - position
        found = window.space.read(window.size, most, header.is_utf8)
        if len(found.records):
            chunk = _chunk(window, found, source_file, position, header.encoding)
            position, closed = position + chunk.records, False
            yield chunk
        if position == limit:
            return
        is_cut = found.cut >= 0
        closed = not is_cut and (closed or medline.SET_END in window.copy(found.end, window.size))
        if not window.advance(
            found.cut if is_cut else max(found.end, window.size - medline.LONGEST_TAG)
        ):
            break
    if is_cut or (header.is_set and not closed):
        raise medline.truncated(window.offset + (0 if is_cut else window.size), is_cut)


class _Window:
    """The part of a stream that is in memory, at the beginning of ``space.text``: ``size`` bytes,
    the first of which is at ``offset`` in the stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = self.size = 0
        self.space = Workspace(_PIECE + _SPARE)

    def copy(self, begin: int, end: int) -> bytes:
        return self.space.text[begin:end].tobytes()

    def advance(self, keep: int) -> bool:
        """Drop what stands before ``keep`` and read a piece more; False at the end of the stream.
        DataError when a record is longer than any can be."""
        kept = self.copy(keep, self.size)
        if len(kept) > _LONGEST:
            raise DataError(
                f"the record that begins at byte {self.offset + keep} does not end within {_LONGEST} "
                "bytes; download the file again"
            )
        if len(kept) + _PIECE > self.space.size:
            self.space = Workspace(2 * len(kept) + _PIECE)
        self._put(0, kept)
        self.offset, self.size, wanted = self.offset + keep, len(kept), len(kept) + _PIECE
        while self.size < wanted and (block := self._stream.read(min(_READ, wanted - self.size))):
            self._put(self.size, block)
            self.size += len(block)
        self._put(self.size, bytes(SLACK))
        return self.size > len(kept)

    def _put(self, at: int, block: bytes) -> None:
        self.space.text[at : at + len(block)] = np.frombuffer(block, np.uint8)


def _read_header(window: _Window) -> medline.Header:
    while window.size < medline.HEAD and window.advance(0):
        header = medline.read_header(window.copy(0, window.size))
        if header is not None:
            return header
    raise medline.no_pubmed()


def _chunk(window: _Window, found: Found, source_file: str, position: int, encoding: str) -> Chunk:
    """What was found, with the records that are left read by lxml."""
    deletions: list[tuple[str, int]] = []
    rejected: list[Rejected] = []
    replaced: list[tuple[int, dict[str, Any] | None]] = []
    is_row = found.records["row"] >= 0
    before: list[int] = (np.cumsum(is_row) - is_row).tolist()
    for i in np.flatnonzero(found.records["read"] == 0):
        begin, end = int(found.records["begin"][i]), int(found.records["end"][i])
        record = medline.Record(
            _KINDS[int(found.records["kind"][i])],
            position + before[i],
            window.offset + begin,
            window.copy(begin, end),
            encoding,
        )
        row = None
        try:
            if is_row[i]:
                row = medline.citation_row(
                    medline.parse_element(record), source_file, record.position
                )
            else:
                deletions += medline.deleted(record)
        except DataError as error:
            rejected.append(Rejected(record.position, record.offset, str(error)))
        if is_row[i]:
            replaced.append((before[i], row))
    table = splice(window.space.table(found.rows, source_file, position), replaced)
    books = int((found.records["kind"] == scan.BOOK).sum())
    return Chunk(table, deletions, rejected, found.rows, books, hard=len(replaced) - books)
