"""Splitting and reading PubMed XML: the traps real records set, and agreement with a whole-document parse."""

import io
from pathlib import Path

import pytest
from isal import igzip
from lxml import etree

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, Correction, MeshHeading, Section, Term
from medr_ray.corpus.medline import BOOK, CITATION, DELETION, Record, deleted, parse_citation, read_records

ARTICLE = b"""<PubmedArticle><MedlineCitation><PMID Version="2">123</PMID><Article>
<Journal><ISSN>1234-5678</ISSN><JournalIssue><PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate></PubDate>
</JournalIssue><Title>Some Journal</Title></Journal>
<ArticleTitle>Effect of <i>BRCA1</i> at 10<sup>-3</sup> &amp; p&lt;0.05</ArticleTitle>
<Abstract><AbstractText Label="AIM" NlmCategory="OBJECTIVE">To <b>test</b> 5&#160;mg/kg.</AbstractText>
<AbstractText Label="RESULTS" NlmCategory="RESULTS">HIV/AIDS, p&lt;0.05.</AbstractText>
<CopyrightInformation>(c) nobody</CopyrightInformation></Abstract><Language>fre</Language>
<PublicationTypeList><PublicationType UI="D016441">Retracted Publication</PublicationType></PublicationTypeList>
<VernacularTitle>Titre fran\xc3\xa7ais</VernacularTitle></Article>
<ChemicalList><Chemical><RegistryNumber>0</RegistryNumber><NameOfSubstance UI="D001241">Aspirin</NameOfSubstance>
</Chemical></ChemicalList>
<SupplMeshList><SupplMeshName Type="Disease" UI="C538103">Rare one</SupplMeshName></SupplMeshList>
<CommentsCorrectionsList><CommentsCorrections RefType="RetractionIn"><RefSource>X</RefSource><PMID>9</PMID>
</CommentsCorrections></CommentsCorrectionsList>
<MeshHeadingList><MeshHeading><DescriptorName UI="D008382" MajorTopicYN="N">Marfan Syndrome</DescriptorName>
<QualifierName UI="Q000235" MajorTopicYN="Y">genetics</QualifierName></MeshHeading></MeshHeadingList>
<OtherAbstract Type="Publisher" Language="fre"><AbstractText>Ne pas lire.</AbstractText></OtherAbstract>
<KeywordList Owner="NOTNLM"><Keyword MajorTopicYN="N">key <i>word</i></Keyword></KeywordList>
</MedlineCitation></PubmedArticle>"""


def _record(data: bytes) -> Record:
    return Record(CITATION, 0, data, "utf-8")


def test_every_field_of_a_citation_is_read() -> None:
    citation = parse_citation(_record(ARTICLE), "file.xml")
    assert citation == Citation(
        pmid="123", version=2, title="Effect of BRCA1 at 10-3 & p<0.05",
        abstract="AIM: To test 5 mg/kg. RESULTS: HIV/AIDS, p<0.05.",
        sections=(Section("AIM", "OBJECTIVE", "To test 5 mg/kg."), Section("RESULTS", "RESULTS", "HIV/AIDS, p<0.05.")),
        journal="Some Journal", issn="1234-5678", year=1998, language="fre",
        publication_types=(Term("D016441", "Retracted Publication"),),
        mesh=(MeshHeading("D008382", "Marfan Syndrome", True),), supplementary=(Term("C538103", "Rare one"),),
        chemicals=(Term("D001241", "Aspirin"),), keywords=("key word",), retracted=True,
        corrections=(Correction("RetractionIn", "9"),), source_file="file.xml", position=0)


def test_records_of_every_kind_are_split_whatever_the_read_size(monkeypatch: pytest.MonkeyPatch) -> None:
    document = (b'<?xml version="1.0" encoding="utf-8"?><PubmedArticleSet>' + ARTICLE
                + b"<PubmedBookArticle><x/></PubmedBookArticle>" + ARTICLE
                + b'<DeleteCitation><PMID Version="1">7</PMID><PMID Version="3">8</PMID></DeleteCitation>'
                + b"</PubmedArticleSet>")
    for chunk in (1_000_000, 97):
        monkeypatch.setattr("medr_ray.corpus.medline._CHUNK", chunk)
        records = list(read_records(io.BytesIO(document)))
        assert [(one.kind, one.position) for one in records] == [
            (CITATION, 0), (BOOK, 1), (CITATION, 2), (DELETION, 3)]
        assert records[0].data == records[2].data == ARTICLE
        assert deleted(records[3]) == [("7", 1), ("8", 3)]


@pytest.mark.parametrize("data", [b"<html>503</html>", b""])
def test_something_else_than_pubmed_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="not PubMed XML"):
        list(read_records(io.BytesIO(data)))


@pytest.mark.parametrize("cut", [-60, -5])
def test_a_truncated_document_is_an_error(cut: int) -> None:
    document = b"<PubmedArticleSet>" + ARTICLE + b"</PubmedArticleSet>"
    with pytest.raises(DataError, match="truncated"):
        list(read_records(io.BytesIO(document[:cut])))


@pytest.mark.parametrize(("old", "new", "reason"), [
    (b"</Article>", b"", "not well formed"), (b">123<", b">none<", "PMID"), (b"&amp;", b"&unknown;", "not well formed"),
    (b'Version="2"', b'Version="x"', "Version"),
])
def test_a_bad_record_says_what_is_wrong(old: bytes, new: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        parse_citation(_record(ARTICLE.replace(old, new)), "file.xml")


def _xml(path: Path) -> bytes:
    return igzip.decompress(path.read_bytes())


def test_splitting_agrees_with_a_whole_document_parse_on_real_files(shared_data: Path) -> None:
    files = sorted((shared_data / "pubmed").glob("*.xml.gz"))
    assert len(files) >= 15
    for path in files:
        data = _xml(path)
        root = etree.fromstring(data, etree.XMLParser(remove_comments=True))
        articles = root.findall("PubmedArticle")
        citations = [parse_citation(one, path.name) for one in read_records(io.BytesIO(data)) if one.kind == CITATION]
        assert [one.pmid for one in citations] == [one.findtext("MedlineCitation/PMID") for one in articles]
        for citation, article in zip(citations, articles, strict=True):
            texts = article.xpath("MedlineCitation/Article/Abstract/AbstractText")
            assert [one.text for one in citation.sections] == [" ".join(one.xpath("string()").split()) for one in texts]
            title = article.xpath("string(MedlineCitation/Article/ArticleTitle)")
            assert citation.title == " ".join(title.split())
            headings = article.xpath("MedlineCitation/MeshHeadingList/MeshHeading/DescriptorName")
            assert [(one.ui, one.name) for one in citation.mesh] == [(one.get("UI", ""), one.text) for one in headings]
        deleted_pmids = root.xpath("DeleteCitation/PMID/text()")
        found = [pmid for one in read_records(io.BytesIO(data)) if one.kind == DELETION for pmid, _ in deleted(one)]
        assert found == deleted_pmids
