"""Every error as a response in the form that OpenAI clients read."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from medr_ray.core.errors import InfrastructureError, MedrError
from medr_ray.serving.http.errors import (
    RESTART_RETRY_SECONDS,
    RETRY_AFTER_SECONDS,
    HttpRefusal,
    Overloaded,
    Unavailable,
    build_error_body,
)
from medr_ray.serving.http.middleware import REQUEST_ID, build_overload_response

# Of the errors that FastAPI and the middlewares raise.
_CODES = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
}
_RETRY_LATER = {"Retry-After": str(RETRY_AFTER_SECONDS)}


def add_error_handlers(app: FastAPI) -> None:
    """Register a handler for every kind of error."""

    # Starlette takes the handler of the nearest class in the error's MRO: the order of the handlers
    # does not matter.
    @app.exception_handler(HttpRefusal)
    async def answer_refusal(request: Request, error: HttpRefusal) -> Response:
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
        return JSONResponse(error.body, error.status, headers)

    @app.exception_handler(Overloaded)
    async def answer_overload(request: Request, error: Overloaded) -> Response:
        return build_overload_response()

    @app.exception_handler(InfrastructureError)
    async def answer_outage(request: Request, error: InfrastructureError) -> Response:
        message = "the model failed meanwhile: try again shortly"
        return JSONResponse(build_error_body(503, message, "unavailable"), 503, _RETRY_LATER)

    @app.exception_handler(Unavailable)
    async def answer_unavailable(request: Request, error: Unavailable) -> Response:
        body = build_error_body(503, str(error), "unavailable")
        return JSONResponse(body, 503, {"Retry-After": str(RESTART_RETRY_SECONDS)})

    @app.exception_handler(MedrError)
    async def answer_medr_error(request: Request, error: MedrError) -> Response:
        return JSONResponse(build_error_body(400, str(error)), 400)

    @app.exception_handler(RequestValidationError)
    async def answer_invalid_request(request: Request, error: RequestValidationError) -> Response:
        return _build_invalid_response(error.errors())

    @app.exception_handler(ValidationError)
    async def answer_invalid_query(request: Request, error: ValidationError) -> Response:
        return _build_invalid_response(error.errors())

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        status = error.status_code
        message = str(error.detail)
        headers = dict(error.headers or {})
        if status == 404:
            message = f"there is nothing at {request.url.path}"
        if status == 405:
            headers["Allow"] = ", ".join(_list_methods(app, request))
            message = f"{request.method} is not for {request.url.path}: use {headers['Allow']}"
        body = build_error_body(status, message, _CODES.get(status))
        return JSONResponse(body, status, headers)

    @app.exception_handler(Exception)
    async def answer_failure(request: Request, error: Exception) -> Response:
        # Only the type: the message may hold paths or texts that are nobody else's business.
        message = f"the request failed: {type(error).__name__}"
        # This answer goes past the middlewares.
        request_id = request.scope.get(REQUEST_ID)
        headers = {"X-Request-Id": request_id} if request_id else None
        return JSONResponse(build_error_body(500, message, "internal_error"), 500, headers)


def _list_methods(app: FastAPI, request: Request) -> list[str]:
    """The methods of all routes with the request's path; Starlette names those of the first."""
    methods: set[str] = set()
    for route in app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods.update(getattr(route, "methods", None) or ())
    return sorted(methods)


def _build_invalid_response(problems: Sequence[Any]) -> Response:
    """The response that names the first problem pydantic has with a request."""
    problem = problems[0]
    if problem["loc"] == ("body",) and isinstance(problem.get("input"), bytes):
        message = "the body is not read: send JSON with the header Content-Type: application/json"
        return JSONResponse(build_error_body(400, message, "invalid_json"), 400)
    # FastAPI puts the place of a parameter in front of its name. In angle brackets stand the
    # alternatives of a field, which are no fields.
    places = [str(place) for place in problem["loc"]]
    if places and places[0] in ("body", "query", "path"):
        del places[0]
    field = ".".join(place for place in places if not place.startswith("<"))
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "field_problem":
        field = problem["ctx"]["field"]
    if problem["type"] == "extra_forbidden":
        reason = "not supported"
    message = f"{field}: {reason}" if field else reason
    return JSONResponse(build_error_body(422, message, "invalid_value", field or None), 422)
