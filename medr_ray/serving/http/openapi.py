"""The documentation of the interface: the key that it asks for, and the errors that are sent."""

from typing import Any

from fastapi import FastAPI

from medr_ray.serving.http.schemas.responses import ErrorBody

_DESCRIPTIONS = {
    400: "The body is no JSON, or the model cannot do what is asked for",
    401: "The key is missing or wrong",
    403: "Without a key only requests to this machine are answered",
    404: "There is no such thing",
    413: "The body is too large",
    422: "A field has a value that it cannot have",
    429: "Too much is asked at once: Retry-After says when to come back",
    500: "The request failed here",
    503: "The model is not there at the moment: Retry-After says when to come back",
}
# What every request but those without a key may be answered with.
_COMMON_STATUSES = (401, 403, 429, 500, 503)
# Of a request with a body.
_BODY_STATUSES = (400, 413, 422)
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/livez"})
_SCHEME = "key"


def describe_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route documents of its errors, besides what all of them may answer."""
    return {
        status: {"model": ErrorBody, "description": _DESCRIPTIONS[status]} for status in statuses
    }


COMMON_ERRORS = describe_errors(*_COMMON_STATUSES)
BODY_ERRORS = {**COMMON_ERRORS, **describe_errors(*_BODY_STATUSES)}


def complete_openapi(app: FastAPI) -> None:
    """Add the key to the documentation, and take out errors of FastAPI's form: none is sent."""
    generate = app.openapi

    def build_document() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if path in _OPEN_PATHS else [{_SCHEME: []}]
                _drop_validation_error(operation["responses"])
        for name in ("HTTPValidationError", "ValidationError"):
            components.get("schemas", {}).pop(name, None)
        return document

    app.openapi = build_document  # type: ignore[method-assign]


def _drop_validation_error(responses: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to every route with a parameter."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
