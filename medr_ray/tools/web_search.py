"""Web search for the tool ``search``: services that answer as serper.dev or tavily.com do.

- Without a key the tool does not start.
- Titles and snippets are plain text, data for the agent. Only http(s) addresses are passed on, as
  document ids ``WEB:<address>``.
- With a publication cut-off the service is asked for earlier pages. Neither service guarantees its
  dates, so every page without a date, or with the day of the cut-off or a later one, is left out
  and counted in a note. What remains may be little, because tavily gives dates for news only. The
  dates are those the service states; a page may have changed since.

Formats: https://serper.dev (POST /search, header X-API-KEY), https://docs.tavily.com (POST /search,
bearer token).
"""

import datetime
import email.utils
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from medr_ray.core.config import WebSearchConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.validation_messages import validate_record
from medr_ray.core.variables import read_key
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.live.annotated_results import AnnotatedResults
from medr_ray.retrieval.live.background import run_and_wait
from medr_ray.retrieval.live.query_cache import QueryCache
from medr_ray.retrieval.live.service import (
    NullableText,
    ServiceRequest,
    ServiceResponse,
    WebService,
    parse_json_body,
    parse_rows,
    with_deadline,
)
from medr_ray.retrieval.query_text import plain_line
from medr_ray.retrieval.snippets import truncate

WEB_SOURCE = "web"  # the source of every hit
_MAX_CACHED_QUERIES = 1024
_MAX_URL_CHARS = 2048
_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_DATE_FORMATS = ("%b %d, %Y", "%d %b %Y", "%B %d, %Y", "%d %B %Y")  # "Mar 3, 2021", "3 March 2021"


@dataclass(frozen=True)
class WebHit:
    """A page. ``date`` is the day of publication as the service states it, None where it states
    none."""

    document_id: str
    source: str
    title: str
    snippet: str
    url: str
    date: datetime.date | None

    @property
    def date_text(self) -> str:
        """The day as it is shown beside the address, "" where none is known."""
        return self.date.isoformat() if self.date else ""


class _ResultPage(BaseModel):
    """A page among a service's results, with serper's field names."""

    title: NullableText = ""
    url: NullableText = Field("", validation_alias="link")
    snippet: NullableText = ""
    date: NullableText = ""


class _TavilyResultPage(_ResultPage):
    """A page with tavily's field names."""

    url: NullableText = ""
    snippet: NullableText = Field("", validation_alias="content")
    date: NullableText = Field("", validation_alias="published_date")


# Rows are checked one by one, so that a malformed one does not cost the others.
class _SerperResponse(BaseModel):
    organic: list[Any] = []


class _TavilyResponse(BaseModel):
    results: list[Any] = []


@dataclass(frozen=True)
class _Provider:
    """How a service is called.

    ``key_header`` makes the headers from the key, ``request_body`` the body from (query, number of
    results, last day of publication). ``parse_pages`` reads the pages of a response.
    """

    base_url: str
    max_query_chars: int
    key_header: Callable[[str], Mapping[str, str]]
    request_body: Callable[[str, int, datetime.date | None], dict[str, Any]]
    parse_pages: Callable[[ServiceResponse], Sequence[_ResultPage]]


def _serper_request(query: str, count: int, last: datetime.date | None) -> dict[str, Any]:
    body: dict[str, Any] = {"q": query, "num": count}
    if last:
        body["tbs"] = f"cdr:1,cd_max:{last:%m/%d/%Y}"  # Google's custom date range, months first
    return body


def _tavily_request(query: str, count: int, last: datetime.date | None) -> dict[str, Any]:
    body: dict[str, Any] = {"query": query, "max_results": count}
    if last:
        body["end_date"] = last.isoformat()
    return body


def _parse_serper_pages(response: ServiceResponse) -> Sequence[_ResultPage]:
    rows = parse_json_body(response.body, _SerperResponse).organic
    return parse_rows(rows, lambda row: validate_record(_ResultPage, row))


def _parse_tavily_pages(response: ServiceResponse) -> Sequence[_ResultPage]:
    rows = parse_json_body(response.body, _TavilyResponse).results
    return parse_rows(rows, lambda row: validate_record(_TavilyResultPage, row))


_PROVIDERS = {
    "serper": _Provider(
        base_url="https://google.serper.dev",
        max_query_chars=2048,
        key_header=lambda key: {"X-API-KEY": key},
        request_body=_serper_request,
        parse_pages=_parse_serper_pages,
    ),
    "tavily": _Provider(
        base_url="https://api.tavily.com",
        max_query_chars=400,
        key_header=lambda key: {"Authorization": f"Bearer {key}"},
        request_body=_tavily_request,
        parse_pages=_parse_tavily_pages,
    ),
}


def open_web(config: WebSearchConfig, before: datetime.date | None) -> "WebSearch | None":
    """The configured service, None if there is none. Raises ConfigError when its key is
    missing."""
    if config.provider == "none":
        return None
    key = read_key(config.api_key_env)
    if not key:
        raise ConfigError(
            f"tools.web.provider is {config.provider}, but its key is not there: put it into the "
            f"environment variable {config.api_key_env} (tools.web.api_key_env)"
        )
    return WebSearch(config, _PROVIDERS[config.provider], key, before)


class WebSearch:
    """A searcher over the web. Calls block."""

    def __init__(
        self, config: WebSearchConfig, provider: _Provider, key: str, before: datetime.date | None
    ) -> None:
        limits = Limits(config.requests_per_minute, concurrency=config.concurrency)
        self._service = WebService(
            config.provider,
            config.base_url or provider.base_url,
            config,
            limits,
            key_name=config.api_key_env,
            headers=provider.key_header(key),
        )
        self._config = config
        self._provider = provider
        self._before = before
        self._cache = QueryCache[str, Sequence[_ResultPage]](_MAX_CACHED_QUERIES)

    def search(
        self, query: str, *, sources: Sequence[str] | None = None
    ) -> AnnotatedResults[WebHit]:
        """Pages in the service's order, at most ``results`` of them. Raises ToolError when the
        service refuses the query, InfrastructureError when it cannot be reached, ConfigError when
        it refuses the key."""
        if sources and WEB_SOURCE not in sources:
            return AnnotatedResults()
        service_query = plain_line(query)[: self._provider.max_query_chars]
        pages = run_and_wait(self._cache.get(service_query, self._request_pages))
        hits: dict[str, WebHit] = {}  # by address: services list a page more than once
        for hit in map(self._build_hit, pages):
            if hit.url:  # "" is not an http(s) address
                hits.setdefault(hit.url, hit)
        kept = [hit for hit in hits.values() if self._is_before_cutoff(hit)]
        left_out = len(hits) - len(kept)
        note = f"{left_out} pages left out: not known to be published before {self._before}"
        return AnnotatedResults(kept[: self._config.results], [note] if left_out else [])

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
        page: int = 1,
    ) -> AnnotatedResults[WebHit]:
        """The pages of ``search`` of these years. The web knows nothing of clinical authority, and
        of no page what kind of evidence it is, so with ``types`` there are none; nor are there
        behind the first page of hits."""
        if types or page > 1:
            return AnnotatedResults()
        hits = self.search(query, sources=sources)
        if since is None and until is None:
            return hits
        in_years = [
            hit
            for hit in hits
            if hit.date and (since or 0) <= hit.date.year <= (until or hit.date.year)
        ]
        return AnnotatedResults(in_years, hits.notes)

    async def _request_pages(self, query: str) -> Sequence[_ResultPage]:
        # The services take the last day that is included; ``before`` itself is not.
        last = self._before - datetime.timedelta(days=1) if self._before else None
        body = self._provider.request_body(query, self._config.results, last)
        pages = self._service.request(
            ServiceRequest("POST", "search", content=body), self._provider.parse_pages
        )
        return await with_deadline(self._config.deadline_seconds, self._service.name, pages)

    def _build_hit(self, page: _ResultPage) -> WebHit:
        url = valid_web_address(page.url)
        return WebHit(
            document_id=f"WEB:{url}",
            source=WEB_SOURCE,
            title=plain_line(page.title),
            snippet=truncate(plain_line(page.snippet), self._config.snippet_chars),
            url=url,
            date=parse_stated_date(page.date),
        )

    def _is_before_cutoff(self, hit: WebHit) -> bool:
        return self._before is None or (hit.date is not None and hit.date < self._before)


def valid_web_address(text: str) -> str:
    """The text where it is an http(s) address without spaces or hidden characters, else ""."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    is_plain = text == "".join(plain_line(text).split())
    return text if is_web and is_plain and len(text) <= _MAX_URL_CHARS else ""


def parse_stated_date(text: str) -> datetime.date | None:
    """A day as services write it (ISO 8601, "Mar 3, 2021", "3 Mar 2021", RFC 2822). None for
    anything less precise ("3 days ago", "2021")."""
    iso_day = _ISO_DAY.match(text)
    if iso_day:
        return _date_or_none(datetime.date.fromisoformat, iso_day.group())
    for date_format in _DATE_FORMATS:
        parse = functools.partial(_parse_with_format, date_format)
        date = _date_or_none(parse, text.strip())
        if date:
            return date
    return _date_or_none(lambda text: email.utils.parsedate_to_datetime(text).date(), text)


def _parse_with_format(date_format: str, text: str) -> datetime.date:
    return datetime.datetime.strptime(text, date_format).date()


def _date_or_none(parse: Callable[[str], datetime.date], text: str) -> datetime.date | None:
    try:
        return parse(text)
    except (ValueError, OverflowError):
        return None
