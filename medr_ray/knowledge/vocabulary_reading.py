"""Reading a vocabulary file: what a reader yields, how its file is opened, and what it reports of
bad records.

What holds: a file is gzip or plain by its first bytes, local or at any URI ``pyarrow.fs``
understands; a bad record is counted and named with its place, never fatal; XML is parsed record by
record, fetches nothing and expands no entity.
"""

import contextlib
import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from lxml import etree

from medr_ray.core.errors import DataError
from medr_ray.core.files import BROKEN_GZIP, locate_file, open_unpacked
from medr_ray.core.records import EntityType

_KEPT = 50  # bad records named in a report; all are counted
_CHUNK = 2**20  # characters read at a time
_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a byte that is not UTF-8 becomes
_DECODER = json.JSONDecoder()
_AUTHORITIES = {  # who names concepts, as vocabularies call them, by what they are called here
    "omim": "OMIM",
    "mim": "OMIM",
    "orphanet": "ORPHA",
    "orpha": "ORPHA",
    "decipher": "DECIPHER",
    "mesh": "MESH",
    "mondo": "MONDO",
    "drugbank": "DRUGBANK",
    "hgnc": "HGNC",
    "ncbigene": "NCBIGENE",
}
_SEPARATORS = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class VocabularyEntry:
    """A record of a vocabulary, names as printed.

    ``symbols`` name it in exactly that case; ``xrefs`` are ids of the same thing elsewhere;
    ``codes`` are what its specialty is decided by (MeSH tree numbers, MONDO ids of broader
    diseases), unless ``specialty`` says it.
    """

    concept_id: str
    name: str
    entity_type: EntityType
    synonyms: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    specialty: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that could not be used: where it stands ("line 17") and why."""

    where: str
    reason: str


@dataclass
class MeshRecords:
    """What the MeSH files read so far say beside their entries: the tree numbers of each heading by
    its UI, and the names (as forms) of every record that is no drug, each with what it is ("" for
    neither disease, drug nor gene product)."""

    trees_by_heading: dict[str, tuple[str, ...]] = field(default_factory=dict)
    type_by_non_drug_name: dict[str, str] = field(default_factory=dict)


@dataclass
class VocabularyReport:
    """One file being read: what came of its records. ``skipped`` names the first bad ones, ``bad``
    counts all of them; ``left_out`` counts by reason the good records that are not for the lexicon.
    ``mesh`` is what the MeSH files say, this one and those before it."""

    path: str
    entity_type: EntityType | None = None
    mesh: MeshRecords = field(default_factory=MeshRecords)
    entry_count: int = 0
    joined_count: int = 0
    bad_count: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    omitted: Counter[str] = field(default_factory=Counter)

    def skip_record(self, where: str, reason: str) -> None:
        self.bad_count += 1
        if len(self.skipped) < _KEPT:
            self.skipped.append(Skipped(where, reason))

    def omit_record(self, reason: str) -> None:
        self.omitted[reason] += 1

    def format_error(self, expected: str, found: str) -> DataError:
        return DataError(f"{self.path}: expected {expected}, found {found}")


@contextlib.contextmanager
def open_vocabulary(path: str) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file or URI. DataError when it is missing, or its gzip is broken or
    cut off."""
    fs, located = locate_file(path)
    try:
        with fs.open_input_file(located) as file, open_unpacked(file) as stream:
            yield stream
    except BROKEN_GZIP as error:
        raise DataError(f"{path}: broken gzip ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}; name an existing file") from None


def file_digest(path: str) -> str:
    """SHA-256 of the file as stored, hexadecimal. DataError when it cannot be read."""
    fs, located = locate_file(path)
    try:
        with fs.open_input_stream(located, compression=None) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}; name an existing file") from None


def as_text(stream: BinaryIO) -> io.TextIOWrapper:
    """The stream as UTF-8 text, a byte order mark removed, broken bytes marked."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")


def read_rows(
    stream: BinaryIO, report: VocabularyReport, delimiter: str
) -> Iterator[tuple[str, list[str]]]:
    """("line N", cells) of every row that is not empty; cells may be quoted (RFC 4180). Rows that
    are not UTF-8 or cannot be split are skipped and reported."""
    rows = csv.reader(as_text(stream), delimiter=delimiter)
    while True:
        where = f"line {rows.line_num + 1}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            report.skip_record(where, f"not a row: {error}")
            continue
        if any(_BROKEN in cell for cell in row):
            report.skip_record(where, "not UTF-8")
        elif any(row):
            yield where, row


def read_table(
    stream: BinaryIO, report: VocabularyReport, delimiter: str, required: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """("line N", cell by column) of every row; columns are named by the first row, in any case.
    DataError when a required column is missing; rows of another width are skipped and reported."""
    rows = read_rows(stream, report, delimiter)
    _, header = next(rows, ("", []))
    columns = [column.strip().casefold() for column in header]
    missing = [column for column in required if column not in columns]
    if missing:
        raise report.format_error(
            f"a first row with the columns {', '.join(map(repr, required))}",
            f"{', '.join(map(repr, header[:8])) or 'nothing'} (missing: {', '.join(missing)})",
        )
    for where, row in rows:
        if len(row) != len(columns):
            report.skip_record(where, f"{len(row)} columns where the header has {len(columns)}")
        else:
            yield where, dict(zip(columns, map(str.strip, row), strict=True))


def read_elements(
    stream: BinaryIO, report: VocabularyReport, tags: Sequence[str], expected: str
) -> Iterator[tuple[str, etree._Element]]:
    """("TAG N", element) of every element with one of the tags, each freed after it was used.
    DataError when the file is not XML or is cut off."""
    try:
        elements = etree.iterparse(
            stream,
            events=("end",),
            tag=tuple(tags),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            collect_ids=False,
            remove_comments=True,
            remove_pis=True,
        )
        for number, (_, element) in enumerate(elements, 1):
            yield f"{element.tag} {number} (line {element.sourceline})", element
            _free_element(element)
    except etree.XMLSyntaxError as error:
        raise report.format_error(expected, f"no well-formed XML: {error}") from None


def _free_element(element: etree._Element) -> None:
    """Empties an element and drops all that stands before it, so that memory stays at one
    record."""
    element.clear(keep_tail=False)
    for ancestor in (element, *element.iterancestors()):
        parent = ancestor.getparent()
        while parent is not None and ancestor.getprevious() is not None:
            del parent[0]


def text_of(element: etree._Element, path: str) -> str:
    """The text at ``path`` below the element with its white space made single, "" where there is
    none."""
    return " ".join((element.findtext(path) or "").split())


def texts_of(element: etree._Element, path: str) -> tuple[str, ...]:
    """All the texts at ``path`` below the element, in order, without repeats."""
    texts = (" ".join((child.text or "").split()) for child in element.iterfind(path))
    return tuple(dict.fromkeys(text for text in texts if text))


def read_json_array(stream: BinaryIO, key: str = "") -> Iterator[Any]:
    """The elements of the first array under ``key`` (of the array the text is, without one), one at
    a time; reads the stream from its beginning.

    ValueError when there is no such array, when an element is broken or the text ends inside the
    array.
    """
    stream.seek(0)
    text = as_text(stream)
    try:
        buffer, at = _find_array(text, key)
        while True:
            at = cast(re.Match[str], _SEPARATORS.match(buffer, at)).end()
            if buffer[at : at + 1] == "]":
                return
            try:
                value, at = _DECODER.raw_decode(buffer, at)
            except json.JSONDecodeError:
                more = text.read(max(_CHUNK, len(buffer) - at))
                if not more:
                    raise ValueError("broken or cut off inside its list") from None
                buffer, at = buffer[at:] + more, 0
            else:
                yield value
    finally:
        text.detach()  # the stream stays open


def _find_array(text: io.TextIOBase, key: str) -> tuple[str, int]:
    """A piece of the text and the place behind the array's bracket in it."""
    opening = re.compile(rf'"{re.escape(key)}"\s*:\s*\[' if key else r"\s*\[")
    buffer = text.read(_CHUNK)
    while buffer:
        match = opening.search(buffer) if key else opening.match(buffer)
        if match:
            return buffer, match.end()
        more = text.read(_CHUNK) if key else ""
        buffer = buffer[-64:] + more if more else ""  # the key may be cut in two
    raise ValueError(f"no list {key!r}" if key else "no list")


def make_xref(namespace: str, local_id: str) -> str:
    """``AUTHORITY:id`` as concepts are named here, "" for a namespace that names no concept."""
    authority = _AUTHORITIES.get(namespace.strip().casefold(), "")
    return f"{authority}:{local_id.strip()}" if authority and local_id.strip() else ""
