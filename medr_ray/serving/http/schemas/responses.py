"""The responses that are no completions: errors, models, search."""

from collections.abc import Sequence
from typing import Any, Literal

from typing_extensions import TypedDict


class ErrorDetail(TypedDict):
    """What was wrong: ``param`` is the field at fault, ``code`` a name for the kind of error, and
    ``request_id`` the id under which the request stands in the log."""

    message: str
    type: str
    param: str | None
    code: str | None
    request_id: str | None


class ErrorBody(TypedDict):
    """Every error, in the form that OpenAI's clients read."""

    error: ErrorDetail


class ModelBody(TypedDict):
    """A served model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """The served models."""

    object: Literal["list"]
    data: list[ModelBody]


class SearchBody(TypedDict):
    """Hits in rank order."""

    object: Literal["list"]
    query: str
    hits: list[dict[str, Any]]


def build_model(name: str, created: int) -> ModelBody:
    """One entry of ``GET /v1/models``."""
    return {"id": name, "object": "model", "created": created, "owned_by": "medr_ray"}


def build_model_list(names: Sequence[str], created: int) -> ModelList:
    """The response of ``GET /v1/models``."""
    return {"object": "list", "data": [build_model(name, created) for name in names]}
