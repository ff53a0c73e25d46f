"""Web search for the tool ``search``: services that answer as serper.dev or tavily.com do.

What holds: without a key nothing starts and nothing is made up; titles and snippets are plain text,
data for the agent; only http(s) addresses are passed on, as document ids ``WEB:<address>``. With a
publication cut-off the service is asked for earlier pages and, as neither can vouch for dates,
every page that states none, or the day of the cut-off or a later one, is left out and counted in a
note: what remains may be little, for tavily dates news alone. The dates are those the service
states; a page may have changed since.

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
    read_api_key,
    with_deadline,
)
from medr_ray.retrieval.query_text import plain_line
from medr_ray.retrieval.readers.plain_records import validate_record
from medr_ray.retrieval.snippets import truncate

WEB = "web"  # the source of what is found here
_REMEMBERED = 1024  # queries
_LONGEST_URL = 2048  # characters
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WRITTEN = ("%b %d, %Y", "%d %b %Y", "%B %d, %Y", "%d %B %Y")


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


class _Page(BaseModel):
    """A result of either service."""

    title: NullableText = ""
    url: NullableText = Field("", validation_alias="link")
    snippet: NullableText = ""
    date: NullableText = ""


class _TavilyPage(_Page):
    url: NullableText = ""
    snippet: NullableText = Field("", validation_alias="content")
    date: NullableText = Field("", validation_alias="published_date")


def _page(row: Any) -> _Page:
    return validate_record(_Page, row)


def _tavily_page(row: Any) -> _Page:
    return validate_record(_TavilyPage, row)


class _SerperAnswer(BaseModel):
    organic: list[Any] = []


class _TavilyAnswer(BaseModel):
    results: list[Any] = []


@dataclass(frozen=True)
class _Provider:
    """How a service is asked: its address, the longest query in characters, the header of its key,
    the body of a request, and its answer's pages."""

    base_url: str
    longest: int
    header: Callable[[str], Mapping[str, str]]
    body: Callable[[str, int, datetime.date | None], dict[str, Any]]
    pages: Callable[[ServiceResponse], Sequence[_Page]]


def _serper_body(query: str, count: int, last: datetime.date | None) -> dict[str, Any]:
    return {"q": query, "num": count} | ({"tbs": f"cdr:1,cd_max:{last:%m/%d/%Y}"} if last else {})


def _tavily_body(query: str, count: int, last: datetime.date | None) -> dict[str, Any]:
    return {"query": query, "max_results": count} | ({"end_date": last.isoformat()} if last else {})


_PROVIDERS = {
    "serper": _Provider(
        "https://google.serper.dev",
        2048,
        lambda key: {"X-API-KEY": key},
        _serper_body,
        lambda reply: parse_rows(parse_json_body(reply.body, _SerperAnswer).organic, _page),
    ),
    "tavily": _Provider(
        "https://api.tavily.com",
        400,
        lambda key: {"Authorization": f"Bearer {key}"},
        _tavily_body,
        lambda reply: parse_rows(parse_json_body(reply.body, _TavilyAnswer).results, _tavily_page),
    ),
}


def open_web(config: WebSearchConfig, before: datetime.date | None) -> "WebSearch | None":
    """The configured service, None where there is none. Raises ConfigError when its key is not
    there."""
    if config.provider == "none":
        return None
    key = read_api_key(config.api_key_env)
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
            headers=provider.header(key),
        )
        self._config, self._provider, self._before = config, provider, before
        self._answers = QueryCache[str, Sequence[_Page]](_REMEMBERED)

    def search(
        self, query: str, *, sources: Sequence[str] | None = None
    ) -> AnnotatedResults[WebHit]:
        """Pages in the service's order, at most ``results`` of them. Raises ToolError when the
        service refuses the query, InfrastructureError when it cannot be had, ConfigError when it
        refuses the key."""
        if sources and WEB not in sources:
            return AnnotatedResults()
        pages = run_and_wait(
            self._answers.get(plain_line(query)[: self._provider.longest], self._asked)
        )
        hits: dict[str, WebHit] = {}
        for hit in map(self._hit, pages):
            if hit.url:
                hits.setdefault(hit.url, hit)
        kept = [hit for hit in hits.values() if self._is_early(hit)]
        late = len(hits) - len(kept)
        note = f"{late} pages left out: not known to be published before {self._before}"
        return AnnotatedResults(kept[: self._config.results], [note] if late else [])

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> AnnotatedResults[WebHit]:
        """The pages of ``search`` of these years: the web knows nothing of clinical authority, and
        of no page what kind of evidence it is."""
        if types:
            return AnnotatedResults()
        hits = self.search(query, sources=sources)
        if since is None and until is None:
            return hits
        return AnnotatedResults(
            [
                hit
                for hit in hits
                if hit.date and (since or 0) <= hit.date.year <= (until or hit.date.year)
            ],
            hits.notes,
        )

    async def _asked(self, query: str) -> Sequence[_Page]:
        last = self._before - datetime.timedelta(days=1) if self._before else None
        body = self._provider.body(query, self._config.results, last)
        asking = self._service.request(
            ServiceRequest("POST", "search", content=body), self._provider.pages
        )
        return await with_deadline(self._config.deadline_seconds, self._service.name, asking)

    def _hit(self, page: _Page) -> WebHit:
        url = web_address(page.url)
        return WebHit(
            f"WEB:{url}",
            WEB,
            plain_line(page.title),
            truncate(plain_line(page.snippet), self._config.snippet_chars),
            url,
            stated_date(page.date),
        )

    def _is_early(self, hit: WebHit) -> bool:
        return self._before is None or (hit.date is not None and hit.date < self._before)


def web_address(text: str) -> str:
    """An http(s) address as it is, "" for anything else."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    is_one = parts.scheme in ("http", "https") and parts.hostname and len(text) <= _LONGEST_URL
    return text if is_one and text == "".join(plain_line(text).split()) else ""


def stated_date(text: str) -> datetime.date | None:
    """A day as services write it (ISO 8601, "Mar 3, 2021", "3 Mar 2021", RFC 2822); None for less
    ("3 days ago", "2021"), which is no day."""
    if day := _DAY.match(text):
        return _read(datetime.date.fromisoformat, day.group())
    for form in _WRITTEN:
        if parsed := _read(functools.partial(_written, form), text.strip()):
            return parsed
    return _read(lambda text: email.utils.parsedate_to_datetime(text).date(), text)


def _written(form: str, text: str) -> datetime.date:
    return datetime.datetime.strptime(text, form).date()


def _read(read: Callable[[str], datetime.date], text: str) -> datetime.date | None:
    try:
        return read(text)
    except (ValueError, OverflowError):
        return None
