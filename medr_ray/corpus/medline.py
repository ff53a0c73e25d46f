"""Reading PubMed XML (NLM PubMed DTD): a byte stream into records, a record into a citation.

What holds: records are split from the stream without parsing it whole, so memory stays at one record; text keeps what
stands inside markup (``10<sup>-3</sup>`` is ``10-3``) and reads entities; abstracts in other languages, vernacular
titles and copyright lines are never mixed in; a stream that ends before its closing tag is truncated, and says so.
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
_CHUNK = 4 * 2**20  # bytes per read
_OPENING = re.compile(rb"<(PubmedArticle|PubmedBookArticle|DeleteCitation)(?=[\s>])")
_ROOT = re.compile(rb"<(PubmedArticleSet|PubmedArticle|PubmedBookArticle)[\s>]")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)")
_RETRACTED = "D016441"  # MeSH UI of the publication type "Retracted Publication"
_YEAR = re.compile(r"\b(1[5-9]\d\d|20\d\d)\b")


@dataclass(frozen=True)
class Record:
    """One element of a file: its tag, its position among the file's citations and books (from 0), its bytes."""

    kind: str
    position: int
    data: bytes
    encoding: str


def read_records(stream: BinaryIO) -> Iterator[Record]:
    """Every citation, book and list of deletions, in file order. DataError when the stream is no PubMed XML or ends
    early; errors of the stream itself (a broken gzip) pass through."""
    buffer, at, position = stream.read(_CHUNK), 0, 0
    root = _ROOT.search(buffer)
    if root is None:
        raise DataError("not PubMed XML: no PubmedArticleSet, PubmedArticle or PubmedBookArticle at its beginning")
    declared = _ENCODING.match(buffer)
    encoding = declared.group(1).decode() if declared else "utf-8"
    while True:
        opening = _OPENING.search(buffer, at)
        closing = b"" if opening is None else b"</" + opening.group(1) + b">"
        end = -1 if opening is None else buffer.find(closing, opening.end())
        if opening is not None and end >= 0:
            at = end + len(closing)
            kind = opening.group(1).decode()
            yield Record(kind, position, buffer[opening.start():at], encoding)
            position += kind != DELETION
            continue
        more = stream.read(_CHUNK)
        if not more:
            break
        keep = opening.start() if opening else max(at, len(buffer) - 32)  # an opening tag may be cut in two
        buffer, at = buffer[keep:] + more, 0
    _check_end(root.group(1), opening, buffer)


def _check_end(root: bytes, opening: re.Match[bytes] | None, buffer: bytes) -> None:
    """A set must have been closed, and no record left open."""
    if opening is not None or (root == b"PubmedArticleSet" and b"</PubmedArticleSet>" not in buffer):
        raise DataError("truncated: the file ends before its closing tag; download it again")


def parse_element(record: Record) -> etree._Element:
    """The record as an element. DataError when it is not well formed; entities are never fetched or expanded."""
    try:
        return etree.fromstring(record.data, _parser(record.encoding))
    except (etree.XMLSyntaxError, LookupError) as error:
        raise DataError(f"not well formed: {error}") from None


@functools.cache
def _parser(encoding: str) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding, resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)


def parse_citation(record: Record, source_file: str) -> Citation:
    """The record as a Citation. DataError when it is malformed or has no PMID."""
    return from_row(Citation, citation_row(parse_element(record), source_file, record.position))


def deleted(record: Record) -> list[tuple[str, int]]:
    """(PMID, version) pairs of a ``DeleteCitation`` list."""
    return [(_text(one), _version(one)) for one in parse_element(record).iterfind("PMID")]


def citation_row(article: etree._Element, source_file: str, position: int) -> dict[str, Any]:
    """A ``PubmedArticle`` element as a plain row of ``Citation``: what Arrow is built from, without objects between."""
    medline = article.find("MedlineCitation")
    pmid = None if medline is None else medline.find("PMID")
    if medline is None or pmid is None or not _text(pmid).isdigit():
        raise DataError("no MedlineCitation/PMID with a number in it")
    body = medline.find("Article")
    if body is None:
        raise DataError(f"PMID {_text(pmid)} has no Article")
    sections = [_section(one) for one in body.iterfind("Abstract/AbstractText")]
    types = _terms(body, "PublicationTypeList/PublicationType")
    corrections = [_correction(one) for one in medline.iterfind("CommentsCorrectionsList/CommentsCorrections")]
    return {
        "pmid": _text(pmid),
        "version": _version(pmid),
        "title": _text(body.find("ArticleTitle")),
        "abstract": " ".join(filter(None, map(_printed, sections))),
        "sections": sections,
        "journal": _text(body.find("Journal/Title")) or _text(medline.find("MedlineJournalInfo/MedlineTA")),
        "issn": _text(body.find("Journal/ISSN")) or _text(medline.find("MedlineJournalInfo/ISSNLinking")),
        "year": _year(body),
        "language": ",".join(_text(one) for one in body.iterfind("Language")),
        "publication_types": types,
        "mesh": [_heading(one) for one in medline.iterfind("MeshHeadingList/MeshHeading")],
        "supplementary": _terms(medline, "SupplMeshList/SupplMeshName"),
        "chemicals": _terms(medline, "ChemicalList/Chemical/NameOfSubstance"),
        "keywords": [word for one in medline.iterfind("KeywordList/Keyword") if (word := _text(one))],
        "retracted": any(one["ui"] == _RETRACTED for one in types),
        "corrections": corrections,
        "source_file": source_file,
        "position": position,
    }


def _text(element: etree._Element | None) -> str:
    """All text inside an element, markup or not, white space collapsed."""
    if element is None:
        return ""
    text = "".join(element.itertext()) if len(element) else element.text or ""
    return " ".join(text.split())


def _version(pmid: etree._Element) -> int:
    version = pmid.get("Version", "1")
    if not version.isdigit():
        raise DataError(f"PMID {_text(pmid)} has Version {version!r}")
    return int(version)


def _section(element: etree._Element) -> dict[str, str]:
    return {"label": element.get("Label", ""), "category": element.get("NlmCategory", ""), "text": _text(element)}


def _printed(section: dict[str, str]) -> str:
    """A section as PubMed prints it, its label in front."""
    return f"{section['label']}: {section['text']}" if section["label"] and section["text"] else section["text"]


def _terms(parent: etree._Element, path: str) -> list[dict[str, str]]:
    return [{"ui": one.get("UI", ""), "name": _text(one)} for one in parent.iterfind(path)]


def _heading(element: etree._Element) -> dict[str, Any]:
    """A descriptor; major when it or a qualifier is marked so (NLM marks only the qualifier where there is one)."""
    descriptor = element.find("DescriptorName")
    if descriptor is None:
        raise DataError("a MeshHeading without DescriptorName")
    major = any(one.get("MajorTopicYN") == "Y" for one in element)
    return {"ui": descriptor.get("UI", ""), "name": _text(descriptor), "major": major}


def _correction(element: etree._Element) -> dict[str, str]:
    return {"kind": element.get("RefType", ""), "pmid": _text(element.find("PMID"))}


def _year(body: etree._Element) -> int | None:
    """Of the issue (``Year``, else the first year in ``MedlineDate``), else of the electronic article."""
    for path in ("Journal/JournalIssue/PubDate/Year", "Journal/JournalIssue/PubDate/MedlineDate", "ArticleDate/Year"):
        found = _YEAR.search(_text(body.find(path)))
        if found:
            return int(found.group())
    return None
