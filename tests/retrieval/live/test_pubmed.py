"""PubMed by E-utilities: what is asked, and what is made of recorded, damaged and hostile
answers."""

import asyncio
import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.live_services import KEY, Services, answers
from support.pubmed_xml import ARTICLE, BOOK_ARTICLE, document

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import ConfigError, InfrastructureError
from medr_ray.governor.gate import Gate, Limits
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live import service as service_module
from medr_ray.retrieval.live.pubmed import PubMedSource
from medr_ray.retrieval.live.source import LiveQuery

Record = Callable[[str], bytes]
FOLDER = "variant_articles_683/pubmed"
RATE_LIMITED = f"{FOLDER}/25d2878202364a3ed7e3c45a166f42121f8d49e5552be6951a87fa54d126f548.json"
THREE = f"{FOLDER}/2ebc125ce85e958951e46ab078cf6ff28d34e7db4ea65482745eb2822de16ebc.json"


def ids(*pmids: str) -> bytes:
    return json.dumps({"esearchresult": {"count": str(len(pmids)), "idlist": pmids}}).encode()


def source(web: Services, retries: int = 1, **settings: Any) -> PubMedSource:
    values = {
        "base_url": web.url,
        "api_key_env": "SERVICE_TEST_KEY",
        "requests_per_second": 1e6,
        **settings,
    }
    return PubMedSource(LiveConfig.model_validate({"retries": retries, "pubmed": values}))


def search(
    pubmed: PubMedSource, query: str = "BRAF melanoma", count: int = 5, **rest: Any
) -> list[Document]:
    return asyncio.run(pubmed.find_documents(LiveQuery(query, count, **rest)))


def test_a_recorded_citation_becomes_a_document(web: Services, record: Record) -> None:
    web.on("esearch.fcgi", ids("22663011"))
    web.on("efetch.fcgi", record("pubmed/efetch_citation_22663011.xml"))
    (paper,) = search(source(web))
    assert (paper.document_id, paper.source, paper.year) == ("PMID:22663011", "pubmed", 2012)
    assert paper.title == "Improved survival with MEK inhibition in BRAF-mutated melanoma."
    assert "P<0.001" in paper.text
    assert "D016449" in paper.publication_types  # Randomized Controlled Trial


def test_the_ids_of_a_recorded_search_are_fetched(web: Services, record: Record) -> None:
    web.on("esearch.fcgi", record(THREE))
    fetched = web.on("efetch.fcgi", document(ARTICLE))
    search(source(web))
    assert dict(fetched.asked[0].form) == {
        "db": "pubmed",
        "tool": "medr_ray",
        "id": "32150788,29373119,17427195",
        "retmode": "xml",
    }


def test_what_pubmed_is_asked(web: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", KEY)
    searched = web.on("esearch.fcgi", ids())
    assert search(source(web, email="library@example.org"), 'Is it [Fabry]* AND "GLA"?') == []
    first = searched.asked[0]
    assert (first.method, first.query_string) == ("POST", b"")
    assert dict(first.form) == {
        "db": "pubmed",
        "tool": "medr_ray",
        "email": "library@example.org",
        "api_key": KEY,
        "retmode": "json",
        "retmax": "5",
        "sort": "relevance",
        "term": "is it fabry and gla",
    }


@pytest.mark.parametrize(
    ("key", "settings", "rate"),
    [
        ("", {}, 3.0),
        (KEY, {}, 10.0),
        (KEY, {"requests_per_second": 1}, 1.0),
    ],
)
def test_ncbi_is_asked_as_often_as_it_allows(
    web: Services,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    settings: dict[str, Any],
    rate: float,
) -> None:
    all_limits: list[Limits] = []

    class Seen(Gate):
        def __init__(self, service: str, limits: Limits, *, secret: str = "") -> None:
            all_limits.append(limits)
            super().__init__(service, limits, secret=secret)

    monkeypatch.setenv("SERVICE_TEST_KEY", key)
    monkeypatch.setattr(service_module, "Gate", Seen)
    source(web, **{"requests_per_second": None, **settings})
    assert [(limits.requests, limits.seconds) for limits in all_limits] == [(rate, 1.0)]


def test_a_question_of_many_words_is_asked_more_loosely(web: Services) -> None:
    searched = web.on("esearch.fcgi", ids(), ids(), ids("123"))
    web.on("efetch.fcgi", document(ARTICLE))
    assert [
        document.document_id
        for document in search(source(web), "What is the cause of Fabry disease?")
    ] == ["PMID:123"]
    assert [request.form["term"] for request in searched.asked] == [
        "what is the cause of fabry disease",
        "cause fabry disease",
        "cause OR fabry OR disease",
    ]


def test_years_types_and_the_cut_off_reach_pubmed(web: Services) -> None:
    searched = web.on("esearch.fcgi", ids())
    search(
        source(web),
        "fabry",
        since=2001,
        until=2019,
        types=("guideline", "preprint"),
        before=datetime.date(2015, 3, 1),
    )
    form = searched.asked[0].form
    assert (form["datetype"], form["mindate"], form["maxdate"]) == (
        "pdat",
        "2001/01/01",
        "2015/02/28",
    )
    assert form["term"].startswith('(fabry) AND ("practice guideline"[pt] OR "guideline"[pt] OR ')
    assert form["term"].endswith('OR "preprint"[pt])')


def test_the_order_of_relevance_is_kept(web: Services) -> None:
    web.on("esearch.fcgi", ids("20301510", "123"))
    web.on("efetch.fcgi", document(ARTICLE, BOOK_ARTICLE))
    assert [document.document_id for document in search(source(web))] == [
        "PMID:20301510",
        "PMID:123",
    ]


def test_a_record_in_disorder_does_not_hide_the_others(web: Services) -> None:
    web.on("esearch.fcgi", ids("7", "123"))
    web.on(
        "efetch.fcgi",
        document(b"<PubmedArticle><MedlineCitation><PMID>7</PMID></PubmedArticle>", ARTICLE),
    )
    assert [document.document_id for document in search(source(web))] == ["PMID:123"]


def test_ids_that_are_none_are_not_sent_on(web: Services) -> None:
    web.on("esearch.fcgi", ids("1&db=protein", "٣", "123"))
    fetched = web.on("efetch.fcgi", document(ARTICLE))
    search(source(web))
    assert fetched.asked[0].form["id"] == "123"


def test_the_recorded_rate_limit_is_waited_for(web: Services, record: Record) -> None:
    searched = web.on("esearch.fcgi", answers(429, record(RATE_LIMITED)), ids())
    assert search(source(web), "fabry") == []
    assert len(searched.asked) == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"esearchresult": {"idlist": ["12',
        b"[]",
        b"null",
        b"<html>busy</html>",
        b"\xff",
        b"[" * 100_000,
        b'{"error": "API rate limit exceeded", "count": "4", "limit": "3"}',
        b'{"esearchresult": {"ERROR": "Search Backend failed"}}',
    ],
)
def test_a_search_that_cannot_be_read_is_a_failure(web: Services, body: bytes) -> None:
    searched = web.on("esearch.fcgi", body)
    with pytest.raises(
        InfrastructureError, match="PubMed failed 2 times, at last: its answer cannot be read"
    ):
        search(source(web))
    assert len(searched.asked) == 2


BOMB = (
    b"""<?xml version="1.0"?><!DOCTYPE PubmedArticleSet [<!ENTITY a "aaaaaaaaaa">"""
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"""<!ENTITY file SYSTEM "file:///etc/passwd">]><PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>123</PMID>
<Article><ArticleTitle>T</ArticleTitle><Abstract><AbstractText>%s</AbstractText></Abstract></Article></MedlineCitation>
</PubmedArticle></PubmedArticleSet>"""
)


@pytest.mark.parametrize("entity", [b"&j;", b"&file;"])
def test_entities_are_neither_expanded_nor_fetched(web: Services, entity: bytes) -> None:
    web.on("esearch.fcgi", ids("123"))
    web.on("efetch.fcgi", BOMB % entity)
    with pytest.raises(InfrastructureError, match="cannot be read: not well formed"):
        search(source(web))


def test_citations_that_are_cut_off_are_asked_for_again(web: Services) -> None:
    web.on("esearch.fcgi", ids("123"))
    fetched = web.on("efetch.fcgi", document(ARTICLE)[:-30], document(ARTICLE))
    assert len(search(source(web))) == 1
    assert len(fetched.asked) == 2


def test_an_invalid_key_is_the_users_to_correct(
    web: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", KEY)
    web.on("esearch.fcgi", answers(400, json.dumps({"error": "API key invalid", "api-key": KEY})))
    with pytest.raises(
        ConfigError, match=r"PubMed refuses the key in \$SERVICE_TEST_KEY"
    ) as caught:
        search(source(web))
    assert KEY not in str(caught.value)
