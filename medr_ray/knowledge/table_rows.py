"""Rows of delimited text, whoever wrote it.

Encoding and delimiter are recognised by looking: a byte order mark (or the zero bytes of UTF-16
without one), and the delimiter under which the first row has the columns that are wanted.

A first line ``sep=;``, as Excel writes it, is no row.

Guarantees: every line that is not blank is part of a row that is given or of one that is reported
as bad, so a stray quote never swallows the rows behind it. Between tabs a quote is an ordinary
character unless it stands around the whole cell. Between commas, semicolons and bars a quoted cell
may hold the delimiter and line breaks (RFC 4180); a quote that does not fit there is text.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

_DELIMITERS = ("\t", ",", ";", "|")
_HEADER_BYTES = 2**16  # within which the first row ends
_EXCEL_HINT = re.compile(r"\Asep=.[\r\n]*\Z", re.IGNORECASE)  # its own first line of a CSV file
# Lines that one quoted cell may span. A quote that is not closed within them is a stray one.
_MAX_CELL_LINES = 100
_MAX_CELL_CHARACTERS = 2**17  # a longer cell is none of a vocabulary; csv's own limit too
# Stands for each byte that could not be decoded.
_INVALID_BYTE = "\N{REPLACEMENT CHARACTER}"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SkipRow = Callable[[str, str], None]


def detect_encoding(beginning: bytes) -> str:
    """The Unicode encoding of a text by its first bytes: by its mark, by the zero bytes that UTF-16
    has beside every ASCII character, else UTF-8."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if beginning.startswith(mark):
            return encoding
    pairs = beginning[:64]
    if len(pairs) >= 4 and not any(pairs[1::2]) and all(pairs[0::2]):
        return "utf-16-le"
    if len(pairs) >= 4 and not any(pairs[0::2]) and all(pairs[1::2]):
        return "utf-16-be"
    return "utf-8"


def peek_columns(stream: BinaryIO, required: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """(delimiter, names in the first row, case-folded) of a table; the stream is at its start
    afterwards.

    The delimiter is the first one under which all ``required`` columns stand there, else the one
    that gives the most columns.
    """
    beginning = stream.read(_HEADER_BYTES)
    stream.seek(0)
    text = beginning.decode(detect_encoding(beginning), "replace")
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    first_line = next((line for line in lines if line.strip() and not _EXCEL_HINT.match(line)), "")
    headers = {delimiter: _split_header(first_line, delimiter) for delimiter in _DELIMITERS}
    for delimiter, columns in headers.items():
        if required and set(required) <= set(columns):
            return delimiter, columns
    widest = max(_DELIMITERS, key=lambda delimiter: len(headers[delimiter]))
    return widest, headers[widest]


def _split_header(line: str, delimiter: str) -> tuple[str, ...]:
    line = line.rstrip("\r\n")
    cells = _split_quoted(line, delimiter) or line.split(delimiter)
    if delimiter == "\t":
        cells = _split_tabs(line)
    return tuple(cell.strip().casefold() for cell in cells)


def read_rows(
    stream: BinaryIO, delimiter: str, skip_row: SkipRow, width: int | None = None
) -> Iterator[tuple[str, list[str]]]:
    """("line N", cells) of every row that is not empty, the first row too.

    Where ``width`` is given, rows have so many cells. ``skip_row`` is called with the place and the
    reason of every other row.
    """
    beginning = stream.read(_HEADER_BYTES)
    stream.seek(0)
    encoding = detect_encoding(beginning)
    text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
    try:
        for number, cells in _skip_hint(_split_lines(_LineBuffer(text), delimiter, width)):
            where = f"line {number}"
            if width is not None and not any(map(str.strip, cells[width:])):
                cells = cells[:width]  # separators behind the last column
            if any(_INVALID_BYTE in cell for cell in cells):
                name = encoding.removesuffix("-sig").upper()
                skip_row(where, f"not {name}: a byte that it does not have; save it as UTF-8")
            elif not any(cell.strip() for cell in cells):
                continue
            elif any("\0" in cell for cell in cells):
                skip_row(where, "a zero byte: the file is damaged, or is no text")
            elif width is not None and len(cells) != width:
                skip_row(where, f"{len(cells)} columns where the header has {width}")
            elif max(map(len, cells)) > _MAX_CELL_CHARACTERS:
                skip_row(where, f"a cell of more than {_MAX_CELL_CHARACTERS:,} characters")
            else:
                yield where, cells
    finally:
        text.detach()  # so that closing the text does not close the caller's stream


def _skip_hint(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """The rows without the line in which Excel names its separator, where that is the first."""
    first = next(rows, None)
    if first is not None and not (first[1] and first[1][0].casefold().startswith("sep=")):
        yield first
    yield from rows


class _LineBuffer:
    """Lines of a text, of which some may be looked at before they are taken."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self._ahead: list[str] = []
        self._is_first = True

    def peek(self, place: int) -> str:
        """The line at that place behind the ones that were taken; "" behind the last."""
        while len(self._ahead) <= place:
            line = self._text.readline()
            if not line:
                return ""
            if self._is_first:
                line = line.removeprefix("\ufeff")
                self._is_first = False
            self._ahead.append(line or "\n")
        return self._ahead[place]

    def take(self, count: int) -> None:
        """Go on behind so many lines."""
        del self._ahead[:count]


def _split_lines(
    lines: _LineBuffer, delimiter: str, width: int | None
) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, cells) of every row."""
    number = 1
    while lines.peek(0):
        count, cells = _split_row(lines, delimiter, width)
        lines.take(count)
        yield number, cells
        number += count


def _split_tabs(line: str) -> list[str]:
    """The cells between tabs; quotes go where they stand around a whole cell."""
    return [_strip_quotes(cell) for cell in line.split("\t")]


def _strip_quotes(cell: str) -> str:
    inner = cell[1:-1]
    is_quoted = len(cell) >= 2 and cell[0] == cell[-1] == '"'
    # A quote inside has to be doubled, else the outer ones are part of the text.
    if is_quoted and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _split_row(lines: _LineBuffer, delimiter: str, width: int | None) -> tuple[int, list[str]]:
    """(number of lines, cells) of the row that begins with the next line."""
    first = lines.peek(0).rstrip("\r\n")
    is_tabbed = delimiter == "\t"
    cells = _split_tabs(first) if is_tabbed else first.split(delimiter)
    if '"' not in first:
        return 1, cells
    if is_tabbed and (len(cells) == width or (width is None and not _is_quote_open(first))):
        return 1, cells
    # Where no quote fits, it is text, and the line is a row of its own.
    return _split_quoted_lines(lines, delimiter, width) or (1, cells)


def _split_quoted_lines(
    lines: _LineBuffer, delimiter: str, width: int | None
) -> tuple[int, list[str]] | None:
    """(number of lines, cells) of the row by RFC 4180; None where its quotes are others."""
    taken = 0

    def take_lines() -> Iterator[str]:
        nonlocal taken
        characters = 0
        # Without a width nothing tells whether a cell of several lines is meant.
        for place in range(_MAX_CELL_LINES if width is not None else 1):
            line = lines.peek(place)
            characters += len(line)
            if not line or characters > _MAX_CELL_CHARACTERS:
                return
            taken = place + 1
            yield line

    try:
        # Takes line after line until the row's quotes are closed, and reads each once.
        cells = next(csv.reader(take_lines(), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return None
    return (taken, cells) if taken == 1 or len(cells) == width else None


def _is_quote_open(line: str) -> bool:
    """Whether a cell between tabs begins with a quote that another cell closes."""
    return any(cell.count('"') % 2 for cell in line.split("\t"))


def _split_quoted(row: str, delimiter: str) -> list[str] | None:
    """The cells of a row by RFC 4180; None where a quote does not fit or is not closed."""
    try:
        rows = list(csv.reader(io.StringIO(row, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
