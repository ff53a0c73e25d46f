"""``/v1/search``: the request."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from medr_ray.retrieval.authority import KINDS
from medr_ray.retrieval.documents import SOURCES

SearchMode = Literal["text", "vector", "hybrid"]


class SearchRequest(BaseModel):
    """``POST /v1/search``; ``results`` and ``mode`` default to the configuration, ``sources`` and
    ``types`` (kinds of evidence) to all; ``since`` and ``until`` are years, inclusive."""

    model_config = ConfigDict(extra="forbid")
    query: str = Field(min_length=1, max_length=4000)
    results: int | None = Field(None, ge=1, le=100)
    sources: list[str] | None = None
    mode: SearchMode | None = None
    since: int | None = None
    until: int | None = None
    types: list[str] | None = None

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sources: list[str] | None) -> list[str] | None:
        unknown = [source for source in sources or () if source not in SOURCES]
        if unknown:
            raise ValueError(f"no source: {unknown[0]!r}; there are {', '.join(SOURCES)}")
        return sources

    @field_validator("types")
    @classmethod
    def _check_types(cls, types: list[str] | None) -> list[str] | None:
        unknown = [kind for kind in types or () if kind not in KINDS]
        if unknown:
            raise ValueError(f"no kind of evidence: {unknown[0]!r}; there are {', '.join(KINDS)}")
        return types
