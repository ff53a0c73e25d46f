"""Web search: the request to each service, the hits made from its responses, and no invented
results."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.live_services import KEY, SHORT, Hang, Services, alone, answers, services

from medr_ray.core.config import WebSearchConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, ToolError
from medr_ray.tools.web_search import WebSearch, open_web, parse_stated_date, valid_web_address

CUT_OFF = datetime.date(2020, 1, 1)
SERPER = {
    "searchParameters": {"q": "fabry"},
    "answerBox": {"answer": "not a page"},
    "organic": [
        {
            "title": "Fabry\x07 disease",
            "link": "https://a.example/fabry",
            "snippet": "A lysosomal\u202e disorder.",
            "date": "Mar 3, 2019",
            "position": 1,
        },
        {"title": "Newer", "link": "https://b.example/", "snippet": "x", "date": "Jan 1, 2020"},
        {"title": "Undated", "link": "http://c.example/?q=1#part", "snippet": None},
        {"title": "Relative", "link": "https://d.example/", "snippet": "x", "date": "3 days ago"},
        {"title": "Not a page", "link": "javascript:alert(1)", "snippet": "x"},
        {
            "title": "Again",
            "link": "https://a.example/fabry",
            "snippet": "x",
            "date": "Mar 3, 2019",
        },
        "nonsense",
    ],
}
TAVILY = {
    "query": "fabry",
    "answer": "made up by a model",
    "results": [
        {
            "title": "Fabry disease",
            "url": "https://a.example/fabry",
            "content": "A lysosomal disorder.",
            "score": 0.9,
        },
        {
            "title": "News",
            "url": "https://n.example/",
            "content": "x",
            "published_date": "Tue, 05 Mar 2019 09:00:00 GMT",
        },
    ],
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)
    monkeypatch.setenv("SERVICE_TEST_KEY", KEY)


@pytest.fixture
def web() -> Iterator[Services]:
    with services() as web:
        yield web


def opened(
    web: Services, provider: str = "serper", before: datetime.date | None = None, **settings: Any
) -> WebSearch:
    config = WebSearchConfig.model_validate(
        {
            "provider": provider,
            "base_url": web.url,
            "api_key_env": "SERVICE_TEST_KEY",
            "retries": 1,
            "requests_per_minute": 1e6,
            **settings,
        }
    )
    searcher = open_web(config, before)
    assert searcher is not None
    return searcher


def body(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def test_without_a_provider_there_is_no_web() -> None:
    assert open_web(WebSearchConfig(), None) is None


@pytest.mark.parametrize("provider", ["serper", "tavily"])
@pytest.mark.parametrize("key", [None, "", " "])
def test_without_a_key_nothing_starts(
    monkeypatch: pytest.MonkeyPatch,
    web: Services,
    provider: str,
    key: str | None,
) -> None:
    monkeypatch.delenv("SERVICE_TEST_KEY")
    if key is not None:
        monkeypatch.setenv("SERVICE_TEST_KEY", key)
    route = web.on("search", body(SERPER))
    with pytest.raises(
        ConfigError, match=r"tools\.web\.provider is .* environment variable SERVICE_TEST_KEY"
    ):
        opened(web, provider)
    assert route.asked == []


def test_serpers_pages_are_hits(web: Services) -> None:
    path = web.on("search", body(SERPER))
    first, *rest = opened(web).search("fabry disease")
    assert (first.document_id, first.url) == (
        "WEB:https://a.example/fabry",
        "https://a.example/fabry",
    )
    assert (first.title, first.snippet) == ("Fabry disease", "A lysosomal disorder.")
    assert [hit.title for hit in rest] == ["Newer", "Undated", "Relative"]
    assert path.asked[0].headers["X-API-KEY"] == KEY
    assert path.asked[0].json == {"q": "fabry disease", "num": 5}


def test_tavilys_pages_are_hits(web: Services) -> None:
    path = web.on("search", body(TAVILY))
    hits = opened(web, "tavily").search("fabry disease")
    assert [(hit.url, hit.snippet) for hit in hits] == [
        ("https://a.example/fabry", "A lysosomal disorder."),
        ("https://n.example/", "x"),
    ]
    assert path.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert path.asked[0].json == {"query": "fabry disease", "max_results": 5}


@pytest.mark.parametrize(
    ("provider", "answer", "date_parameter", "left"),
    [
        ("serper", SERPER, ("tbs", "cdr:1,cd_max:12/31/2019"), 3),
        ("tavily", TAVILY, ("end_date", "2019-12-31"), 1),
    ],
)
def test_behind_the_cut_off_only_dated_pages_remain(
    web: Services,
    provider: str,
    answer: Any,
    date_parameter: tuple[str, str],
    left: int,
) -> None:
    path = web.on("search", body(answer))
    hits = opened(web, provider, CUT_OFF).search("fabry")
    assert [hit.date.year for hit in hits if hit.date] == [2019]
    assert len(hits) == 1
    assert hits.notes == (f"{left} pages left out: not known to be published before 2020-01-01",)
    assert path.asked[0].json[date_parameter[0]] == date_parameter[1]


def test_results_and_snippets_are_limited(web: Services) -> None:
    pages = [
        {"title": str(i), "link": f"https://a.example/{i}", "snippet": "word " * 100}
        for i in range(9)
    ]
    web.on("search", body({"organic": pages}))
    hits = opened(web, results=3, snippet_chars=50).search("fabry")
    assert [hit.title for hit in hits] == ["0", "1", "2"]
    assert all(len(hit.snippet) <= 50 for hit in hits)


def test_a_long_query_is_cut_to_what_tavily_takes(web: Services) -> None:
    path = web.on("search", body(TAVILY))
    opened(web, "tavily").search("gene " * 200)
    assert len(path.asked[0].json["query"]) == 400


def test_medical_search_keeps_years_and_knows_no_kinds(web: Services) -> None:
    web.on("search", body(SERPER))
    searcher = opened(web)
    assert [hit.title for hit in searcher.medical_search("fabry", since=2019, until=2019)] == [
        "Fabry disease"
    ]
    assert [hit.title for hit in searcher.medical_search("fabry", since=2020)] == ["Newer"]
    assert len(searcher.medical_search("fabry", sources=["web"])) == 4
    assert searcher.medical_search("fabry", types=["guideline"]) == []
    assert searcher.search("fabry", sources=["pubmed"]) == []


@pytest.mark.parametrize(
    "answer", [b'{"organic": [', b"[]", b"<html>", b'{"organic": [1, 2]}', b'{"organic": null}']
)
def test_an_answer_in_disorder_is_a_failure(web: Services, answer: bytes) -> None:
    web.on("search", answer)
    with pytest.raises(
        InfrastructureError, match="serper failed 2 times, at last: its answer cannot be read"
    ):
        opened(web).search("fabry")


@pytest.mark.parametrize(
    ("failure", "tries"), [(answers(500), 2), (answers(429, Retry_After="0.05"), 2)]
)
def test_what_may_pass_is_tried_again(web: Services, failure: Any, tries: int) -> None:
    path = web.on("search", failure, body(SERPER))
    assert len(opened(web).search("fabry")) == 4
    assert len(path.asked) == tries


def test_a_service_that_hangs_is_given_up(web: Services) -> None:
    web.on("search", Hang())
    with pytest.raises(InfrastructureError, match="serper did not answer within"):
        opened(web, deadline_seconds=SHORT).search("fabry")


def test_a_refused_query_is_the_agents_to_change(web: Services) -> None:
    web.on("search", answers(400, '{"message": "Query not allowed"}'))
    with pytest.raises(ToolError, match=r"serper refuses the query \(400\): .*Query not allowed"):
        opened(web).search("fabry")


@pytest.mark.parametrize("provider", ["serper", "tavily"])
def test_a_refused_key_is_the_users_to_correct(web: Services, provider: str) -> None:
    web.on("search", answers(403, f"Unauthorized: {KEY}"))
    with pytest.raises(ConfigError, match=r"refuses the key in \$SERVICE_TEST_KEY") as caught:
        opened(web, provider).search("fabry")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2019-03-05T09:00:00Z", "2019-03-05"),
        ("Mar 5, 2019", "2019-03-05"),
        ("5 Mar 2019", "2019-03-05"),
        ("March 5, 2019", "2019-03-05"),
        ("Tue, 05 Mar 2019 09:00:00 GMT", "2019-03-05"),
        ("3 days ago", None),
        ("2019", None),
        ("Mar 2019", None),
        ("2019-13-01", None),
        ("", None),
        ("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT", None),
        ("Tue, 05 Mar 2019 09:00:00 +9999999999999", None),
    ],
)
def test_a_date_is_a_day(text: str, day: str | None) -> None:
    assert parse_stated_date(text) == (datetime.date.fromisoformat(day) if day else None)


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "http://a.example/a b",
        "https://a.example/\u202egro",
        "https://a.example/\n",
        "//a.example",
        "",
        "http://[",
        "https://a.example/" + "x" * 2048,
    ],
)
def test_what_is_no_address_of_a_page_is_none(text: str) -> None:
    assert valid_web_address(text) == ""
