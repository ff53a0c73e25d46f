"""``/v1/search``: the request."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from medr_ray.retrieval.authority import KINDS
from medr_ray.retrieval.documents import SOURCES
from medr_ray.serving.http.schemas.base import Integer, RequestModel

SearchMode = Literal["text", "vector", "hybrid"]


def _check_source(source: str) -> str:
    if source not in SOURCES:
        raise ValueError(f"no source: {source[:40]!r}; there are {', '.join(SOURCES)}")
    return source


def _check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"no kind of evidence: {kind[:40]!r}; there are {', '.join(KINDS)}")
    return kind


_Source = Annotated[
    str, AfterValidator(_check_source), WithJsonSchema({"type": "string", "enum": list(SOURCES)})
]
_Kind = Annotated[
    str, AfterValidator(_check_kind), WithJsonSchema({"type": "string", "enum": list(KINDS)})
]
_HitCount = Field(ge=1, le=100)
_Year = Field(ge=0, le=9999)


class SearchRequest(RequestModel):
    """``POST /v1/search``; ``results`` and ``mode`` default to the configuration, ``sources`` and
    ``types`` (kinds of evidence) to all; ``since`` and ``until`` are years, inclusive."""

    query: str = Field(min_length=1, max_length=4000)
    results: Annotated[Integer, _HitCount] | None = None
    sources: list[_Source] | None = None
    mode: SearchMode | None = None
    since: Annotated[Integer, _Year] | None = None
    until: Annotated[Integer, _Year] | None = None
    types: list[_Kind] | None = None


class SearchQuery(SearchRequest):
    """``GET /v1/search``: the same as parameters of the address, where numbers are text."""

    results: Annotated[int, _HitCount] | None = None
    since: Annotated[int, _Year] | None = None
    until: Annotated[int, _Year] | None = None
