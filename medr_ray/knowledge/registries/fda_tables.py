"""Tables of delimited text as the FDA publishes them: a file, a gzip, or the members of a zip.

Guarantees: columns are found by their names, because editions order them differently. A row of
another width is listed with its line and hides no other. Quotation marks are characters of the
text: read as quotes they would swallow line ends.
"""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from medr_ray.core.errors import DataError
from medr_ray.core.files import BROKEN_GZIP
from medr_ray.knowledge.registries.record_reading import UnusableRecords, buffer_lines
from medr_ray.knowledge.vocabulary_reading import open_vocabulary

Row = Mapping[str, str]
_ZIP_MAGIC = b"PK"
_SHOWN_COLUMNS = 6  # of a first line that is not the one expected
_SHOWN_CHARS = 30
# RuntimeError: the member has a password. NotImplementedError: an unusual way of packing.
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
_BREAKS_OFF = (*BROKEN_GZIP, *_DAMAGED_ZIP)


@dataclass(frozen=True)
class Table:
    """A table with its first line read. ``file`` names it in messages, ``name`` is that of the
    file or of the zip's member, ``lines`` are what follows the first line."""

    file: str
    name: str
    columns: tuple[str, ...]
    delimiter: str
    lines: Iterator[bytes]


def is_zip(path: str) -> bool:
    """By the first bytes. Raises DataError when the file cannot be read."""
    with open_vocabulary(path) as stream:
        return stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def list_table_names(path: str) -> list[str]:
    """The names of a zip's members, without folders. Raises DataError when it is none or has lost
    its directory."""
    with _open_archive(path) as archive:
        return [PurePosixPath(member).name for member in archive.namelist()]


def read_tables(path: str, delimiter: str, unusable: UnusableRecords) -> Iterator[Table]:
    """The table of a file, or those of a zip one after another; each is read before the next.

    What cannot be read is listed: the rest of a table that breaks off by ``read_rows``.
    """
    try:
        if not is_zip(path):
            with open_vocabulary(path) as stream:
                yield _start_table(path, PurePosixPath(path).name, delimiter, stream)
            return
        with _open_archive(path) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                file = f"{path}/{member.filename}"
                try:
                    with archive.open(member) as stream:
                        name = PurePosixPath(member.filename).name
                        yield _start_table(file, name, delimiter, cast(BinaryIO, stream))
                except _DAMAGED_ZIP as error:
                    unusable.add_record(file, "the whole table", f"damaged zip: {error}")
    except DataError as error:
        unusable.add_record(path, "the rest of the file", str(error))


@contextlib.contextmanager
def _open_archive(path: str) -> Iterator[zipfile.ZipFile]:
    with open_vocabulary(path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError) as error:  # pyarrow cannot seek in a few bytes
            raise DataError(f"a zip without its directory ({error}): download it again") from None
        with archive:
            yield archive


def _start_table(file: str, name: str, delimiter: str, stream: BinaryIO) -> Table:
    lines = iter(buffer_lines(stream)) if not isinstance(stream, zipfile.ZipExtFile) else stream
    first = _decode_line(next(lines, b""))
    columns = tuple(column.strip() for column in first.split(delimiter))
    return Table(file, name, columns, delimiter, lines)


def check_columns(table: Table, required: Sequence[str], remedy: str) -> None:
    """Raises DataError with the missing columns and the remedy."""
    missing = [column for column in required if column not in table.columns]
    if missing:
        first_columns = [column[:_SHOWN_CHARS] for column in table.columns[:_SHOWN_COLUMNS]]
        header = ", ".join(first_columns)
        raise DataError(f"no column {', '.join(missing)} in the first line ({header} …): {remedy}")


def read_rows(table: Table, unusable: UnusableRecords) -> Iterator[tuple[str, Row]]:
    """("line N", cell by column) of every row that is as wide as the first line."""
    width = len(table.columns)
    number = 1
    try:
        for line in table.lines:
            number += 1
            text = _decode_line(line)
            if not text:
                continue
            cells = text.split(table.delimiter)
            if len(cells) == width:
                yield f"line {number}", dict(zip(table.columns, map(str.strip, cells), strict=True))
            else:
                reason = f"{len(cells)} columns where the first line has {width}"
                unusable.add_record(table.file, f"line {number}", reason)
    except _BREAKS_OFF as error:
        where = f"the rest of the file, from line {number + 1}"
        unusable.add_record(table.file, where, f"it breaks off: {error}; download it again")


def _decode_line(line: bytes) -> str:
    """What is not UTF-8 is read as Windows-1252."""
    line = line.rstrip(b"\r\n")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
