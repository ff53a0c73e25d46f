"""Reads PubMed XML (NLM PubMed DTD) record by record: a stream into records, a record into a
citation.

Guarantees: the stream is split into records without being parsed as a whole, so only one record is
in memory. Text inside markup is kept, raised figures and fractions with their values
(``10<sup>-3</sup>`` is ``10^-3``, see ``inline_markup``), and references are decoded.
An abstract in another element and a title in the original language stand in for a missing one, and
else are left out, as copyright lines are. What stands in a comment or a CDATA section is no tag. A
stream that ends before its closing tag is an error.

This is the plain reader, which defines what the fields mean. ``record_stream`` does the same for
whole files at many times the speed, and uses this reader for single records.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from lxml import etree

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, from_row

# Tags of the three kinds of record.
CITATION = "PubmedArticle"
BOOK = "PubmedBookArticle"
DELETION = "DeleteCitation"

SET_END = b"</PubmedArticleSet>"
# Bytes. Every tag that matters here is shorter, so a tag that is cut in two at the end of the
# buffer begins within this many of its last bytes.
LONGEST_TAG = 32
HEADER_BYTES = 2**16  # within which the first element must begin
_CHUNK_BYTES = 4 * 2**20  # bytes per read

_OPENING = re.compile(rb"<(PubmedArticle|PubmedBookArticle|DeleteCitation)(?=[\s>])")
# Titles of NLM that say that there is no title.
UNKNOWN_TITLES = ("", "[Not Available].", "[Not Available]", "[In Process Citation]")
_SECTION = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>", re.DOTALL)
_SECTION_START = re.compile(rb"<!--|<!\[CDATA\[")
_CLOSINGS = {
    tag.encode(): re.compile(b"</" + tag.encode() + b">") for tag in (CITATION, BOOK, DELETION)
}
_ROOT = re.compile(rb"<(PubmedArticleSet|PubmedArticle|PubmedBookArticle)[\s>]")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)")
_NAMED_BYTES = 2048  # of a file, by which an error says what it is
_MAGIC_NAMES = (
    (b"\xff\xfe", "UTF-16; convert it to UTF-8"),
    (b"\xfe\xff", "UTF-16; convert it to UTF-8"),
    (b"\x1f\x8b", "gzip within gzip; unpack it once"),
    (b"PK\x03\x04", "a ZIP archive; unpack it"),
    (b"%PDF-", "a PDF"),
)
_CONTENT_NAMES = (
    (re.compile(rb"<!doctype html|<html\b"), "HTML, such as a server's error page; try again"),
    (re.compile(rb"<medlinecitation(set)?\b"), "MedlineCitationSet, NLM's format before 2017"),
    (re.compile(rb"<efetchresult\b"), "an error message of efetch"),
    (re.compile(rb"\A\s*pmid- ?\s*\d", re.ASCII), "MEDLINE text; download the XML"),
    (re.compile(rb"\A(\xef\xbb\xbf)?\s*[\[{]"), "JSON"),
    (re.compile(rb"\A(\xef\xbb\xbf)?\s*<"), "other XML"),
)
_RETRACTED = "D016441"  # MeSH UI of the publication type "Retracted Publication"
_YEAR = re.compile(r"\b(1[5-9]\d\d|20\d\d)\b", re.ASCII)
_PMID = re.compile(r"[0-9]{1,18}")  # what fits 64 bits
_VERSION = re.compile(r"[0-9]{1,9}")  # what fits 32 bits
_NO_ORCID_FIGURE = re.compile(r"[^0-9Xx]")
_ORCID = re.compile(r"([0-9]{4})([0-9]{4})([0-9]{4})([0-9]{3}[0-9X])")
# The columns of a child of an author and of a grant, by its tag.
_AUTHOR_PARTS = {
    "LastName": "last_name",
    "ForeName": "fore_name",
    "Suffix": "suffix",
    "CollectiveName": "collective_name",
}
_GRANT_PARTS = {"GrantID": "grant_id", "Agency": "agency", "Country": "country"}
_IDENTIFIER_COLUMNS = {"doi": "doi", "pmc": "pmcid"}  # by the type of the identifier


@dataclass(frozen=True)
class PubmedRecord:
    """One element of a file.

    ``kind`` is its tag, ``position`` its place among the file's citations and books (from 0),
    ``offset`` the byte of the stream where it begins, ``data`` its bytes.
    """

    kind: str
    position: int
    offset: int
    data: bytes
    encoding: str


@dataclass(frozen=True)
class FileHeader:
    """The declarations of a file: whether it is a set, which must be closed, and its encoding."""

    is_set: bool
    encoding: str

    @property
    def is_utf8(self) -> bool:
        return self.encoding.lower() == "utf-8"


def read_header(beginning: bytes) -> FileHeader | None:
    """The header of a file from its first bytes; None when they have no root element of PubMed."""
    root = _ROOT.search(beginning, 0, HEADER_BYTES)
    if root is None:
        return None
    declaration = _ENCODING.match(beginning)
    encoding = declaration.group(1).decode() if declaration else "utf-8"
    return FileHeader(root.group(1) == b"PubmedArticleSet", encoding)


def build_format_error(beginning: bytes) -> DataError:
    """The error of a file that is not PubMed XML, with what it is by its first bytes."""
    return DataError(
        f"not PubMed XML, but {_name_content(beginning)}: no PubmedArticleSet, PubmedArticle or "
        "PubmedBookArticle at its beginning"
    )


def _name_content(beginning: bytes) -> str:
    """What the first bytes show a file to be, and what to do with it."""
    for magic, name in _MAGIC_NAMES:
        if beginning.startswith(magic):
            return name
    text = beginning[:_NAMED_BYTES].replace(b"\0", b"").lower()
    if b"\0" in beginning[:_NAMED_BYTES]:
        return "UTF-16 or binary; XML is read as UTF-8"
    if not text.strip():
        return "empty; download it again"
    for pattern, name in _CONTENT_NAMES:
        if pattern.search(text):
            return name
    return "something else"


def build_truncation_error(offset: int, is_inside_record: bool) -> DataError:
    """The error of a file that ends too early.

    ``offset`` is the byte at which the file ends or, inside a record, at which that record begins.
    """
    if is_inside_record:
        place = f"in the record that begins at byte {offset}"
    else:
        place = f"at byte {offset}, before </PubmedArticleSet>"
    return DataError(f"truncated: the file ends {place}; download it again")


def read_records(stream: BinaryIO) -> Iterator[PubmedRecord]:
    """Every citation, book and list of deletions, in file order.

    DataError when the stream is not PubMed XML or ends early; errors of the stream itself (a broken
    gzip) pass through.
    """
    buffer, header = _read_beginning(stream)
    at = 0  # in the buffer
    offset = 0  # of the buffer's first byte in the stream
    position = 0
    is_closed = False  # whether the end of the set was seen after the last record so far
    while True:
        opening, outside = _search_outside(_OPENING, buffer, at)
        closing = None
        if opening is not None:
            closing, _ = _search_outside(_CLOSINGS[opening.group(1)], buffer, opening.end())
        if opening is not None and closing is not None:
            begin = opening.start()
            at = closing.end()
            is_closed = False
            kind = opening.group(1).decode()
            yield PubmedRecord(kind, position, offset + begin, buffer[begin:at], header.encoding)
            position += kind != DELETION
            continue
        is_closed = opening is None and (is_closed or SET_END in buffer[outside:])
        # The buffer may end within a tag, so its last bytes are looked at again.
        keep = opening.start() if opening else max(outside, len(buffer) - LONGEST_TAG)
        if opening is None and _SECTION_START.match(buffer, outside):
            keep = outside
        more = stream.read(_CHUNK_BYTES)
        if not more:
            break
        buffer = buffer[keep:] + more
        offset += keep
        at = 0
    if opening is not None:
        raise build_truncation_error(offset + keep, is_inside_record=True)
    if header.is_set and not is_closed:
        raise build_truncation_error(offset + len(buffer), is_inside_record=False)


def _search_outside(
    pattern: re.Pattern[bytes], buffer: bytes, at: int
) -> tuple[re.Match[bytes] | None, int]:
    """The first match outside of comments and CDATA sections, and where the last of those ends; or
    None, and where one begins that is not closed."""
    while True:
        match = pattern.search(buffer, at)
        section = _SECTION_START.search(buffer, at, match.start() if match else len(buffer))
        if section is None:
            return match, at
        whole = _SECTION.match(buffer, section.start())
        if whole is None:
            return None, section.start()
        at = whole.end()


def _read_beginning(stream: BinaryIO) -> tuple[bytes, FileHeader]:
    """The first bytes of a stream, as many as its header needs. DataError when there is none."""
    buffer = b""
    while len(buffer) < HEADER_BYTES:
        more = stream.read(_CHUNK_BYTES)
        if not more:
            break
        buffer += more
        header = read_header(buffer)
        if header is not None:
            return buffer, header
    raise build_format_error(buffer)


def parse_element(record: PubmedRecord) -> etree._Element:
    """The record as an element. DataError when it is not well formed.

    External entities are neither fetched nor expanded.
    """
    try:
        return etree.fromstring(record.data, _build_parser(record.encoding))
    except (etree.XMLSyntaxError, LookupError) as error:  # LookupError: an unknown encoding
        raise DataError(f"not well formed: {error}") from None


@functools.cache
def _build_parser(encoding: str) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )


def parse_citation(record: PubmedRecord, source_file: str) -> Citation:
    """The record as a Citation. DataError when it is malformed or has no PMID."""
    row = build_citation_row(parse_element(record), source_file, record.position)
    return from_row(Citation, row)


def parse_deletions(record: PubmedRecord) -> list[tuple[str, int]]:
    """(PMID, version) pairs of a ``DeleteCitation`` list."""
    elements = parse_element(record).iterfind("PMID")
    return [(_read_text(element), _read_version(element)) for element in elements]


def build_citation_row(article: etree._Element, source_file: str, position: int) -> dict[str, Any]:
    """A ``PubmedArticle`` or ``PubmedBookArticle`` element as a row of ``Citation``.

    Plain dictionaries are what Arrow is built from, so no record objects are made on the way.
    DataError when the element has no PMID.
    """
    fields = _read_book(article) if article.tag == BOOK else _read_article(article)
    return {**fields, "source_file": source_file, "position": position}


def _read_article(article: etree._Element) -> dict[str, Any]:
    medline = article.find("MedlineCitation")
    if medline is None:
        raise DataError("no MedlineCitation/PMID with a number in it")
    pmid = _read_pmid(medline, "MedlineCitation")
    body = medline.find("Article")
    if body is None:
        raise DataError(f"PMID {pmid} has no Article")
    journal = _read_text(body.find("Journal/Title"))
    issn = _read_text(body.find("Journal/ISSN"))
    return {
        "pmid": pmid,
        "version": _read_version(medline.find("PMID")),
        "title": _read_title(body),
        **_read_abstract(body, medline),
        "journal": journal or _read_text(medline.find("MedlineJournalInfo/MedlineTA")),
        "issn": issn or _read_text(medline.find("MedlineJournalInfo/ISSNLinking")),
        "year": _read_year(
            body,
            "Journal/JournalIssue/PubDate/Year",
            "Journal/JournalIssue/PubDate/MedlineDate",
            "ArticleDate/Year",
        ),
        "language": _read_languages(body),
        **_read_publication_types(body, "PublicationTypeList/PublicationType"),
        **_read_index_terms(medline),
        "authors": _read_article_authors(body),
        **_read_identifiers(_list_article_identifiers(article)),
        "volume": _read_text(body.find("Journal/JournalIssue/Volume")),
        "pages": _read_pages(body),
        "databank_numbers": _read_databanks(body),
        "grants": _read_grants(body),
    }


def _read_book(article: etree._Element) -> dict[str, Any]:
    """A book or a chapter of one.

    The title is that of the chapter where there is one. The book takes the place of the journal.
    """
    document = article.find("BookDocument")
    if document is None:
        raise DataError("no BookDocument/PMID with a number in it")
    pmid = _read_pmid(document, "BookDocument")
    book_title = _read_text(document.find("Book/BookTitle"))
    return {
        "pmid": pmid,
        "version": _read_version(document.find("PMID")),
        "title": _read_text(document.find("ArticleTitle")) or book_title,
        **_read_abstract(document, document),
        "journal": book_title,
        "issn": "",
        "year": _read_year(
            document,
            "Book/PubDate/Year",
            "Book/PubDate/MedlineDate",
            "ContributionDate/Year",
            "Book/BeginningDate/Year",
        ),
        "language": _read_languages(document),
        **_read_publication_types(document, "PublicationType"),
        **_read_index_terms(document),
        "authors": _read_book_authors(document),
        **_read_identifiers(_list_book_identifiers(article)),
        "volume": _read_text(document.find("Book/Volume")),
        "pages": _read_pages(document),
        "databank_numbers": [],
        "grants": _read_grants(document),
    }


def _read_languages(parent: etree._Element) -> str:
    return ",".join(_read_text(element) for element in parent.iterfind("Language"))


def _read_title(body: etree._Element) -> str:
    """The title; the one in the original language where NLM has no other."""
    title = _read_text(body.find("ArticleTitle"))
    if title in UNKNOWN_TITLES:
        return _read_text(body.find("VernacularTitle")) or title
    return title


def _read_abstract(parent: etree._Element, record: etree._Element) -> dict[str, Any]:
    """The abstract; where there is none, one of the other abstracts of the record.

    The record's own language comes first, then English. Its sections say in their category where
    they come from.
    """
    sections = [_read_section(element) for element in parent.iterfind("Abstract/AbstractText")]
    if not any(section["text"] for section in sections):
        sections = _read_other_abstract(parent, record) or sections
    abstract = " ".join(filter(None, map(_format_section, sections)))
    return {"sections": sections, "abstract": abstract}


def _read_other_abstract(parent: etree._Element, record: etree._Element) -> list[dict[str, str]]:
    """The sections of the best abstract that stands outside of Abstract."""
    languages = [*_read_languages(parent).split(","), "eng"]
    others = record.findall("OtherAbstract")

    def rank_language(other: etree._Element) -> int:
        language = other.get("Language", "eng")
        return languages.index(language) if language in languages else len(languages)

    for other in sorted(others, key=rank_language):
        sections = [_read_section(element) for element in other.iterfind("AbstractText")]
        if any(section["text"] for section in sections):
            source = f"OtherAbstract {other.get('Type', '')} {other.get('Language', 'eng')}"
            origin = " ".join(source.split())
            return [{**section, "category": section["category"] or origin} for section in sections]
    return []


def _read_publication_types(parent: etree._Element, path: str) -> dict[str, Any]:
    types = _read_terms(parent, path)
    is_retracted = any(term["ui"] == _RETRACTED for term in types)
    return {"publication_types": types, "retracted": is_retracted}


def _read_index_terms(parent: etree._Element) -> dict[str, Any]:
    """What indexers and authors add to a citation; books have only keywords."""
    headings = parent.iterfind("MeshHeadingList/MeshHeading")
    keywords = [_read_text(element) for element in parent.iterfind("KeywordList/Keyword")]
    corrections = parent.iterfind("CommentsCorrectionsList/CommentsCorrections")
    return {
        "mesh": [_read_heading(element) for element in headings],
        "supplementary": _read_terms(parent, "SupplMeshList/SupplMeshName"),
        "chemicals": _read_terms(parent, "ChemicalList/Chemical/NameOfSubstance"),
        "keywords": [keyword for keyword in keywords if keyword],
        "corrections": [_read_correction(element) for element in corrections],
    }


def _read_text(element: etree._Element | None) -> str:
    """All text inside an element, within markup too (see ``inline_markup``), white space
    collapsed."""
    if element is None:
        return ""
    if len(element):
        # Most texts have no figures in markup, and need no compiled code.
        from medr_ray.corpus.inline_markup import has_meaning, read_marked_text

        if has_meaning(element):
            return read_marked_text(element)
    text = "".join(element.itertext()) if len(element) else element.text or ""
    return " ".join(text.split())


def _read_pmid(parent: etree._Element, name: str) -> str:
    pmid = _read_text(parent.find("PMID"))
    if not _PMID.fullmatch(pmid):
        raise DataError(f"no {name}/PMID with a number in it")
    return pmid


def _read_version(pmid: etree._Element | None) -> int:
    version = "1" if pmid is None else pmid.get("Version", "1")
    if not _VERSION.fullmatch(version):
        raise DataError(f"PMID {_read_text(pmid)} has Version {version!r}")
    return int(version)


def _read_section(element: etree._Element) -> dict[str, str]:
    return {
        "label": element.get("Label", ""),
        "category": element.get("NlmCategory", ""),
        "text": _read_text(element),
    }


def _format_section(section: dict[str, str]) -> str:
    """A section as PubMed prints it, its label in front."""
    if section["label"] and section["text"]:
        return f"{section['label']}: {section['text']}"
    return section["text"]


def _read_terms(parent: etree._Element, path: str) -> list[dict[str, str]]:
    elements = parent.iterfind(path)
    return [{"ui": element.get("UI", ""), "name": _read_text(element)} for element in elements]


def _read_heading(element: etree._Element) -> dict[str, Any]:
    """A descriptor.

    It is major when the descriptor or a qualifier is marked so: NLM marks only the qualifier where
    there is one.
    """
    descriptor = element.find("DescriptorName")
    if descriptor is None:
        raise DataError("a MeshHeading without DescriptorName")
    is_major = any(child.get("MajorTopicYN") == "Y" for child in element)
    return {"ui": descriptor.get("UI", ""), "name": _read_text(descriptor), "major": is_major}


def _read_correction(element: etree._Element) -> dict[str, str]:
    return {"kind": element.get("RefType", ""), "pmid": _read_text(element.find("PMID"))}


def _read_year(parent: etree._Element, *paths: str) -> int | None:
    """The first year in the first element that has one; None when none has."""
    for path in paths:
        match = _YEAR.search(_read_text(parent.find(path)))
        if match:
            return int(match.group())
    return None


def _read_article_authors(body: etree._Element) -> list[dict[str, Any]]:
    """The authors; an affiliation of the article (before 2014) is the first author's."""
    authors = _read_authors(body.iterfind("AuthorList/Author"))
    affiliations = [_read_text(element) for element in body.iterfind("Affiliation")]
    if authors:
        authors[0]["affiliations"][:0] = filter(None, affiliations)
    return authors


def _read_book_authors(document: etree._Element) -> list[dict[str, Any]]:
    """The authors of the chapter, else those of the book; editors are no authors."""
    for path in ("AuthorList", "Book/AuthorList"):
        lists = document.findall(path)
        elements = [
            author
            for author_list in lists
            if author_list.get("Type", "authors") == "authors"
            for author in author_list.iterfind("Author")
        ]
        if elements:
            return _read_authors(elements)
    return []


def _read_authors(elements: Iterable[etree._Element]) -> list[dict[str, Any]]:
    """The authors but those that a correction has marked as not valid."""
    return [_read_author(element) for element in elements if element.get("ValidYN") != "N"]


def _read_author(element: etree._Element) -> dict[str, Any]:
    orcids = [
        _format_orcid(_read_text(identifier))
        for identifier in element.iterfind("Identifier")
        if identifier.get("Source") == "ORCID"
    ]
    return {
        **_read_parts(element, _AUTHOR_PARTS),
        "orcid": next(filter(None, orcids), ""),
        "affiliations": _read_affiliations(element),
    }


def _read_affiliations(author: etree._Element) -> list[str]:
    """In the order of the record; before 2015 they stand in the author itself."""
    texts = []
    for child in author:
        if child.tag == "AffiliationInfo":
            texts += [_read_text(element) for element in child.iterfind("Affiliation")]
        elif child.tag == "Affiliation":
            texts.append(_read_text(child))
    return [text for text in texts if text]


def _format_orcid(text: str) -> str:
    """In the form "0000-0001-9940-6913" whether it is given so, as an address or without hyphens;
    "" where it has not 16 places."""
    match = _ORCID.fullmatch(_NO_ORCID_FIGURE.sub("", text).upper())
    return "-".join(match.groups()) if match else ""


def _read_parts(element: etree._Element, columns: Mapping[str, str]) -> dict[str, str]:
    """The texts of the children by their columns; the first one with text counts."""
    parts = dict.fromkeys(columns.values(), "")
    for child in element:
        column = columns.get(child.tag)
        if column and not parts[column]:
            parts[column] = _read_text(child)
    return parts


def _list_article_identifiers(article: etree._Element) -> list[etree._Element]:
    """The identifiers of the article, in the order of the record. Those of its references stand
    in lists of the same name elsewhere."""
    identifiers: list[etree._Element] = []
    for child in article:
        if child.tag == "MedlineCitation":
            identifiers += child.iterfind("Article/ELocationID")
        elif child.tag == "PubmedData":
            identifiers += child.iterfind("ArticleIdList/ArticleId")
    return identifiers


def _list_book_identifiers(article: etree._Element) -> list[etree._Element]:
    """The identifiers of the chapter, those of the whole book only where it is the record."""
    chapter = article.findall("BookDocument/ArticleIdList/ArticleId")
    return [*chapter, *article.iterfind("PubmedBookData/ArticleIdList/ArticleId")]


def _read_identifiers(elements: Iterable[etree._Element]) -> dict[str, str]:
    """The first valid identifier of each kind."""
    identifiers = dict.fromkeys(_IDENTIFIER_COLUMNS.values(), "")
    for element in elements:
        kind = element.get("EIdType") or element.get("IdType", "")
        column = _IDENTIFIER_COLUMNS.get(kind)
        if column and not identifiers[column] and element.get("ValidYN") != "N":
            identifiers[column] = _read_text(element)
    return identifiers


def _read_pages(parent: etree._Element) -> str:
    """The pages as NLM prints them ("123-31"), else the first and the last one."""
    pages = _read_text(parent.find("Pagination/MedlinePgn"))
    if pages:
        return pages
    ends = [_read_text(parent.find(f"Pagination/{tag}")) for tag in ("StartPage", "EndPage")]
    return "-".join(filter(None, ends))


def _read_databanks(body: etree._Element) -> list[dict[str, Any]]:
    banks = []
    for bank in body.iterfind("DataBankList/DataBank"):
        numbers = map(_read_text, bank.iterfind("AccessionNumberList/AccessionNumber"))
        parts = _read_parts(bank, {"DataBankName": "name"})
        banks.append({**parts, "numbers": list(filter(None, numbers))})
    return banks


def _read_grants(parent: etree._Element) -> list[dict[str, str]]:
    return [_read_parts(grant, _GRANT_PARTS) for grant in parent.iterfind("GrantList/Grant")]
