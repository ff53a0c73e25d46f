"""Every error as a response in the form that OpenAI clients read."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from medr_ray.core.errors import MedrError
from medr_ray.serving.http.errors import (
    RETRY_AFTER_SECONDS,
    HttpRefusal,
    Overloaded,
    build_error_body,
)
from medr_ray.serving.http.middleware import REQUEST_ID


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
        body = build_error_body(429, "the model's queue is full: try again shortly", "overloaded")
        return JSONResponse(body, 429, {"Retry-After": str(RETRY_AFTER_SECONDS)})

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
        return JSONResponse(
            build_error_body(error.status_code, str(error.detail)), error.status_code
        )

    @app.exception_handler(Exception)
    async def answer_failure(request: Request, error: Exception) -> Response:
        # Only the type: the message may hold paths or texts that are nobody else's business.
        message = f"the request failed: {type(error).__name__}"
        # This answer goes past the middlewares.
        request_id = request.scope.get(REQUEST_ID)
        headers = {"X-Request-Id": request_id} if request_id else None
        return JSONResponse(build_error_body(500, message, "internal_error"), 500, headers)


def _build_invalid_response(problems: Sequence[Any]) -> Response:
    """The response that names the first problem pydantic has with a request."""
    problem = problems[0]
    # FastAPI puts the place of a parameter in front of its name.
    path = [str(part) for part in problem["loc"] if part not in ("body", "query")]
    field = ".".join(path)
    reason = problem["msg"].removeprefix("Value error, ")
    message = f"{field}: {reason}" if field else reason
    return JSONResponse(build_error_body(422, message, "invalid_value", field or None), 422)
