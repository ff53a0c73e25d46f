"""PubMed records written to hold every trap at once, and the plain reader's account of a whole
document."""

import io
from dataclasses import dataclass, field
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.corpus.medline import (
    BOOK,
    DELETION,
    build_citation_row,
    parse_deletions,
    parse_element,
    read_records,
)

ARTICLE = b"""<PubmedArticle><MedlineCitation><PMID Version="2">123</PMID><Article>
<Journal><ISSN>1234-5678</ISSN><JournalIssue><Volume>12 Suppl
 1</Volume><PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate></PubDate>
</JournalIssue><Title>Some Journal</Title></Journal>
<ArticleTitle>Effect of <i>BRCA1</i> at 10<sup>-3</sup> &amp; p&lt;0.05</ArticleTitle>
<Pagination><MedlinePgn>e17-23; discussion 24</MedlinePgn></Pagination>
<ELocationID EIdType="pii" ValidYN="Y">S12(3)4</ELocationID><ELocationID EIdType="doi" ValidYN="N">10.1/wrong</ELocationID>
<Abstract><AbstractText Label="AIM" NlmCategory="OBJECTIVE">To <b>test</b> 5&#160;mg/kg.</AbstractText>
<AbstractText Label="RESULTS" NlmCategory="RESULTS">HIV/AIDS, p&lt;0.05.</AbstractText>
<CopyrightInformation>(c) nobody</CopyrightInformation></Abstract>
<AuthorList CompleteYN="Y"><Author ValidYN="Y"><LastName>M\xc3\xbcller</LastName><ForeName>Anna  B</ForeName><Initials>AB</Initials>
<Suffix>Jr</Suffix><Identifier Source="ORCID">http://orcid.org/0000-0001-2345-678x</Identifier>
<AffiliationInfo><Affiliation>Clinic A, Kiel. a@b.de</Affiliation><Identifier Source="ROR">x</Identifier></AffiliationInfo>
<AffiliationInfo><Affiliation>Clinic &lt;B&gt;, Kiel.</Affiliation></AffiliationInfo></Author>
<Author ValidYN="N"><LastName>Mueler</LastName><Identifier Source="ORCID">0000-0001-2345-6789</Identifier><AffiliationInfo>
<Affiliation>Nowhere</Affiliation></AffiliationInfo></Author>
<Author><LastName>Li</LastName><ForeName>C</ForeName><Initials>C</Initials><Identifier Source="ORCID">0000 0001 2345 6789</Identifier></Author>
<Author><CollectiveName>The Marfan Group, Kiel</CollectiveName><Affiliation>Kiel</Affiliation></Author></AuthorList>
<Language>fre</Language>
<DataBankList CompleteYN="Y"><DataBank><DataBankName>ClinicalTrials.gov</DataBankName><AccessionNumberList>
<AccessionNumber>NCT00000001</AccessionNumber><AccessionNumber> NCT00000002 </AccessionNumber></AccessionNumberList></DataBank>
<DataBank><DataBankName>GENBANK</DataBankName></DataBank></DataBankList>
<GrantList><Grant><GrantID>R01 1</GrantID><Acronym>HL</Acronym><Agency>NHLBI NIH HHS</Agency><Country>United States</Country></Grant>
<Grant><Agency>CIHR</Agency></Grant></GrantList>
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
</MedlineCitation>
<PubmedData><History/><ArticleIdList><ArticleId IdType="pubmed">123</ArticleId><ArticleId IdType="pmc">PMC5</ArticleId>
<ArticleId IdType="doi">10.1/right</ArticleId><ArticleId IdType="doi">10.1/second</ArticleId></ArticleIdList>
<ReferenceList><Reference><ArticleIdList><ArticleId IdType="doi">10.1/of-another</ArticleId></ArticleIdList></Reference></ReferenceList>
</PubmedData></PubmedArticle>"""

BOOK_ARTICLE = b"""<PubmedBookArticle><BookDocument><PMID Version="1">20301510</PMID>
<Book><Publisher><PublisherName>University</PublisherName></Publisher><BookTitle book="gene">GeneReviews</BookTitle>
<PubDate><Year>1993</Year></PubDate><BeginningDate><Year>1992</Year></BeginningDate>
<AuthorList Type="editors"><Author><LastName>Adam</LastName></Author></AuthorList><Volume>2</Volume></Book>
<ArticleIdList><ArticleId IdType="bookaccession">NBK1335</ArticleId><ArticleId IdType="doi">10.2/b</ArticleId></ArticleIdList>
<ArticleTitle>Marfan <i>Syndrome</i></ArticleTitle><Language>eng</Language>
<Pagination><StartPage>7</StartPage><EndPage>9</EndPage></Pagination>
<AuthorList Type="editors"><Author><LastName>Ardinger</LastName></Author></AuthorList>
<AuthorList Type="authors"><Author><LastName>Dietz</LastName><ForeName>Harry</ForeName></Author></AuthorList>
<PublicationType UI="D016454">Review</PublicationType>
<Abstract><AbstractText Label="DIAGNOSIS">Ghent.</AbstractText><AbstractText>Seen.</AbstractText></Abstract>
<KeywordList><Keyword>FBN1</Keyword></KeywordList><ContributionDate><Year>2001</Year></ContributionDate>
</BookDocument><PubmedBookData/></PubmedBookArticle>"""

DELETIONS = b'<DeleteCitation><PMID Version="1">7</PMID><PMID Version="3">8</PMID></DeleteCitation>'


def document(*records: bytes) -> bytes:
    """A PubmedArticleSet of these records."""
    beginning = b'<?xml version="1.0" encoding="utf-8"?>\n<PubmedArticleSet>\n'
    return beginning + b"\n".join(records) + b"</PubmedArticleSet>"


@dataclass
class Account:
    """What a document holds: rows of citations; (position, offset, reason) of rejected records;
    deletions; the number of records and of books; and the error that the document ends with, if
    any."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[tuple[int, int, str]] = field(default_factory=list)
    deletions: list[tuple[str, int]] = field(default_factory=list)
    records: int = 0
    books: int = 0
    error: str | None = None


def plain_account(data: bytes, source_file: str = "file.xml") -> Account:
    """By ``medline``, record by record."""
    account = Account()
    try:
        for record in read_records(io.BytesIO(data)):
            account.records += record.kind != DELETION
            account.books += record.kind == BOOK
            try:
                if record.kind == DELETION:
                    account.deletions += parse_deletions(record)
                else:
                    account.rows.append(
                        build_citation_row(parse_element(record), source_file, record.position)
                    )
            except DataError as error:
                account.rejected.append((record.position, record.offset, str(error)))
    except DataError as error:
        account.error = str(error)
    return account
