"""Monographs on the liver toxicity of drugs as documents.

Their format is that of ``knowledge.registries.livertox``. The boilerplate of the page is left out;
so is the bibliography, whose PMIDs are kept.
"""

import re
from collections.abc import Iterator, Sequence

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.livertox import (
    Monograph,
    find_update,
    is_dated_heading,
    list_cited_papers,
    parse_monograph,
)
from medr_ray.knowledge.registries.record_reading import UnusableRecords, read_json_lines
from medr_ray.retrieval.documents import LIVERTOX, Document
from medr_ray.retrieval.readers.plain_records import format_text

_BOOK = "LiverTox"
_BOILERPLATE = re.compile(
    r"intro$|LiverTox: |.*\bBIBLIOGRAPHY$|(?:SELECTED )?REFERENCES$|CHEMICAL FORMULAS? AND STRUC"
)


def read_monographs(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``LIVERTOX:<drug>``, spaces as underscores, for every monograph of the files. Fields that had
    to be left out of a document are listed too."""
    for path in paths:
        for where, record in read_json_lines(path, unusable):
            try:
                page, problems = parse_monograph(record)
                document = render_monograph(page)
            except DataError as error:
                unusable.add_record(path, where, str(error))
                continue
            for field, reason in problems:
                unusable.add_record(path, f"{where}, {field}", reason)
            yield document


def render_monograph(page: Monograph) -> Document:
    """The document of one monograph. DataError where it has no section but boilerplate."""
    sections = [
        (heading, text)
        for heading, text in page.sections.items()
        if not _BOILERPLATE.match(heading) and not is_dated_heading(text)
    ]
    if not sections:
        raise DataError("a monograph without a section")
    updated = find_update(page)
    title = f"{page.drug} ({_BOOK})"
    return Document(
        document_id=f"LIVERTOX:{'_'.join(page.drug.split())}",
        source=LIVERTOX,
        title=title,
        text=format_text(title, sections),
        year=int(updated[-4:]) if updated else None,
        publication_types=(),
        retracted=False,
        journal=_BOOK,
        references=tuple(f"PMID:{pmid}" for pmid in list_cited_papers(page)),
    )
