"""Approvals of drugs: applications to the FDA with their products and submissions, patents and
exclusivities.

Formats: the tables of Drugs@FDA, tab-separated in a zip
(https://www.fda.gov/drugs/drug-approvals-and-databases/ drugsfda-data-files), and of the Orange
Book, separated by ``~`` (https://www.fda.gov/drugs/drug-approvals-and-
databases/orange-book-data-files: ``patent.txt``, ``exclusivity.txt``). Which file is which, its
first bytes say. One application makes one document; its year is that of the latest submission told
of.
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
from medr_ray.knowledge.vocabulary_reading import open_vocabulary
from medr_ray.retrieval.documents import FDA_APPROVALS, Document
from medr_ray.retrieval.readers.plain_records import Aside, buffered, lines, single, year_in

_PUBLISHED_IN = "Drugs@FDA"
_APPROVED = "AP"
_BOOK_TYPES = {"N": "NDA", "A": "ANDA"}  # the Orange Book's letters for kinds of applications
_NUMBERS, _NUMBER = ("ApplNo", "Appl_No"), re.compile(r"[0-9]{1,6}")
_BOOK_COLUMNS = ("Appl_Type", "Appl_No", "Product_No")
_COLUMNS = {
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
_COVERS = {"Drug_Substance_Flag": "drug substance", "Drug_Product_Flag": "drug product"}
Row = Mapping[str, str]


@dataclass
class Application:
    """What the files say of one application; ``number`` is its six digits, ``kind`` NDA, ANDA or
    BLA. Products, submissions, patents and exclusivities are told as they will be read; ``last`` is
    the latest date, YYYY-MM-DD."""

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


def read_approvals(paths: Sequence[str], aside: Aside) -> Iterator[Document]:
    """``FDA:<kind and number>`` for every application that a product, patent or exclusivity is
    known of."""
    applications: dict[str, Application] = {}
    for path in paths:
        try:
            with open_vocabulary(path) as stream:
                _read_file(path, stream, applications, aside)
        except (DataError, zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
            aside.put(path, "the rest of the file", str(error))
    for number in sorted(applications):
        try:
            yield from_application(applications[number])
        except DataError as error:
            aside.put(", ".join(paths), f"application {number}", str(error))


def from_application(one: Application) -> Document:
    """The document of one application. DataError for one of which nothing but the number is
    known."""
    if not (one.products or one.patents or one.exclusivities):
        raise DataError("neither a product nor a patent or an exclusivity")
    name = f"{one.kind}{one.number}"
    ingredients = f" ({'; '.join(one.ingredients)})" if one.ingredients else ""
    title = single(f"{', '.join(one.names) or 'Unnamed drug'}{ingredients}: FDA approval {name}")
    text = lines(
        title,
        [
            ("Sponsor", one.sponsor),
            ("Approval", one.approval),
            ("Products", "; ".join(one.products)),
            ("Supplements", "; ".join(one.supplements)),
            ("Patents", "; ".join(one.patents)),
            ("Exclusivity", "; ".join(one.exclusivities)),
        ],
    )
    return Document(
        f"FDA:{name}", FDA_APPROVALS, title, text, year_in(one.last), (), False, _PUBLISHED_IN
    )


def _read_file(
    path: str, stream: BinaryIO, applications: dict[str, Application], aside: Aside
) -> None:
    """One file's rows to the applications they are about."""
    start = stream.read(4)
    stream.seek(0)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(stream) as archive:
            _read_archive(path, archive, applications, aside)
        return
    for where, row in _rows(path, buffered(stream), "~", _BOOK_COLUMNS, aside):
        try:
            _add_orange_book(row, applications)
        except (DataError, ValueError) as error:
            aside.put(path, where, str(error))


def _read_archive(
    path: str, archive: zipfile.ZipFile, applications: dict[str, Application], aside: Aside
) -> None:
    statuses = {
        row["MarketingStatusID"]: row["MarketingStatusDescription"]
        for row in _table(path, archive, "MarketingStatus_Lookup.txt", aside)
    }
    marketed = {
        (row["ApplNo"], row["ProductNo"]): statuses.get(row["MarketingStatusID"], "")
        for row in _table(path, archive, "MarketingStatus.txt", aside)
    }
    classes = {
        row["SubmissionClassCodeID"]: row["SubmissionClassCodeDescription"]
        for row in _table(path, archive, "SubmissionClass_Lookup.txt", aside)
    }
    for row in _table(path, archive, "Applications.txt", aside):
        one = _application(row["ApplNo"], row["ApplType"], applications)
        one.sponsor = row["SponsorName"]
    for row in _table(path, archive, "Products.txt", aside):
        one = _application(row["ApplNo"], "", applications)
        one.names[row["DrugName"]] = one.ingredients[row["ActiveIngredient"]] = None
        one.products.append(_product(row, marketed.get((row["ApplNo"], row["ProductNo"]), "")))
    submissions = defaultdict(list)
    for row in _table(path, archive, "Submissions.txt", aside):
        if row["SubmissionStatus"] == _APPROVED and row["SubmissionStatusDate"]:
            submissions[row["ApplNo"]].append(row)
    for number, rows in submissions.items():
        _add_submissions(_application(number, "", applications), rows, classes)


def _add_submissions(one: Application, rows: Sequence[Row], classes: Mapping[str, str]) -> None:
    """The original approval and the supplements, by date."""
    for row in sorted(rows, key=lambda row: (row["SubmissionStatusDate"], row["SubmissionNo"])):
        date = row["SubmissionStatusDate"][:10]
        about = [
            single(part)
            for part in (
                classes.get(row["SubmissionClassCodeID"], ""),
                row["SubmissionsPublicNotes"],
            )
            if part.strip()
        ]
        if row["SubmissionType"] == "ORIG" and not one.approval:
            review = row["ReviewPriority"].lower()
            one.approval = ", ".join(
                [
                    f"{one.kind} approved on {date}",
                    *about,
                    *([f"{review} review"] if review not in ("", "unknown", "n/a") else []),
                ]
            )
        else:
            one.supplements.append(f"{date} {', '.join(about)}".strip())
        one.last = max(one.last, date)


def _product(row: Row, status: str) -> str:
    form = row["Form"].replace(";", ", ").lower()
    told = (f"{row['ProductNo']} {row['DrugName']}", form, row["Strength"], status.lower())
    return ", ".join(filter(None, map(str.strip, told)))


def _add_orange_book(row: Row, applications: dict[str, Application]) -> None:
    """A patent or an exclusivity. DataError for a row of another table, ValueError for a date that
    is none."""
    one = _application(row["Appl_No"], _BOOK_TYPES.get(row["Appl_Type"], ""), applications)
    product = f"product {row['Product_No']}"
    if "Patent_No" in row:
        covers = [what for flag, what in _COVERS.items() if row.get(flag) == "Y"]
        use = [f"use {row['Patent_Use_Code']}"] if row.get("Patent_Use_Code") else []
        expires = _date(row.get("Patent_Expire_Date_Text", ""))
        one.patents.append(
            ", ".join([f"{product} patent {row['Patent_No']} expires {expires}", *covers, *use])
        )
    elif "Exclusivity_Code" in row:
        until = _date(row.get("Exclusivity_Date", ""))
        one.exclusivities.append(f"{product} {row['Exclusivity_Code']} until {until}")
    else:
        raise DataError("neither a patent nor an exclusivity")


def _date(text: str) -> str:
    """ "Aug 24, 2026" as 2026-08-24."""
    return f"{datetime.strptime(text, '%b %d, %Y'):%Y-%m-%d}"


def _application(number: str, kind: str, applications: dict[str, Application]) -> Application:
    """The application of that number, new or known."""
    one = applications.setdefault(number.zfill(6), Application(number.zfill(6)))
    one.kind = one.kind or kind
    return one


def _table(path: str, archive: zipfile.ZipFile, name: str, aside: Aside) -> Iterator[Row]:
    """The rows of a table of the archive; DataError where it is not there."""
    if name not in archive.namelist():
        raise DataError(f"no {name} in the archive: give the zip of Drugs@FDA data files")
    with archive.open(name) as stream:
        rows = _rows(f"{path}/{name}", cast(BinaryIO, stream), "\t", _COLUMNS[name], aside)
        yield from (row for _, row in rows)


def _rows(
    path: str, stream: BinaryIO, delimiter: str, needed: Sequence[str], aside: Aside
) -> Iterator[tuple[str, Row]]:
    """("line N", cell by column) of every row as wide as the first whose application number is one.
    What is not UTF-8 is Windows-1252. DataError where a needed column is missing."""
    rows = csv.reader(
        (_decoded(line) for line in stream), delimiter=delimiter, quoting=csv.QUOTE_NONE
    )
    columns = [one.strip() for one in next(rows, [])]
    if missing := [one for one in needed if one not in columns]:
        raise DataError(f"no column {', '.join(missing)} in the first line")
    for cells in filter(None, rows):
        where, row = (
            f"line {rows.line_num}",
            dict(zip(columns, map(str.strip, cells), strict=False)),
        )
        wrong = [row[one] for one in _NUMBERS if one in row and not _NUMBER.fullmatch(row[one])]
        if len(cells) != len(columns):
            aside.put(path, where, f"{len(cells)} columns where the header has {len(columns)}")
        elif wrong:
            aside.put(path, where, f"no application number: {wrong[0][:20]!r}")
        else:
            yield where, row


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
