"""Monographs on the liver toxicity of drugs, one JSON object a line.

Format: ``drug`` (its name), ``sections`` (heading to text, in order) and ``pmids`` (what it cites),
as read from the pages of LiverTox (https://www.ncbi.nlm.nih.gov/books/NBK547852/). The boilerplate
of the page and the bibliography, whose PMIDs are kept, are no part of the text. Pages that were
refused ("Access denied") are set aside.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.retrieval.documents import LIVERTOX, Document
from medr_ray.retrieval.readers.plain_records import Aside, json_lines, lines, parsed

_BOOK = "LiverTox"
_UPDATED = re.compile(r"Last Update:\s*\w+ \d{1,2}, (\d{4})")
_NO_CONTENT = re.compile(
    r"intro$|LiverTox: |.*\bBIBLIOGRAPHY$|(?:SELECTED )?REFERENCES$|CHEMICAL FORMULAS? AND STRUC"
)
_REFUSED = "Access denied"


class _Monograph(BaseModel):
    drug: str = Field(min_length=1)
    sections: dict[str, str]
    pmids: list[str] = []


def read_monographs(paths: Sequence[str], aside: Aside) -> Iterator[Document]:
    """``LIVERTOX:<drug>``, spaces as underscores, for every monograph of the files."""
    for path in paths:
        for where, record in json_lines(path, aside):
            try:
                yield from_monograph(record)
            except DataError as error:
                aside.put(path, where, str(error))


def from_monograph(record: Mapping[str, Any]) -> Document:
    """The document of one monograph. DataError says what keeps it from being one."""
    page = parsed(_Monograph, record)
    if _REFUSED in page.sections:
        raise DataError("a page that was refused, no monograph")
    told = [
        (heading, text)
        for heading, text in page.sections.items()
        if not _NO_CONTENT.match(heading) and not _UPDATED.match(text)
    ]
    if not told:
        raise DataError("a monograph without a section")
    updated = _UPDATED.search(" ".join(page.sections.values()))
    title = f"{page.drug} ({_BOOK})"
    return Document(
        f"LIVERTOX:{'_'.join(page.drug.split())}",
        LIVERTOX,
        title,
        lines(title, told),
        int(updated[1]) if updated else None,
        (),
        False,
        _BOOK,
        references=tuple(f"PMID:{one}" for one in dict.fromkeys(page.pmids)),
    )
