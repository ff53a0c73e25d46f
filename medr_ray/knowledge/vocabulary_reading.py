"""What all readers of vocabulary files share: opening the file, splitting it into records, and
reporting the records that could not be used.

A file is local or at any URI that ``pyarrow.fs`` understands. Whether it is gzip is decided by its
first bytes, not by its name. A bad record is counted and reported with its place, and reading
continues. A file that is not well-formed XML or JSON stops with an error. XML and JSON are parsed
record by record, so memory does not grow with the file. The XML parser fetches nothing and expands
no entity, because files may come from anywhere.
"""

import contextlib
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
from medr_ray.knowledge.table_rows import peek_columns, read_rows

_BLANK_START = b"\xef\xbb\xbf \r\n\t"  # byte order mark and white space
_NAMED_BYTES = 512  # of a file, by which an error says what it is
_OTHER_FORMATS = (
    (re.compile(rb"PK\x03\x04"), "a ZIP archive or an Excel workbook; save it as CSV"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an old Excel workbook; save it as CSV"),
    (re.compile(rb"%PDF-"), "a PDF"),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE),
        "HTML, such as a server's error page; download it again",
    ),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\b"), "XML"),
)
_MAX_NAMED_RECORDS = 50  # bad records named in a report; all are counted
_CHUNK_CHARACTERS = 2**20  # characters read at a time
_DECODER = json.JSONDecoder()
# The prefix of concept ids by the name that vocabularies give to the authority, in lower case.
_PREFIX_BY_NAMESPACE = {
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
# Precedes some names of Orphanet ("NON RARE IN EUROPE: ") and is not part of them.
_ORPHANET_REMARK = re.compile(r"^NON RARE IN [A-Z]+: ")
_SEPARATORS = re.compile(r"[\s,]*")
# Characters kept from the previous chunk while searching for a key, which a chunk may cut in two.
# They must hold the quoted key, the colon, the bracket and the white space between them; the keys
# that are searched for have fewer than ten letters.
_KEY_OVERLAP = 64


@dataclass(frozen=True, slots=True)
class VocabularyEntry:
    """A record of a vocabulary, with names as the file prints them.

    ``symbols`` are names that match only with the same upper and lower case. ``xrefs`` are the ids
    of the same concept in other vocabularies. ``specialty_codes`` (MeSH tree numbers, or MONDO ids
    of broader diseases) determine the specialty of a disease unless ``specialty`` is set.
    """

    concept_id: str
    name: str
    entity_type: EntityType
    synonyms: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    specialty_codes: tuple[str, ...] = ()
    specialty: str = ""


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record that could not be used: its place in the file ("line 17") and why."""

    where: str
    reason: str


@dataclass
class MeshRecords:
    """What later readers need to know of the MeSH files read so far.

    ``trees_by_heading`` maps the UI of a heading to its tree numbers. A supplementary concept has
    no tree numbers of its own and gets those of the headings it is mapped to.

    ``type_by_non_drug_name`` maps the normalised name of every record that is not a drug to its
    type ("" if it is not a disease or gene product either). The lexicon uses it to drop names
    and entries of other drug vocabularies that are not drugs.
    """

    trees_by_heading: dict[str, tuple[str, ...]] = field(default_factory=dict)
    type_by_non_drug_name: dict[str, str] = field(default_factory=dict)


@dataclass
class VocabularyReport:
    """What became of the records of one vocabulary file; readers fill it while they read.

    ``entity_type`` is the configured type for files that do not give one. ``mesh`` is shared by all
    files of one lexicon. ``entry_count`` counts the entries, ``joined_count`` those that joined an
    existing concept. ``bad_count`` counts all bad records, of which ``skipped`` names the first.
    ``omitted`` counts, by reason, sound records that do not belong in the lexicon.
    """

    path: str
    entity_type: EntityType | None = None
    mesh: MeshRecords = field(default_factory=MeshRecords)
    entry_count: int = 0
    joined_count: int = 0
    bad_count: int = 0
    skipped: list[SkippedRecord] = field(default_factory=list)
    omitted: Counter[str] = field(default_factory=Counter)

    def skip_record(self, where: str, reason: str) -> None:
        """Count a bad record, and name it if it is among the first."""
        self.bad_count += 1
        if len(self.skipped) < _MAX_NAMED_RECORDS:
            self.skipped.append(SkippedRecord(where, reason))

    def omit_record(self, reason: str) -> None:
        """Count a sound record that does not belong in the lexicon."""
        self.omitted[reason] += 1

    def build_format_error(self, expected: str, actual: str) -> DataError:
        """Returns the error for a file of another format; the caller raises it."""
        return DataError(f"{self.path}: expected {expected}, found {actual}")


@contextlib.contextmanager
def open_vocabulary(path: str) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file or URI.

    Raises DataError when the file is missing or its gzip is broken or cut off, also while the
    caller reads.
    """
    fs, path_in_fs = locate_file(path)
    try:
        with fs.open_input_file(path_in_fs) as file, open_unpacked(file) as stream:
            yield stream
    except BROKEN_GZIP as error:
        raise DataError(f"{path}: broken gzip ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}; name an existing file") from None


def peek_first_byte(stream: BinaryIO) -> bytes:
    """The first byte behind a byte order mark and white space, which tells the formats of a file
    apart. The stream is at its start afterwards."""
    first_byte = stream.read(64).lstrip(_BLANK_START)[:1]
    stream.seek(0)
    return first_byte


def file_digest(path: str) -> str:
    """SHA-256 of the file as stored, in hexadecimal. Raises DataError when it cannot be read."""
    fs, path_in_fs = locate_file(path)
    try:
        # By default pyarrow unpacks by the ending of the name; the digest is of the stored bytes.
        with fs.open_input_stream(path_in_fs, compression=None) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}; name an existing file") from None


def as_text(stream: BinaryIO) -> io.TextIOWrapper:
    """The stream as UTF-8 text, without a byte order mark; invalid bytes become U+FFFD."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")


def read_table(
    stream: BinaryIO, report: VocabularyReport, required: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """("line N", cell by column name) of every row; see ``table_rows`` for what is recognised.

    The first row names the columns; the names are case-folded. Rows that cannot be read, or have
    another width, are reported. Raises DataError when a required column is missing, or a column
    stands there twice.
    """
    delimiter, columns = check_columns(stream, report, required)
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise report.build_format_error(
            "every column once", f"{twice[0]!r} in several columns of the first row; rename one"
        )
    rows = read_rows(stream, delimiter, report.skip_record, len(columns))
    next(rows, None)  # the header
    for where, row in rows:
        yield where, dict(zip(columns, map(str.strip, row), strict=True))


def check_columns(
    stream: BinaryIO, report: VocabularyReport, required: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """What ``peek_columns`` finds. Raises DataError, which says what the file is, where a required
    column is missing."""
    beginning = stream.read(_NAMED_BYTES)
    stream.seek(0)
    delimiter, columns = peek_columns(stream, required)
    missing = [column for column in required if column not in columns]
    if not missing:
        return delimiter, columns
    # Eight columns are enough to recognise the file, and keep the message to one line.
    actual = f"{', '.join(map(repr, columns[:8]))} (missing: {', '.join(missing)})"
    if not beginning.strip():
        actual = "nothing: the file is empty"
    for pattern, name in _OTHER_FORMATS:
        if pattern.match(beginning):
            actual = name
    expected = f"a first row with the columns {', '.join(map(repr, required))}"
    raise report.build_format_error(expected, actual)


def read_elements(
    stream: BinaryIO, report: VocabularyReport, tags: Sequence[str], expected: str
) -> Iterator[tuple[str, etree._Element]]:
    """("TAG N (line L)", element) of every element with one of the tags.

    An element is freed when the next is requested, so nothing of it may be kept. Raises DataError
    when the file is not XML or is cut off.
    """
    try:
        elements = etree.iterparse(
            stream,
            events=("end",),
            tag=tuple(tags),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            collect_ids=False,  # a table of ids would keep what is freed
            remove_comments=True,
            remove_pis=True,
        )
        for number, (_, element) in enumerate(elements, 1):
            yield f"{element.tag} {number} (line {element.sourceline})", element
            _free_element(element)
    except etree.XMLSyntaxError as error:
        raise report.build_format_error(expected, f"no well-formed XML: {error}") from None


def _free_element(element: etree._Element) -> None:
    """Empty an element and delete all siblings before it and before its ancestors.

    ``iterparse`` keeps the whole tree. Clearing the element alone would leave one empty element per
    record.
    """
    element.clear(keep_tail=False)
    for ancestor in (element, *element.iterancestors()):
        parent = ancestor.getparent()
        while parent is not None and ancestor.getprevious() is not None:
            del parent[0]


def read_disorder_name(disorder: etree._Element) -> str:
    """The name of a <Disorder> of Orphadata, without a remark before it."""
    return _ORPHANET_REMARK.sub("", text_of(disorder, "Name"))


def text_of(element: etree._Element, path: str) -> str:
    """The text at ``path`` below the element, with single spaces; "" if there is none."""
    return " ".join((element.findtext(path) or "").split())


def texts_of(element: etree._Element, path: str) -> tuple[str, ...]:
    """All texts at ``path`` below the element, in order and without repeats."""
    texts = (" ".join((child.text or "").split()) for child in element.iterfind(path))
    return tuple(dict.fromkeys(text for text in texts if text))


def read_json_array(stream: BinaryIO, key: str = "") -> Iterator[Any]:
    """The elements of a JSON array, one at a time.

    The array is the first one under ``key``; without a key, it is the whole text. The stream is
    read from its beginning and stays open. Raises ValueError when there is no such array, an
    element is broken, or the text ends inside the array.
    """
    # Callers look at the beginning of the file first, or read several arrays of one file.
    stream.seek(0)
    text = as_text(stream)
    try:
        buffer, position = _find_array(text, key)
        while True:
            # ``[\s,]*`` always matches, if only the empty string.
            separator = cast(re.Match[str], _SEPARATORS.match(buffer, position))
            position = separator.end()
            if buffer[position : position + 1] == "]":
                return
            try:
                value, position = _DECODER.raw_decode(buffer, position)
            except json.JSONDecodeError:
                # The element is broken or continues beyond the buffer. Reading at least as much
                # again as is already buffered keeps the time linear in the length of a very long
                # element.
                more = text.read(max(_CHUNK_CHARACTERS, len(buffer) - position))
                if not more:
                    raise ValueError("broken or cut off inside its list") from None
                buffer = buffer[position:] + more
                position = 0
            else:
                yield value
    finally:
        text.detach()  # so that closing the text does not close the caller's stream


def _find_array(text: io.TextIOBase, key: str) -> tuple[str, int]:
    """Returns a piece of the text and the position in it that follows the array's opening
    bracket."""
    if not key:
        buffer = text.read(_CHUNK_CHARACTERS)
        match = re.match(r"\s*\[", buffer)
        if match is None:
            raise ValueError("no list")
        return buffer, match.end()
    opening = re.compile(rf'"{re.escape(key)}"\s*:\s*\[')
    buffer = text.read(_CHUNK_CHARACTERS)
    while buffer:
        match = opening.search(buffer)
        if match:
            return buffer, match.end()
        more = text.read(_CHUNK_CHARACTERS)
        buffer = buffer[-_KEY_OVERLAP:] + more if more else ""
    raise ValueError(f"no list {key!r}")


def make_xref(namespace: str, local_id: str) -> str:
    """``AUTHORITY:id`` in the form of concept ids; "" if the namespace is unknown or the id is
    empty."""
    prefix = _PREFIX_BY_NAMESPACE.get(namespace.strip().casefold(), "")
    stripped_id = local_id.strip()
    return f"{prefix}:{stripped_id}" if prefix and stripped_id else ""
