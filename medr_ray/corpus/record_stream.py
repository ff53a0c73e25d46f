"""Reads a stream of PubMed XML into Arrow tables.

The compiled passes read almost every record. The plain reader (``medline``) reads the few that they
leave unread.

Guarantees: every row is the one that ``medline.build_citation_row`` gives. Rows are in file order.
A record that cannot be read is rejected with its reason and its place. Memory is bounded whatever
the file: the piece last read (8 MiB), a record that the piece cuts in two (64 MiB at most), and
the columns of both, which take less than the text they were read from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from medr_ray.core.errors import DataError
from medr_ray.corpus import medline, scan
from medr_ray.corpus.byte_words import SLACK
from medr_ray.corpus.column_memory import ScanResult, Workspace, replace_rows

_PIECE_BYTES = 8 * 2**20  # read before the next scan
_BLOCK_BYTES = 2**20  # for each read: few enough that the copy comes from the processor's cache
# Room for the beginning of a record that a piece cuts in two, before more is allocated.
_SPARE_BYTES = 2**20
_MAX_RECORD_BYTES = 64 * 2**20  # NLM's records stay below 1 MiB
_TAG_BY_KIND = {
    scan.CITATION: medline.CITATION,
    scan.BOOK: medline.BOOK,
    scan.DELETION: medline.DELETION,
}


@dataclass(frozen=True)
class RejectedRecord:
    """A record that could not be read.

    ``position`` is its place among the file's citations and books, from 0 (for a list of deletions:
    that of the record after it); ``offset`` is where it begins, in bytes of the decompressed
    stream.
    """

    position: int
    offset: int
    reason: str


@dataclass(frozen=True)
class CitationChunk:
    """Consecutive records of a file.

    ``table`` has ``arrow_schema(Citation)``. ``deletions`` are the (PMID, version) pairs of
    DeleteCitation lists. ``records`` counts citations and books, rejected ones too; ``books`` the
    books among them; ``hard`` the citations that the compiled passes left to the plain reader.
    """

    table: pa.Table
    deletions: list[tuple[str, int]]
    rejected: list[RejectedRecord]
    records: int
    books: int
    hard: int


def read_citations(
    stream: BinaryIO, source_file: str, limit: int | None = None
) -> Iterator[CitationChunk]:
    """The records of a stream, or its first ``limit`` citations and books, about a thousand a
    chunk.

    DataError when the stream is not PubMed XML or ends early; errors of the stream itself (a broken
    gzip) pass through.
    """
    window = _Window(stream)
    header = _read_header(window)
    position = 0
    is_closed = False  # whether the end of the set was seen after the last record so far
    while True:
        remaining = scan.NO_LIMIT if limit is None else limit - position
        result = window.workspace.read(window.size, remaining, header.is_utf8)
        if len(result.records):
            chunk = _build_chunk(window, result, source_file, position, header.encoding)
            position += chunk.records
            is_closed = False
            yield chunk
        if position == limit:
            return
        is_cut = result.cut >= 0
        if is_cut:
            is_closed = False
            keep = result.cut
        else:
            is_closed = is_closed or medline.SET_END in window.copy_bytes(result.end, window.size)
            # The piece may end within a tag, so its last bytes are looked at again.
            keep = max(result.end, window.size - medline.LONGEST_TAG)
        if not window.advance(keep):
            break
    if is_cut or (header.is_set and not is_closed):
        end = window.offset if is_cut else window.offset + window.size
        raise medline.build_truncation_error(end, is_cut)


class _Window:
    """The part of a stream that is in memory, at the beginning of the workspace's text.

    It has ``size`` bytes, the first of which is at ``offset`` in the stream.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0
        self.size = 0
        self.workspace = Workspace(_PIECE_BYTES + _SPARE_BYTES)

    def copy_bytes(self, begin: int, end: int) -> bytes:
        return self.workspace.text[begin:end].tobytes()

    def advance(self, keep: int) -> bool:
        """Drop the text before ``keep`` and read one more piece; False at the end of the stream.

        DataError when a record is longer than any can be.
        """
        kept = self.copy_bytes(keep, self.size)
        if len(kept) > _MAX_RECORD_BYTES:
            raise DataError(
                f"the record that begins at byte {self.offset + keep} does not end within "
                f"{_MAX_RECORD_BYTES} bytes; download the file again"
            )
        if len(kept) + _PIECE_BYTES > self.workspace.size:
            self.workspace = Workspace(2 * len(kept) + _PIECE_BYTES)
        self._write_block(0, kept)
        self.offset += keep
        self.size = len(kept)
        target = len(kept) + _PIECE_BYTES
        while self.size < target:
            block = self._stream.read(min(_BLOCK_BYTES, target - self.size))
            if not block:
                break
            self._write_block(self.size, block)
            self.size += len(block)
        # The scan looks beyond the text, where bytes of an earlier piece may be left.
        self._write_block(self.size, bytes(SLACK))
        return self.size > len(kept)

    def _write_block(self, at: int, block: bytes) -> None:
        self.workspace.text[at : at + len(block)] = np.frombuffer(block, np.uint8)


def _read_header(window: _Window) -> medline.FileHeader:
    while window.size < medline.HEADER_BYTES and window.advance(0):
        header = medline.read_header(window.copy_bytes(0, window.size))
        if header is not None:
            return header
    raise medline.build_format_error(window.copy_bytes(0, window.size))


def _build_chunk(
    window: _Window, result: ScanResult, source_file: str, position: int, encoding: str
) -> CitationChunk:
    """The records of a scan as a chunk; the plain reader reads those that the passes left
    unread."""
    deletions: list[tuple[str, int]] = []
    rejected: list[RejectedRecord] = []
    replacements: list[tuple[int, dict[str, Any] | None]] = []
    table = window.workspace.build_table(result.rows, source_file, position)
    is_row = result.records["row"] >= 0
    is_unread = result.records["is_read"] == 0
    rows_before: list[int] = (np.cumsum(is_row) - is_row).tolist()
    for i in np.flatnonzero(is_unread):
        record = _copy_record(window, result.records[i], position + rows_before[i], encoding)
        row = None
        try:
            if is_row[i]:
                element = medline.parse_element(record)
                row = medline.build_citation_row(element, source_file, record.position)
            else:
                deletions += medline.parse_deletions(record)
        except DataError as error:
            rejected.append(RejectedRecord(record.position, record.offset, str(error)))
        if is_row[i]:
            replacements.append((rows_before[i], row))
    table = replace_rows(table, replacements)
    books = int((result.records["kind"] == scan.BOOK).sum())
    # The passes never read books, so the other records that were replaced are citations.
    hard = len(replacements) - books
    return CitationChunk(table, deletions, rejected, result.rows, books, hard)


def _copy_record(
    window: _Window, record: Any, position: int, encoding: str
) -> medline.PubmedRecord:
    """A record that the passes left, out of the memory that will be used again."""
    begin = int(record["begin"])
    data = window.copy_bytes(begin, int(record["end"]))
    tag = _TAG_BY_KIND[int(record["kind"])]
    return medline.PubmedRecord(tag, position, window.offset + begin, data, encoding)
