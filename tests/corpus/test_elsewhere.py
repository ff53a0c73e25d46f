"""Text that stands outside of its usual element, tags that are none, files that are something
else."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, from_table
from medr_ray.corpus.medline import parse_citation, read_records
from medr_ray.corpus.record_stream import read_citations


def article(pmid: int, title: str = "Title.", body: str = "", behind: str = "") -> str:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article>'
        f"<Journal><Title>J</Title></Journal><ArticleTitle>{title}</ArticleTitle>{body}</Article>"
        f"{behind}</MedlineCitation></PubmedArticle>"
    )


def read(*parts: str) -> list[Citation]:
    """The citations by the compiled reader, which are those of the plain reader."""
    data = f"<PubmedArticleSet>{''.join(parts)}</PubmedArticleSet>".encode()
    citations = [
        citation
        for chunk in read_citations(io.BytesIO(data), "f.xml")
        for citation in from_table(Citation, chunk.table)
    ]
    plain = [parse_citation(record, "f.xml") for record in read_records(io.BytesIO(data))]
    assert citations == plain
    return citations


ENGLISH = (
    '<OtherAbstract Type="Publisher" Language="eng"><AbstractText>Three.</AbstractText>'
    "</OtherAbstract>"
)
FRENCH = ENGLISH.replace("eng", "fre").replace("Three", "Trois")
SPANISH = ENGLISH.replace("eng", "spa").replace("Three", "Tres")


@pytest.mark.parametrize(
    ("language", "others", "abstract", "origin"),
    [
        ("eng", ENGLISH + FRENCH, "Three.", "OtherAbstract Publisher eng"),
        ("fre", ENGLISH + FRENCH, "Trois.", "OtherAbstract Publisher fre"),
        ("ger", FRENCH + ENGLISH, "Three.", "OtherAbstract Publisher eng"),
        ("ger", SPANISH, "Tres.", "OtherAbstract Publisher spa"),
        (
            "ger",
            "<OtherAbstract><AbstractText/></OtherAbstract>" + SPANISH,
            "Tres.",
            "OtherAbstract Publisher spa",
        ),
    ],
)
def test_an_abstract_outside_of_its_element_is_used_where_there_is_no_other(
    language: str, others: str, abstract: str, origin: str
) -> None:
    (citation,) = read(article(1, body=f"<Language>{language}</Language>", behind=others))
    assert citation.abstract == abstract
    assert citation.sections[0].category == origin


def test_a_usual_abstract_comes_first() -> None:
    body = "<Abstract><AbstractText>Usual.</AbstractText></Abstract>"
    assert read(article(1, body=body, behind=ENGLISH))[0].abstract == "Usual."


@pytest.mark.parametrize("title", ["", "[Not Available].", "[In Process Citation]"])
def test_a_title_in_the_original_language_stands_in_for_none(title: str) -> None:
    vernacular = "<VernacularTitle>Maladie de Gaucher.</VernacularTitle>"
    assert read(article(1, title, vernacular))[0].title == "Maladie de Gaucher."
    assert read(article(1, "[Gaucher disease].", vernacular))[0].title == "[Gaucher disease]."
    assert read(article(1, title))[0].title == title


def test_comments_are_no_records_and_cdata_is_text() -> None:
    cdata = "<![CDATA[A < B & </PubmedArticle> C]]>"
    citations = read(
        article(1101), f"<!-- {article(1102)} -->", article(1103, cdata), f"<!--{'x' * 99}-->"
    )
    assert [citation.pmid for citation in citations] == ["1101", "1103"]
    assert citations[1].title == "A < B & </PubmedArticle> C"


LIVE = [
    article(1),
    article(2, "<![CDATA[<PubmedArticle> ]] > </PubmedArticle>]]>"),
    article(3, "a<!-- </PubmedArticle> -->b"),
]
PIECES = st.sampled_from(
    [
        *LIVE,
        f"<!-- {article(4)} -->",
        "<!-- > - - <PubmedArticle>-->",
        "<![CDATA[ <!-- ]]>",
        "<!---->",
        "<!-- <![CDATA[ -->",
        "\r\n",
        "<DeleteCitation><PMID>9</PMID></DeleteCitation>",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=8))
def test_both_readers_find_the_same_records_among_comments(pieces: list[str]) -> None:
    data = f"<PubmedArticleSet>{''.join(pieces)}</PubmedArticleSet>".encode()
    records = [record for record in read_records(io.BytesIO(data)) if record.kind[0] == "P"]
    chunks = list(read_citations(io.BytesIO(data), "f.xml"))
    pmids = [pmid for chunk in chunks for pmid in chunk.table["pmid"].to_pylist()]
    expected = [str(LIVE.index(piece) + 1) for piece in pieces if piece in LIVE]
    assert [parse_citation(record, "f.xml").pmid for record in records] == expected
    assert pmids == expected


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("<PubmedArticleSet/>".encode("utf-16"), "UTF-16"),
        ("<PubmedArticleSet/>".encode("utf-16-be"), "UTF-16"),
        (b"<!DOCTYPE html><html><body>503</body></html>", "HTML"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<?xml version='1.0'?><MedlineCitationSet><MedlineCitation/>", "before 2017"),
        (b"PMID- 123\nTI  - Marfan syndrome.\n", "MEDLINE text"),
        (b"<?xml version='1.0'?><eFetchResult><ERROR>x</ERROR></eFetchResult>", "efetch"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'{"a": 1}', "JSON"),
        (b"PK\x03\x04", "ZIP"),
        (b"%PDF-1.4", "PDF"),
        (b"<rss/>", "other XML"),
    ],
)
def test_a_file_that_is_something_else_is_named(content: bytes, name: str) -> None:
    with pytest.raises(DataError, match=name):
        list(read_citations(io.BytesIO(content), "f.xml"))
    with pytest.raises(DataError, match=name):
        list(read_records(io.BytesIO(content)))
