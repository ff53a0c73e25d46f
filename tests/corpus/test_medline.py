"""Splitting and reading PubMed XML record by record: the traps real records set, and agreement with
a whole-document parse."""

import io
from pathlib import Path

import pytest
from isal import igzip
from lxml import etree
from support.pubmed_xml import ARTICLE, BOOK_ARTICLE, DELETIONS, document

from medr_ray.core.errors import DataError
from medr_ray.core.records import (
    Author,
    Citation,
    Correction,
    Databank,
    Grant,
    MeshHeading,
    Section,
    Term,
)
from medr_ray.corpus.medline import (
    BOOK,
    CITATION,
    DELETION,
    PubmedRecord,
    parse_citation,
    parse_deletions,
    read_records,
)


def _record(data: bytes, kind: str = CITATION) -> PubmedRecord:
    return PubmedRecord(kind, 0, 0, data, "utf-8")


def test_every_field_of_a_citation_is_read() -> None:
    citation = parse_citation(_record(ARTICLE), "file.xml")
    assert citation == Citation(
        pmid="123",
        version=2,
        title="Effect of BRCA1 at 10^-3 & p<0.05",
        abstract="AIM: To test 5 mg/kg. RESULTS: HIV/AIDS, p<0.05.",
        sections=(
            Section("AIM", "OBJECTIVE", "To test 5 mg/kg."),
            Section("RESULTS", "RESULTS", "HIV/AIDS, p<0.05."),
        ),
        journal="Some Journal",
        issn="1234-5678",
        year=1998,
        language="fre",
        publication_types=(Term("D016441", "Retracted Publication"),),
        mesh=(MeshHeading("D008382", "Marfan Syndrome", True),),
        supplementary=(Term("C538103", "Rare one"),),
        chemicals=(Term("D001241", "Aspirin"),),
        keywords=("key word",),
        retracted=True,
        corrections=(Correction("RetractionIn", "9"),),
        authors=(
            Author(
                "Müller",
                "Anna B",
                "Jr",
                "",
                "0000-0001-2345-678X",
                ("Clinic A, Kiel. a@b.de", "Clinic <B>, Kiel."),
            ),
            Author("Li", "C", "", "", "0000-0001-2345-6789", ()),
            Author("", "", "", "The Marfan Group, Kiel", "", ("Kiel",)),
        ),
        doi="10.1/right",
        pmcid="PMC5",
        volume="12 Suppl 1",
        pages="e17-23; discussion 24",
        databank_numbers=(
            Databank("ClinicalTrials.gov", ("NCT00000001", "NCT00000002")),
            Databank("GENBANK", ()),
        ),
        grants=(
            Grant("R01 1", "NHLBI NIH HHS", "United States"),
            Grant("", "CIHR", ""),
        ),
        source_file="file.xml",
        position=0,
    )


def test_a_chapter_of_a_book_is_a_citation_with_the_book_for_its_journal() -> None:
    citation = parse_citation(_record(BOOK_ARTICLE, BOOK), "file.xml")
    assert citation == Citation(
        pmid="20301510",
        version=1,
        title="Marfan Syndrome",
        abstract="DIAGNOSIS: Ghent. Seen.",
        sections=(Section("DIAGNOSIS", "", "Ghent."), Section("", "", "Seen.")),
        journal="GeneReviews",
        issn="",
        year=1993,
        language="eng",
        publication_types=(Term("D016454", "Review"),),
        mesh=(),
        supplementary=(),
        chemicals=(),
        keywords=("FBN1",),
        retracted=False,
        corrections=(),
        authors=(Author("Dietz", "Harry", "", "", "", ()),),
        doi="10.2/b",
        pmcid="",
        volume="2",
        pages="7-9",
        databank_numbers=(),
        grants=(),
        source_file="file.xml",
        position=0,
    )


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        (b"<ArticleTitle>Marfan <i>Syndrome</i></ArticleTitle>", b"", "title", "GeneReviews"),
        (b"<PubDate><Year>1993</Year></PubDate>", b"", "year", 2001),
        (
            b"<PubDate><Year>1993</Year></PubDate>",
            b"<PubDate><MedlineDate>1990-1994</MedlineDate></PubDate>",
            "year",
            1990,
        ),
    ],
)
def test_what_a_book_lacks_is_taken_from_elsewhere_in_it(
    old: bytes, new: bytes, field: str, value: object
) -> None:
    assert (
        getattr(parse_citation(_record(BOOK_ARTICLE.replace(old, new), BOOK), "file.xml"), field)
        == value
    )


def test_records_of_every_kind_are_split_whatever_the_read_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = document(ARTICLE, b"<PubmedBookArticle><x/></PubmedBookArticle>", ARTICLE, DELETIONS)
    for chunk in (1_000_000, 97, 1):
        monkeypatch.setattr("medr_ray.corpus.medline._CHUNK_BYTES", chunk)
        records = list(read_records(io.BytesIO(data)))
        assert [(record.kind, record.position) for record in records] == [
            (CITATION, 0),
            (BOOK, 1),
            (CITATION, 2),
            (DELETION, 3),
        ]
        assert records[0].data == records[2].data == ARTICLE
        assert all(data[record.offset :].startswith(record.data) for record in records)
        assert parse_deletions(records[3]) == [("7", 1), ("8", 3)]


@pytest.mark.parametrize(
    "data", [b"<html>503</html>", b"", b" " * 2**17 + b"<PubmedArticleSet></PubmedArticleSet>"]
)
def test_something_else_than_pubmed_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="not PubMed XML"):
        list(read_records(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("cut", "where"), [(-60, "record that begins at byte 18"), (-5, "at byte [0-9]+, before")]
)
def test_a_truncated_document_is_an_error_that_says_where(cut: int, where: str) -> None:
    data = b"<PubmedArticleSet>" + ARTICLE + b"</PubmedArticleSet>"
    with pytest.raises(DataError, match=f"truncated.*{where}"):
        list(read_records(io.BytesIO(data[:cut])))


def test_the_end_of_a_set_may_lie_far_from_the_end_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medr_ray.corpus.medline._CHUNK_BYTES", 50)
    assert len(list(read_records(io.BytesIO(document(ARTICLE) + b"\n" * 500)))) == 1


def test_the_end_of_one_set_does_not_complete_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    data = document(ARTICLE) + b"<PubmedArticleSet>" + ARTICLE
    with pytest.raises(DataError, match="truncated"):
        list(read_records(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"</Article>", b"", "not well formed"),
        (b">123<", b">none<", "PMID"),
        (b"&amp;", b"&unknown;", "not well formed"),
        (b'Version="2"', b'Version="x"', "Version"),
        (b">123<", ">12²<".encode(), "PMID"),
        (b'Version="2"', b'Version="99999999999999999999"', "Version"),
    ],
)
def test_a_bad_record_says_what_is_wrong(old: bytes, new: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        parse_citation(_record(ARTICLE.replace(old, new)), "file.xml")


def test_a_book_without_a_number_is_refused() -> None:
    for data in (
        b"<PubmedBookArticle><x/></PubmedBookArticle>",
        BOOK_ARTICLE.replace(b">20301510<", b"><"),
    ):
        with pytest.raises(DataError, match="BookDocument/PMID"):
            parse_citation(_record(data, BOOK), "file.xml")


def _xml(path: Path) -> bytes:
    return igzip.decompress(path.read_bytes())


def test_splitting_agrees_with_a_whole_document_parse_on_real_files(shared_data: Path) -> None:
    files = sorted((shared_data / "pubmed").glob("*.xml.gz"))
    assert len(files) >= 15
    for path in files:
        data = _xml(path)
        root = etree.fromstring(data, etree.XMLParser(remove_comments=True))
        articles = root.xpath(
            "PubmedArticle/MedlineCitation/PMID | PubmedBookArticle/BookDocument/PMID"
        )
        records = list(read_records(io.BytesIO(data)))
        citations = [
            parse_citation(record, path.name) for record in records if record.kind != DELETION
        ]
        assert [citation.pmid for citation in citations] == [article.text for article in articles]
        assert all(
            data[record.offset :].startswith(f"<{record.kind}".encode()) for record in records
        )
        lists = [parse_deletions(record) for record in records if record.kind == DELETION]
        pmids = [pmid for deletions in lists for pmid, _ in deletions]
        assert pmids == root.xpath("DeleteCitation/PMID/text()")


def test_the_real_chapter_of_a_book_is_read(shared_data: Path) -> None:
    books = [
        record
        for path in sorted((shared_data / "pubmed").glob("export_*.xml.gz"))
        for record in read_records(io.BytesIO(_xml(path)))
        if record.kind == BOOK
    ]
    assert len(books) == 1
    chapter = parse_citation(books[0], "export.xml")
    assert (chapter.pmid, chapter.year, chapter.language) == ("29165978", 2004, "eng")
    assert chapter.title == "Measurement of cAMP for Gαs- and Gαi Protein-Coupled Receptors (GPCRs)"
    assert (chapter.journal, chapter.issn) == ("Assay Guidance Manual", "")
    assert chapter.publication_types == (Term("D016454", "Review"),)
    assert chapter.abstract.startswith(
        "Cyclic adenosine monophosphate (cAMP) is an important intracellular second"
    )
    assert len(chapter.sections) == 1
