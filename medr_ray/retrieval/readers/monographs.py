"""Monographs on the liver toxicity of drugs, one JSON object a line.

Format: ``drug`` (its name), ``sections`` (heading to text, in order) and ``pmids`` (what it cites),
as read from the pages of LiverTox (https://www.ncbi.nlm.nih.gov/books/NBK547852/). The boilerplate
of the page is left out; so is the bibliography, whose PMIDs are kept. Pages that were refused
("Access denied") are unusable.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.core.validation_messages import validate_record
from medr_ray.knowledge.registries.record_reading import UnusableRecords, read_json_lines
from medr_ray.retrieval.documents import LIVERTOX, Document
from medr_ray.retrieval.readers.plain_records import format_text

_BOOK = "LiverTox"
_UPDATED = re.compile(r"Last Update:\s*\w+ \d{1,2}, (\d{4})")
_BOILERPLATE = re.compile(
    r"intro$|LiverTox: |.*\bBIBLIOGRAPHY$|(?:SELECTED )?REFERENCES$|CHEMICAL FORMULAS? AND STRUC"
)
_REFUSED = "Access denied"  # a heading of the page that the book's server shows instead


class _Monograph(BaseModel):
    drug: str = Field(min_length=1)
    sections: dict[str, str]
    pmids: list[str] = []


def read_monographs(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``LIVERTOX:<drug>``, spaces as underscores, for every monograph of the files."""
    for path in paths:
        for where, record in read_json_lines(path, unusable):
            try:
                yield document_from_monograph(record)
            except DataError as error:
                unusable.add_record(path, where, str(error))


def document_from_monograph(record: Mapping[str, Any]) -> Document:
    """The document of one monograph. DataError with the reason where it makes none."""
    page = validate_record(_Monograph, record)
    if _REFUSED in page.sections:
        raise DataError("a page that was refused, no monograph")
    sections = []
    for heading, text in page.sections.items():
        # A section that opens with the page's date is boilerplate too.
        if not _BOILERPLATE.match(heading) and not _UPDATED.match(text):
            sections.append((heading, text))
    if not sections:
        raise DataError("a monograph without a section")
    updated = _UPDATED.search(" ".join(page.sections.values()))
    title = f"{page.drug} ({_BOOK})"
    return Document(
        document_id=f"LIVERTOX:{'_'.join(page.drug.split())}",
        source=LIVERTOX,
        title=title,
        text=format_text(title, sections),
        year=int(updated[1]) if updated else None,
        publication_types=(),
        retracted=False,
        journal=_BOOK,
        references=tuple(f"PMID:{pmid}" for pmid in dict.fromkeys(page.pmids)),
    )
