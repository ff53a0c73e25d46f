"""Reading PubMed XML (NLM PubMed DTD) record by record: a byte stream into records, a record into a
citation.

What holds: records are split from the stream without parsing it whole, so memory stays at one
record; text keeps what stands inside markup (``10<sup>-3</sup>`` is ``10-3``) and reads entities;
abstracts in other languages, vernacular titles and copyright lines are never mixed in; a stream
that ends before its closing tag is truncated, and says so.

This is the plain way, and what the fields mean is said here; ``reading`` does the same for whole
files at many times the speed and comes back to this for single records.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from lxml import etree

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, from_row

CITATION, BOOK, DELETION = "PubmedArticle", "PubmedBookArticle", "DeleteCitation"
SET_END = b"</PubmedArticleSet>"
LONGEST_TAG = (
    32  # bytes; a tag that matters is shorter, so one that a read cut in two lies within as many
)
HEAD = 2**16  # bytes in which the first element must begin
_CHUNK = 4 * 2**20  # bytes per read
_OPENING = re.compile(rb"<(PubmedArticle|PubmedBookArticle|DeleteCitation)(?=[\s>])")
_ROOT = re.compile(rb"<(PubmedArticleSet|PubmedArticle|PubmedBookArticle)[\s>]")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)")
_RETRACTED = "D016441"  # MeSH UI of the publication type "Retracted Publication"
_YEAR = re.compile(r"\b(1[5-9]\d\d|20\d\d)\b", re.ASCII)
_PMID, _VERSION = re.compile(r"[0-9]{1,18}"), re.compile(r"[0-9]{1,9}")  # what fits 64 and 32 bits


@dataclass(frozen=True)
class Record:
    """One element of a file: its tag, its position among the file's citations and books (from 0),
    the byte of the stream it begins at, its bytes."""

    kind: str
    position: int
    offset: int
    data: bytes
    encoding: str


@dataclass(frozen=True)
class Header:
    """What a file says of itself: whether it is a set, which must be closed, and its encoding."""

    is_set: bool
    encoding: str

    @property
    def is_utf8(self) -> bool:
        return self.encoding.lower() == "utf-8"


def read_header(beginning: bytes) -> Header | None:
    """The header of a file from its first bytes, None while they hold no root element of PubMed."""
    root = _ROOT.search(beginning, 0, HEAD)
    declared = _ENCODING.match(beginning)
    return root and Header(
        root.group(1) == b"PubmedArticleSet", declared.group(1).decode() if declared else "utf-8"
    )


def no_pubmed() -> DataError:
    return DataError(
        "not PubMed XML: no PubmedArticleSet, PubmedArticle or PubmedBookArticle at its beginning"
    )


def truncated(offset: int, inside: bool) -> DataError:
    """Of a file that ends at byte ``offset`` or, inside a record, in the one that begins there."""
    where = (
        f"in the record that begins at byte {offset}"
        if inside
        else f"at byte {offset}, before </PubmedArticleSet>"
    )
    return DataError(f"truncated: the file ends {where}; download it again")


def read_records(stream: BinaryIO) -> Iterator[Record]:
    """Every citation, book and list of deletions, in file order. DataError when the stream is no
    PubMed XML or ends early; errors of the stream itself (a broken gzip) pass through."""
    buffer, header = _beginning(stream)
    at = offset = position = 0  # offset: the place of the buffer's first byte in the stream
    closed = False  # whether the set's end stands after the last record so far
    while True:
        opening = _OPENING.search(buffer, at)
        closing = b"" if opening is None else b"</" + opening.group(1) + b">"
        end = -1 if opening is None else buffer.find(closing, opening.end())
        if opening is not None and end >= 0:
            at, closed = end + len(closing), False
            kind = opening.group(1).decode()
            yield Record(
                kind,
                position,
                offset + opening.start(),
                buffer[opening.start() : at],
                header.encoding,
            )
            position += kind != DELETION
            continue
        closed = opening is None and (closed or SET_END in buffer[at:])
        keep = opening.start() if opening else max(at, len(buffer) - LONGEST_TAG)
        more = stream.read(_CHUNK)
        if not more:
            break
        buffer, at, offset = buffer[keep:] + more, 0, offset + keep
    if opening is not None or (header.is_set and not closed):
        raise truncated(offset + (keep if opening else len(buffer)), opening is not None)


def _beginning(stream: BinaryIO) -> tuple[bytes, Header]:
    buffer = b""
    while len(buffer) < HEAD and (more := stream.read(_CHUNK)):
        buffer += more
        header = read_header(buffer)
        if header is not None:
            return buffer, header
    raise no_pubmed()


def parse_element(record: Record) -> etree._Element:
    """The record as an element. DataError when it is not well formed; entities are never fetched or
    expanded."""
    try:
        return etree.fromstring(record.data, _parser(record.encoding))
    except (etree.XMLSyntaxError, LookupError) as error:
        raise DataError(f"not well formed: {error}") from None


@functools.cache
def _parser(encoding: str) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )


def parse_citation(record: Record, source_file: str) -> Citation:
    """The record as a Citation. DataError when it is malformed or has no PMID."""
    return from_row(Citation, citation_row(parse_element(record), source_file, record.position))


def deleted(record: Record) -> list[tuple[str, int]]:
    """(PMID, version) pairs of a ``DeleteCitation`` list."""
    return [(_text(one), _version(one)) for one in parse_element(record).iterfind("PMID")]


def citation_row(article: etree._Element, source_file: str, position: int) -> dict[str, Any]:
    """A ``PubmedArticle`` or ``PubmedBookArticle`` element as a plain row of ``Citation``: what
    Arrow is built from, without objects between. DataError when it has no PMID."""
    fields = _book(article) if article.tag == BOOK else _citation(article)
    return {**fields, "source_file": source_file, "position": position}


def _citation(article: etree._Element) -> dict[str, Any]:
    medline = article.find("MedlineCitation")
    if medline is None:
        raise DataError("no MedlineCitation/PMID with a number in it")
    pmid = _pmid(medline, "MedlineCitation")
    body = medline.find("Article")
    if body is None:
        raise DataError(f"PMID {pmid} has no Article")
    return {
        "pmid": pmid,
        "version": _version(medline.find("PMID")),
        "title": _text(body.find("ArticleTitle")),
        **_abstract(body),
        "journal": _text(body.find("Journal/Title"))
        or _text(medline.find("MedlineJournalInfo/MedlineTA")),
        "issn": _text(body.find("Journal/ISSN"))
        or _text(medline.find("MedlineJournalInfo/ISSNLinking")),
        "year": _year(
            body,
            "Journal/JournalIssue/PubDate/Year",
            "Journal/JournalIssue/PubDate/MedlineDate",
            "ArticleDate/Year",
        ),
        "language": ",".join(_text(one) for one in body.iterfind("Language")),
        **_types(body, "PublicationTypeList/PublicationType"),
        **_index_terms(medline),
    }


def _book(article: etree._Element) -> dict[str, Any]:
    """A book or a chapter of one: the chapter's title where it has one, the book in place of the
    journal."""
    document = article.find("BookDocument")
    if document is None:
        raise DataError("no BookDocument/PMID with a number in it")
    pmid, book = _pmid(document, "BookDocument"), _text(document.find("Book/BookTitle"))
    return {
        "pmid": pmid,
        "version": _version(document.find("PMID")),
        "title": _text(document.find("ArticleTitle")) or book,
        **_abstract(document),
        "journal": book,
        "issn": "",
        "year": _year(
            document,
            "Book/PubDate/Year",
            "Book/PubDate/MedlineDate",
            "ContributionDate/Year",
            "Book/BeginningDate/Year",
        ),
        "language": ",".join(_text(one) for one in document.iterfind("Language")),
        **_types(document, "PublicationType"),
        **_index_terms(document),
    }


def _abstract(parent: etree._Element) -> dict[str, Any]:
    sections = [_section(one) for one in parent.iterfind("Abstract/AbstractText")]
    return {"sections": sections, "abstract": " ".join(filter(None, map(_printed, sections)))}


def _types(parent: etree._Element, path: str) -> dict[str, Any]:
    types = _terms(parent, path)
    return {"publication_types": types, "retracted": any(one["ui"] == _RETRACTED for one in types)}


def _index_terms(parent: etree._Element) -> dict[str, Any]:
    """What indexers and authors add to a citation; books have only keywords."""
    return {
        "mesh": [_heading(one) for one in parent.iterfind("MeshHeadingList/MeshHeading")],
        "supplementary": _terms(parent, "SupplMeshList/SupplMeshName"),
        "chemicals": _terms(parent, "ChemicalList/Chemical/NameOfSubstance"),
        "keywords": [
            word for one in parent.iterfind("KeywordList/Keyword") if (word := _text(one))
        ],
        "corrections": [
            _correction(one)
            for one in parent.iterfind("CommentsCorrectionsList/CommentsCorrections")
        ],
    }


def _text(element: etree._Element | None) -> str:
    """All text inside an element, markup or not, white space collapsed."""
    if element is None:
        return ""
    text = "".join(element.itertext()) if len(element) else element.text or ""
    return " ".join(text.split())


def _pmid(parent: etree._Element, name: str) -> str:
    pmid = _text(parent.find("PMID"))
    if not _PMID.fullmatch(pmid):
        raise DataError(f"no {name}/PMID with a number in it")
    return pmid


def _version(pmid: etree._Element | None) -> int:
    version = "1" if pmid is None else pmid.get("Version", "1")
    if not _VERSION.fullmatch(version):
        raise DataError(f"PMID {_text(pmid)} has Version {version!r}")
    return int(version)


def _section(element: etree._Element) -> dict[str, str]:
    return {
        "label": element.get("Label", ""),
        "category": element.get("NlmCategory", ""),
        "text": _text(element),
    }


def _printed(section: dict[str, str]) -> str:
    """A section as PubMed prints it, its label in front."""
    return (
        f"{section['label']}: {section['text']}"
        if section["label"] and section["text"]
        else section["text"]
    )


def _terms(parent: etree._Element, path: str) -> list[dict[str, str]]:
    return [{"ui": one.get("UI", ""), "name": _text(one)} for one in parent.iterfind(path)]


def _heading(element: etree._Element) -> dict[str, Any]:
    """A descriptor; major when it or a qualifier is marked so (NLM marks only the qualifier where
    there is one)."""
    descriptor = element.find("DescriptorName")
    if descriptor is None:
        raise DataError("a MeshHeading without DescriptorName")
    major = any(one.get("MajorTopicYN") == "Y" for one in element)
    return {"ui": descriptor.get("UI", ""), "name": _text(descriptor), "major": major}


def _correction(element: etree._Element) -> dict[str, str]:
    return {"kind": element.get("RefType", ""), "pmid": _text(element.find("PMID"))}


def _year(parent: etree._Element, *paths: str) -> int | None:
    """The first year in the first element that has one: of the issue before that of the electronic
    article."""
    for path in paths:
        found = _YEAR.search(_text(parent.find(path)))
        if found:
            return int(found.group())
    return None
