"""The HTTP side as a FastAPI application over a chat backend and a search backend.

What holds: every error has OpenAI's envelope; without the key nothing but ``/healthz`` answers; a
stream that was refused is an ordinary error response, because the status is decided by the stream's
first item.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from medr_ray.core.errors import MedrError
from medr_ray.serving.errors import HttpRefusal, Overloaded, envelope
from medr_ray.serving.keys import KeyGate
from medr_ray.serving.messages import ChatBackend, Completion, Delta, Refusal, StreamItem
from medr_ray.serving.schemas import (
    ChatRequest,
    SearchRequest,
    chunk_body,
    completion_body,
    model_list,
    usage_chunk,
)

RETRY_AFTER_SECONDS = 1  # about one batch of a small model: soon enough, and not a stampede


class SearchBackend(Protocol):
    """What answers searches."""

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        """Hits in rank order."""
        ...

    async def document(self, document_id: str) -> dict[str, Any] | None:
        """A document, or None."""
        ...


def build_http(
    chat: ChatBackend, search: SearchBackend | None, gate: KeyGate, models: Sequence[str]
) -> FastAPI:
    """The application. ``models`` are the names that ``/v1/models`` lists."""
    app = FastAPI(title="medr_ray", docs_url="/docs", redoc_url=None)
    app.add_middleware(_Authorised, gate=gate)
    _add_error_handlers(app)
    _add_chat(app, chat, models)
    _add_search(app, search)
    return app


class _Authorised:
    """Asks for the key before anything of the request is read."""

    def __init__(self, app: ASGIApp, gate: KeyGate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz":
            headers = dict(scope["headers"])
            if not self._gate.admits(headers.get(b"authorization", b"").decode("latin-1")):
                body = envelope(
                    401,
                    "missing or wrong API key: send Authorization: Bearer KEY",
                    "invalid_api_key",
                )
                response = JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HttpRefusal)
    async def refused(request: Request, error: HttpRefusal) -> Response:
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
        return JSONResponse(error.body, error.status, headers)

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        body = envelope(429, "the model's queue is full: try again shortly", "overloaded")
        return JSONResponse(body, 429, {"Retry-After": str(RETRY_AFTER_SECONDS)})

    @app.exception_handler(MedrError)
    async def cannot(request: Request, error: MedrError) -> Response:
        return JSONResponse(envelope(400, str(error)), 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _invalid(error.errors())

    @app.exception_handler(ValidationError)
    async def invalid_query(request: Request, error: ValidationError) -> Response:
        return _invalid(error.errors())

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return JSONResponse(envelope(error.status_code, str(error.detail)), error.status_code)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(
            envelope(500, f"the request failed: {type(error).__name__}", "internal_error"), 500
        )


def _invalid(problems: Sequence[Any]) -> Response:
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
    problem = first["msg"].removeprefix("Value error, ")
    message = f"{where}: {problem}" if where else problem
    return JSONResponse(envelope(422, message, "invalid_value", where or None), 422)


def _add_chat(app: FastAPI, chat: ChatBackend, models: Sequence[str]) -> None:
    started = int(time.time())

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "model": await chat.statistics()}

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return model_list(models, started)

    @app.get("/v1/models/{name}")
    async def one_model(name: str) -> dict[str, Any]:
        if name not in models:
            raise HttpRefusal(404, f"no model {name!r} is served", "model_not_found", "model")
        return dict(model_list([name], started)["data"][0])

    @app.post("/v1/chat/completions")
    async def chat_completions(request: ChatRequest) -> Response:
        identity, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        if request.stream:
            return await _streamed(chat, request, identity, created)
        done = await chat.complete(request.job())
        if isinstance(done, Refusal):
            raise HttpRefusal.of(done)
        return JSONResponse(completion_body(identity, created, request.model, done))


async def _streamed(
    chat: ChatBackend, request: ChatRequest, identity: str, created: int
) -> Response:
    items = chat.stream(request.job())
    first = await anext(items)
    if isinstance(first, Refusal):
        raise HttpRefusal.of(first)
    events = _events(items, request, identity, created)
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


async def _events(
    items: AsyncIterator[StreamItem],
    request: ChatRequest,
    identity: str,
    created: int,
) -> AsyncIterator[str]:
    """Server-sent events. A failure after the start is an error event: the status is long sent."""
    yield _event(chunk_body(identity, created, request.model, {"role": "assistant", "content": ""}))
    try:
        async for item in items:
            if isinstance(item, Delta):
                yield _event(chunk_body(identity, created, request.model, {"content": item.text}))
            elif isinstance(item, Completion):
                yield _event(chunk_body(identity, created, request.model, {}, item.finish_reason))
                if request.stream_options is not None and request.stream_options.include_usage:
                    yield _event(usage_chunk(identity, created, request.model, item))
    except Exception as error:
        yield _event(envelope(500, f"the stream failed: {type(error).__name__}", "internal_error"))
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _add_search(app: FastAPI, search: SearchBackend | None) -> None:
    def backend() -> SearchBackend:
        if search is None:
            raise HttpRefusal(404, "this run has no index: run the index stage first", "no_index")
        return search

    async def answer(request: SearchRequest) -> dict[str, Any]:
        hits = await backend().search(request)
        return {"object": "list", "query": request.query, "hits": hits}

    @app.post("/v1/search")
    async def search_post(request: SearchRequest) -> dict[str, Any]:
        return await answer(request)

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
        return await answer(SearchRequest.model_validate(values))

    @app.get("/v1/documents/{document_id:path}")
    async def document(document_id: str) -> dict[str, Any]:
        found = await backend().document(document_id)
        if found is None:
            raise HttpRefusal(
                404,
                f"no document {document_id!r} in the index",
                "document_not_found",
                "document_id",
            )
        return found
