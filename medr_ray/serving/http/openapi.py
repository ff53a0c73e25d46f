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
    504: "The request took too long",
}
# What every request but those without a key may be answered with.
_COMMON_STATUSES = (401, 403, 429, 500, 503, 504)
# Of a request with a body.
_BODY_STATUSES = (400, 413, 422)
# What is answered without a key, and the errors that it may have.
_OPEN_PATHS: dict[str, tuple[int, ...]] = {"/healthz": (), "/livez": (), "/readyz": (503,)}
_SCHEME = "key"
_ERROR_RESPONSE: dict[str, Any] = {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
}


def describe_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route documents of its errors, besides those that every route or body may have."""
    return {
        status: {"model": ErrorBody, "description": _DESCRIPTIONS[status]} for status in statuses
    }


def complete_openapi(app: FastAPI) -> None:
    """Add to the documentation the key and the errors that every route or body may have, and take
    out errors of FastAPI's form: none is sent."""
    generate = app.openapi

    def build_document() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _complete_operation(operation, path)
        for name in ("HTTPValidationError", "ValidationError"):
            components.get("schemas", {}).pop(name, None)
        return document

    app.openapi = build_document  # type: ignore[method-assign]


def _complete_operation(operation: dict[str, Any], path: str) -> None:
    responses = operation["responses"]
    # FastAPI's own, of every route with a parameter.
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    operation["security"] = [] if path in _OPEN_PATHS else [{_SCHEME: []}]
    statuses = _OPEN_PATHS.get(path, _COMMON_STATUSES)
    if "requestBody" in operation:
        statuses += _BODY_STATUSES
    for status in statuses:
        responses.setdefault(str(status), _ERROR_RESPONSE | {"description": _DESCRIPTIONS[status]})
