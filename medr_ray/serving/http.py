"""The HTTP interface: a FastAPI application over a chat backend and a search backend.

Every error has the form that OpenAI clients read. Without the key only ``/healthz`` (the process
is alive) and ``/readyz`` (the model answers) say anything. Where no key is asked for, only requests
to this machine are answered, so that a page in a browser cannot reach it under a name of its own
(DNS rebinding). A body is refused by its size before it is parsed. A stream that was refused is an
ordinary error response, because the status is decided by the stream's first item. Every response
carries an ``X-Request-Id``, the client's own where it is well-formed, which also stands in the log.
"""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Protocol

import fastapi
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medr_ray.core.errors import MedrError
from medr_ray.serving.errors import HttpRefusal, Overloaded, build_error_body
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.messages import ChatBackend, Completion, Delta, Refusal, StreamItem
from medr_ray.serving.schemas import (
    ChatRequest,
    SearchRequest,
    build_chunk,
    build_completion,
    build_model_list,
    build_usage_chunk,
)

# Of a request: some times the context of the largest models, as JSON.
MAX_BODY_BYTES = 8 * 2**20
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_REQUEST_ID = "medr.request_id"  # its key in an ASGI scope
_logger = logging.getLogger("medr_ray.serving.requests")
_READY_SECONDS = 2.0  # within which the model must answer to count as ready
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
# About one batch of a small model: soon enough, and clients do not all come back at once.
RETRY_AFTER_SECONDS = 1


class SearchBackend(Protocol):
    """What answers searches."""

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        """Hits in rank order."""
        ...

    async def document(self, document_id: str) -> dict[str, Any] | None:
        """A document, or None."""
        ...


def build_http(
    chat: ChatBackend,
    search: SearchBackend | None,
    verifier: ApiKeyVerifier,
    models: Sequence[str],
    *,
    sends_request_id: bool = True,
) -> FastAPI:
    """The application. ``models`` are the names that ``/v1/models`` lists; without ``search`` the
    search paths answer 404. ``sends_request_id`` is off behind a proxy that adds the header."""
    app = FastAPI(title="medr_ray", docs_url="/docs", redoc_url=None)
    # The last one added is the first to see a request: the key comes before the body.
    app.add_middleware(_BodyLimitMiddleware, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(_ApiKeyMiddleware, verifier=verifier)
    app.add_middleware(_RequestIdMiddleware, sends_header=sends_request_id)
    _add_error_handlers(app)
    _add_chat(app, chat, models)
    _add_search(app, search)
    return app


# Plain ASGI: Starlette's BaseHTTPMiddleware relays every streamed response through a task of its
# own.
class _RequestIdMiddleware:
    """Gives every request an id, which its response and its line in the log carry."""

    def __init__(self, app: ASGIApp, sends_header: bool) -> None:
        self._app = app
        self._sends_header = sends_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _choose_request_id(dict(scope["headers"]).get(b"x-request-id", b""))
        started = time.monotonic()
        status = 500  # of an error that is answered outside of this middleware
        if self._sends_header:
            scope[_REQUEST_ID] = request_id

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._sends_header:
                    header = (b"x-request-id", request_id.encode())
                    message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            milliseconds = 1000 * (time.monotonic() - started)
            # Without the query, which holds what was searched for.
            _logger.info(
                "%s %s %d %.0f ms request %s",
                scope["method"],
                json.dumps(scope["path"]),
                status,
                milliseconds,
                request_id,
            )


def _choose_request_id(header: bytes) -> str:
    """The client's id where it is well-formed, else a new one."""
    text = header.decode("latin-1")
    return text if _WELL_FORMED_ID.fullmatch(text) else uuid.uuid4().hex


class _ApiKeyMiddleware:
    """Asks for the key before anything of the request is read."""

    def __init__(self, app: ASGIApp, verifier: ApiKeyVerifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Lifespan events have no headers, and there are no websocket routes.
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            headers = dict(scope["headers"])
            if self._verifier.digest is None and not _is_loopback(headers.get(b"host", b"")):
                await _build_wrong_host_response()(scope, receive, send)
                return
            # ASGI headers are bytes, and HTTP allows latin-1 in them.
            authorization = headers.get(b"authorization", b"").decode("latin-1")
            if not self._verifier.accepts(authorization):
                await _build_missing_key_response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_loopback(host: bytes) -> bool:
    """Whether a Host header names this machine, with any port."""
    name = host.decode("latin-1").strip().lower()
    without_port = name.rsplit(":", 1)[0] if not name.endswith("]") else name
    return without_port in _LOOPBACK_HOSTS


def _build_wrong_host_response() -> JSONResponse:
    message = "without an API key only requests to 127.0.0.1 or localhost are answered"
    return JSONResponse(build_error_body(403, message, "wrong_host"), 403)


class _BodyLimitMiddleware:
    """Refuses a body that is too large, by its header or once so much of it has come."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            await self._build_refusal()(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                # FastAPI turns any other error while it reads a body into a 400.
                raise fastapi.HTTPException(413, self._message)
            return message

        await self._app(scope, receive_limited, send)

    @property
    def _message(self) -> str:
        return f"the request has more than {self._max_bytes:,} bytes"

    def _build_refusal(self) -> JSONResponse:
        return JSONResponse(build_error_body(413, self._message, "request_too_large"), 413)


def _build_missing_key_response() -> JSONResponse:
    message = "missing or wrong API key: send Authorization: Bearer KEY"
    body = build_error_body(401, message, "invalid_api_key")
    return JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})


def _add_error_handlers(app: FastAPI) -> None:
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
        request_id = request.scope.get(_REQUEST_ID)
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


def _add_chat(app: FastAPI, chat: ChatBackend, models: Sequence[str]) -> None:
    started_at = int(time.time())

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        # Without asking the model: a busy one is no reason to end the process.
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> Response:
        try:
            await asyncio.wait_for(chat.statistics(), _READY_SECONDS)
        except Exception:
            body = build_error_body(503, "the model does not answer yet", "not_ready")
            return JSONResponse(body, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        return JSONResponse({"status": "ready"})

    @app.get("/v1/statistics")
    async def show_statistics() -> dict[str, Any]:
        return {"object": "statistics", "model": await chat.statistics()}

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return build_model_list(models, started_at)

    @app.get("/v1/models/{name}")
    async def show_model(name: str) -> dict[str, Any]:
        if name not in models:
            raise HttpRefusal(404, f"no model {name!r} is served", "model_not_found", "model")
        return dict(build_model_list([name], started_at)["data"][0])

    @app.post("/v1/chat/completions")
    async def chat_completions(request: ChatRequest) -> Response:
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        created = int(time.time())
        if request.stream:
            return await _open_stream(chat, request, completion_id, created)
        reply = await chat.complete(request.to_job())
        if isinstance(reply, Refusal):
            raise HttpRefusal.from_refusal(reply)
        return JSONResponse(build_completion(completion_id, created, request.model, reply))


async def _open_stream(
    chat: ChatBackend, request: ChatRequest, completion_id: str, created: int
) -> Response:
    """The streamed response. Raises HttpRefusal when the first item is a refusal."""
    items = chat.stream(request.to_job())
    # Nothing is sent before the first item, so a refusal can still decide the status.
    first = await anext(items)
    if isinstance(first, Refusal):
        raise HttpRefusal.from_refusal(first)
    events = _generate_events(items, request, completion_id, created)
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


async def _generate_events(
    items: AsyncIterator[StreamItem],
    request: ChatRequest,
    completion_id: str,
    created: int,
) -> AsyncIterator[str]:
    """Server-sent events. A failure after the start is an error event: the status is long sent."""
    model = request.model
    includes_usage = request.stream_options is not None and request.stream_options.include_usage
    opening = {"role": "assistant", "content": ""}
    yield _format_event(build_chunk(completion_id, created, model, opening))
    try:
        async for item in items:
            if isinstance(item, Delta):
                delta = {"content": item.text}
                yield _format_event(build_chunk(completion_id, created, model, delta))
            elif isinstance(item, Completion):
                chunk = build_chunk(completion_id, created, model, {}, item.finish_reason)
                yield _format_event(chunk)
                if includes_usage:
                    yield _format_event(build_usage_chunk(completion_id, created, model, item))
    # A client that leaves cancels the generator. CancelledError is no subclass of Exception, so it
    # passes through.
    except Exception as error:
        message = f"the stream failed: {type(error).__name__}"
        yield _format_event(build_error_body(500, message, "internal_error"))
    yield "data: [DONE]\n\n"


def _format_event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _add_search(app: FastAPI, search: SearchBackend | None) -> None:
    def require_search() -> SearchBackend:
        if search is None:
            raise HttpRefusal(404, "this run has no index: run the index stage first", "no_index")
        return search

    async def run_search(request: SearchRequest) -> dict[str, Any]:
        hits = await require_search().search(request)
        return {"object": "list", "query": request.query, "hits": hits}

    @app.post("/v1/search")
    async def search_post(request: SearchRequest) -> dict[str, Any]:
        return await run_search(request)

    @app.get("/v1/search")
    async def search_get(
        query: str,
        results: int | None = None,
        sources: Annotated[list[str] | None, Query()] = None,
        mode: str | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Annotated[list[str] | None, Query()] = None,
    ) -> dict[str, Any]:
        values = {
            "query": query,
            "results": results,
            "sources": sources,
            "mode": mode,
            "since": since,
            "until": until,
            "types": types,
        }
        return await run_search(SearchRequest.model_validate(values))

    # ``:path``, because the name in an id may contain a slash.
    @app.get("/v1/documents/{document_id:path}")
    async def show_document(document_id: str) -> dict[str, Any]:
        document = await require_search().document(document_id)
        if document is None:
            raise HttpRefusal(
                404,
                f"no document {document_id!r} in the index",
                "document_not_found",
                "document_id",
            )
        return document
