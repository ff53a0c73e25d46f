"""Approvals of drugs: applications to the FDA with their products, submissions, patents and
exclusivities.

Formats: the tables of Drugs@FDA, tab-separated in a zip
(https://www.fda.gov/drugs/drug-approvals-and-databases/drugsfda-data-files), and ``patent.txt`` and
``exclusivity.txt`` of the Orange Book, separated by ``~``
(https://www.fda.gov/drugs/drug-approvals-and-databases/orange-book-data-files). The first bytes of
a file decide which it is. One application makes one document; its year is that of the latest
submission in the files.
"""

import csv
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, cast

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.record_reading import UnusableRecords, buffer_lines
from medr_ray.knowledge.vocabulary_reading import open_vocabulary
from medr_ray.retrieval.documents import FDA_APPROVALS, Document
from medr_ray.retrieval.readers.plain_records import format_text, parse_year, to_single_line

_PUBLISHED_IN = "Drugs@FDA"
_APPROVED = "AP"  # SubmissionStatus
_ORIGINAL = "ORIG"  # SubmissionType; the others are supplements
_NO_REVIEW = ("", "unknown", "n/a")  # ReviewPriority, in lower case
_ORANGE_BOOK_TYPES = {"N": "NDA", "A": "ANDA"}
_NUMBER_COLUMNS = ("ApplNo", "Appl_No")
_NUMBER = re.compile(r"[0-9]{1,6}")
_NUMBER_DIGITS = 6
_ZIP_MAGIC = b"PK"
_ORANGE_BOOK_COLUMNS = ("Appl_Type", "Appl_No", "Product_No")
_COLUMNS = {  # that are read, of each table of Drugs@FDA
    "MarketingStatus_Lookup.txt": ("MarketingStatusID", "MarketingStatusDescription"),
    "MarketingStatus.txt": ("ApplNo", "ProductNo", "MarketingStatusID"),
    "SubmissionClass_Lookup.txt": ("SubmissionClassCodeID", "SubmissionClassCodeDescription"),
    "Applications.txt": ("ApplNo", "ApplType", "SponsorName"),
    "Products.txt": ("ApplNo", "ProductNo", "DrugName", "ActiveIngredient", "Form", "Strength"),
    "Submissions.txt": (
        "ApplNo",
        "SubmissionType",
        "SubmissionNo",
        "SubmissionStatus",
        "SubmissionStatusDate",
        "SubmissionClassCodeID",
        "SubmissionsPublicNotes",
        "ReviewPriority",
    ),
}
_PATENT_COVERS = {"Drug_Substance_Flag": "drug substance", "Drug_Product_Flag": "drug product"}
Row = Mapping[str, str]


@dataclass
class Application:
    """What the files have of one application.

    ``number`` is its six digits, ``kind`` NDA, ANDA or BLA. ``names`` and ``ingredients`` are
    ordered sets. Products, submissions, patents and exclusivities are in the words of the document;
    ``last`` is the latest date, YYYY-MM-DD.
    """

    number: str
    kind: str = ""
    sponsor: str = ""
    names: dict[str, None] = field(default_factory=dict)
    ingredients: dict[str, None] = field(default_factory=dict)
    products: list[str] = field(default_factory=list)
    approval: str = ""
    supplements: list[str] = field(default_factory=list)
    patents: list[str] = field(default_factory=list)
    exclusivities: list[str] = field(default_factory=list)
    last: str = ""


# --- documents ------------------------------------------------------------------------


def read_approvals(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``FDA:<kind and number>`` for every application with a product, patent or exclusivity."""
    applications: dict[str, Application] = {}
    for path in paths:
        try:
            with open_vocabulary(path) as stream:
                _read_file(path, stream, applications, unusable)
        except (DataError, zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
            unusable.add_record(path, "the rest of the file", str(error))
    for number in sorted(applications):
        try:
            yield document_from_application(applications[number])
        except DataError as error:
            unusable.add_record(", ".join(paths), f"application {number}", str(error))


def document_from_application(application: Application) -> Document:
    """The document of one application. DataError for one that has nothing but a number."""
    if not (application.products or application.patents or application.exclusivities):
        raise DataError("neither a product nor a patent or an exclusivity")
    number = f"{application.kind}{application.number}"
    names = ", ".join(application.names) or "Unnamed drug"
    if application.ingredients:
        names += f" ({'; '.join(application.ingredients)})"
    title = to_single_line(f"{names}: FDA approval {number}")
    sections = [
        ("Sponsor", application.sponsor),
        ("Approval", application.approval),
        ("Products", "; ".join(application.products)),
        ("Supplements", "; ".join(application.supplements)),
        ("Patents", "; ".join(application.patents)),
        ("Exclusivity", "; ".join(application.exclusivities)),
    ]
    return Document(
        document_id=f"FDA:{number}",
        source=FDA_APPROVALS,
        title=title,
        text=format_text(title, sections),
        year=parse_year(application.last),
        publication_types=(),
        retracted=False,
        journal=_PUBLISHED_IN,
    )


def _read_file(
    path: str,
    stream: BinaryIO,
    applications: dict[str, Application],
    unusable: UnusableRecords,
) -> None:
    """Add one file's rows to the applications they belong to."""
    # By content: a file's name says nothing certain.
    start = stream.read(4)
    stream.seek(0)
    if start.startswith(_ZIP_MAGIC):
        with zipfile.ZipFile(stream) as archive:
            _read_drugs_at_fda(path, archive, applications, unusable)
        return
    rows = _read_rows(path, buffer_lines(stream), "~", _ORANGE_BOOK_COLUMNS, unusable)
    for where, row in rows:
        try:
            _add_orange_book_row(row, applications)
        except (DataError, ValueError) as error:
            unusable.add_record(path, where, str(error))


def _find_application(number: str, kind: str, applications: dict[str, Application]) -> Application:
    """The application of that number, made where it is new."""
    number = number.zfill(_NUMBER_DIGITS)
    application = applications.setdefault(number, Application(number))
    # The first file that states a kind decides; later ones only fill in what is missing.
    application.kind = application.kind or kind
    return application


# --- Drugs@FDA ------------------------------------------------------------------------


def _read_drugs_at_fda(
    path: str,
    archive: zipfile.ZipFile,
    applications: dict[str, Application],
    unusable: UnusableRecords,
) -> None:
    statuses: dict[str, str] = {}
    for row in _read_table(path, archive, "MarketingStatus_Lookup.txt", unusable):
        statuses[row["MarketingStatusID"]] = row["MarketingStatusDescription"]
    product_statuses: dict[tuple[str, str], str] = {}
    for row in _read_table(path, archive, "MarketingStatus.txt", unusable):
        product = (row["ApplNo"], row["ProductNo"])
        product_statuses[product] = statuses.get(row["MarketingStatusID"], "")
    classes: dict[str, str] = {}
    for row in _read_table(path, archive, "SubmissionClass_Lookup.txt", unusable):
        classes[row["SubmissionClassCodeID"]] = row["SubmissionClassCodeDescription"]
    # Applications first: their kind stands in the texts of the submissions.
    for row in _read_table(path, archive, "Applications.txt", unusable):
        application = _find_application(row["ApplNo"], row["ApplType"], applications)
        application.sponsor = row["SponsorName"]
    for row in _read_table(path, archive, "Products.txt", unusable):
        application = _find_application(row["ApplNo"], "", applications)
        application.names[row["DrugName"]] = None
        application.ingredients[row["ActiveIngredient"]] = None
        status = product_statuses.get((row["ApplNo"], row["ProductNo"]), "")
        application.products.append(_format_product(row, status))
    submissions: dict[str, list[Row]] = defaultdict(list)
    for row in _read_table(path, archive, "Submissions.txt", unusable):
        if row["SubmissionStatus"] == _APPROVED and row["SubmissionStatusDate"]:
            submissions[row["ApplNo"]].append(row)
    for number, rows in submissions.items():
        _add_submissions(_find_application(number, "", applications), rows, classes)


def _add_submissions(
    application: Application, rows: Sequence[Row], classes: Mapping[str, str]
) -> None:
    """The original approval and the supplements, by date."""
    for row in sorted(rows, key=lambda row: (row["SubmissionStatusDate"], row["SubmissionNo"])):
        date = row["SubmissionStatusDate"][:10]  # without the time of day
        notes = (classes.get(row["SubmissionClassCodeID"], ""), row["SubmissionsPublicNotes"])
        details = [to_single_line(note) for note in notes if note.strip()]
        if row["SubmissionType"] == _ORIGINAL and not application.approval:
            review = row["ReviewPriority"].lower()
            if review not in _NO_REVIEW:
                details.append(f"{review} review")
            approval = f"{application.kind} approved on {date}"
            application.approval = ", ".join([approval, *details])
        else:
            application.supplements.append(f"{date} {', '.join(details)}".strip())
        application.last = max(application.last, date)


def _format_product(row: Row, status: str) -> str:
    form = row["Form"].replace(";", ", ").lower()
    parts = (f"{row['ProductNo']} {row['DrugName']}", form, row["Strength"], status.lower())
    return ", ".join(filter(None, map(str.strip, parts)))


def _read_table(
    path: str, archive: zipfile.ZipFile, name: str, unusable: UnusableRecords
) -> Iterator[Row]:
    """The rows of a table of the archive; DataError where it is missing."""
    if name not in archive.namelist():
        raise DataError(f"no {name} in the archive: give the zip of Drugs@FDA data files")
    with archive.open(name) as stream:
        file = cast(BinaryIO, stream)
        rows = _read_rows(f"{path}/{name}", file, "\t", _COLUMNS[name], unusable)
        yield from (row for _, row in rows)


# --- the Orange Book ------------------------------------------------------------------


def _add_orange_book_row(row: Row, applications: dict[str, Application]) -> None:
    """A patent or an exclusivity.

    DataError for a row of another table, ValueError for a date that cannot be read.
    """
    kind = _ORANGE_BOOK_TYPES.get(row["Appl_Type"], "")
    application = _find_application(row["Appl_No"], kind, applications)
    product = f"product {row['Product_No']}"
    if "Patent_No" in row:
        expires = _format_date(row.get("Patent_Expire_Date_Text", ""))
        parts = [f"{product} patent {row['Patent_No']} expires {expires}"]
        parts += [covers for flag, covers in _PATENT_COVERS.items() if row.get(flag) == "Y"]
        if row.get("Patent_Use_Code"):
            parts.append(f"use {row['Patent_Use_Code']}")
        application.patents.append(", ".join(parts))
    elif "Exclusivity_Code" in row:
        until = _format_date(row.get("Exclusivity_Date", ""))
        application.exclusivities.append(f"{product} {row['Exclusivity_Code']} until {until}")
    else:
        raise DataError("neither a patent nor an exclusivity")


def _format_date(text: str) -> str:
    """ "Aug 24, 2026" as 2026-08-24."""
    return f"{datetime.strptime(text, '%b %d, %Y'):%Y-%m-%d}"


# --- tables ---------------------------------------------------------------------------


def _read_rows(
    path: str,
    stream: BinaryIO,
    delimiter: str,
    required: Sequence[str],
    unusable: UnusableRecords,
) -> Iterator[tuple[str, Row]]:
    """("line N", cell by column) of every row that is as wide as the header and whose application
    number is one.

    DataError where a required column is missing.
    """
    lines = (_decode_line(line) for line in stream)
    # Quotation marks in these files are characters of the text: read as quotes they would swallow
    # line ends.
    rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    columns = [column.strip() for column in next(rows, [])]
    missing = [column for column in required if column not in columns]
    if missing:
        raise DataError(f"no column {', '.join(missing)} in the first line")
    for cells in filter(None, rows):
        where = f"line {rows.line_num}"
        # Not strict: rows of another width are listed as unusable below.
        row = dict(zip(columns, map(str.strip, cells), strict=False))
        numbers = [row[column] for column in _NUMBER_COLUMNS if column in row]
        invalid = [number for number in numbers if not _NUMBER.fullmatch(number)]
        if len(cells) != len(columns):
            unusable.add_record(
                path, where, f"{len(cells)} columns where the header has {len(columns)}"
            )
        elif invalid:
            unusable.add_record(path, where, f"no application number: {invalid[0][:20]!r}")
        else:
            yield where, row


def _decode_line(line: bytes) -> str:
    """What is not UTF-8 is read as Windows-1252."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
