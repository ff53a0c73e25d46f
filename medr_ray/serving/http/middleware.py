"""What stands before the routes: the request's id and its line in the log, the key and its limits,
the places before the model, the limits of a body and of time.

Plain ASGI: Starlette's BaseHTTPMiddleware relays every streamed response through a task of its own.
"""

import asyncio
import json
import logging
import re
import time
import uuid
from typing import Protocol

import fastapi
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medr_ray.serving.account import RequestAccount, current_account
from medr_ray.serving.http.errors import (
    CURRENT_REQUEST_ID,
    RETRY_AFTER_SECONDS,
    build_error_body,
)
from medr_ray.serving.http.service_state import ServiceState
from medr_ray.serving.key_limits import KeyLimiter
from medr_ray.serving.keys import ApiKeyVerifier, ServingKey

# Of a request: some times the context of the largest models, as JSON.
MAX_BODY_BYTES = 8 * 2**20
REQUEST_ID = "medr.request_id"  # its key in an ASGI scope
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_logger = logging.getLogger("medr_ray.serving.requests")
# Where the process that started the service ends it, with a token of its own.
DRAIN_PATH = "/v1/drain"
# A page that says nothing of the service; what it asks for needs the key.
ASK_PATH = "/ask"
_OPEN_PATHS = frozenset({"/livez", "/healthz", "/readyz", DRAIN_PATH, ASK_PATH})
# What keeps the model busy, and therefore takes one of its places.
_MODEL_PATHS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/research"})
# After which a client of a service that ends may find another one in its place.
DRAIN_RETRY_SECONDS = 5
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Keys(Protocol):
    """The keys of the service, which may change while it runs."""

    def current(self) -> ApiKeyVerifier:
        """Those that are valid now."""
        ...

    def refresh(self) -> None:
        """Look whether they changed."""
        ...


class RequestIdMiddleware:
    """Gives every request an id, which its response and its line in the log carry. The line has
    what was used and by which key, and nothing of what was written."""

    def __init__(self, app: ASGIApp, sends_header: bool) -> None:
        self._app = app
        self._sends_header = sends_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _choose_request_id(dict(scope["headers"]).get(b"x-request-id", b""))
        CURRENT_REQUEST_ID.set(request_id)
        started = time.monotonic()
        account = RequestAccount()
        current_account.set(account)
        status = 500  # of an error that is answered outside of this middleware
        if self._sends_header:
            scope[REQUEST_ID] = request_id

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
                "%s %s %d %.0f ms key %s tokens %d in %d out request %s",
                scope["method"],
                json.dumps(scope["path"]),
                status,
                milliseconds,
                account.key_name,
                account.prompt_tokens,
                account.output_tokens,
                request_id,
            )


def _choose_request_id(header: bytes) -> str:
    """The client's id where it is well-formed, else a new one."""
    text = header.decode("latin-1")
    return text if _WELL_FORMED_ID.fullmatch(text) else uuid.uuid4().hex


class ApiKeyMiddleware:
    """Asks for a key, and holds it to its limits, before anything of the request is read."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._limiter = KeyLimiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Lifespan events have no headers, and there are no websocket routes.
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        verifier = self._keys.current()
        if not verifier.asks_for_key:
            if not _is_loopback(headers.get(b"host", b"")):
                await _build_wrong_host_response()(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        # ASGI headers are bytes, and HTTP allows latin-1 in them.
        key = verifier.find_key(headers.get(b"authorization", b"").decode("latin-1"))
        if key is None:
            await _build_missing_key_response()(scope, receive, send)
            return
        await self._answer_within_limits(key, scope, receive, send)

    async def _answer_within_limits(
        self, key: ServingKey, scope: Scope, receive: Receive, send: Send
    ) -> None:
        account = current_account.get() or RequestAccount()
        account.key_name = key.name
        limit = self._limiter.admit(key, time.monotonic())
        if limit is not None:
            body = build_error_body(429, limit.message, "rate_limit_exceeded")
            refusal = JSONResponse(body, 429, {"Retry-After": str(limit.retry_after)})
            await refusal(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            tokens = account.prompt_tokens + account.output_tokens
            self._limiter.finish(key, tokens, time.monotonic())


class AdmissionMiddleware:
    """Refuses requests to the model when every place is taken, or when the service is about to end,
    before their body is read."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in _MODEL_PATHS:
            await self._app(scope, receive, send)
            return
        if self._state.is_draining:
            body = build_error_body(503, "the service is ending", "draining")
            refusal = JSONResponse(body, 503, {"Retry-After": str(DRAIN_RETRY_SECONDS)})
            await refusal(scope, receive, send)
            return
        if self._state.is_full:
            await build_overload_response()(scope, receive, send)
            return
        with self._state.count_request():
            await self._app(scope, receive, send)


class DeadlineMiddleware:
    """Ends a request that takes too long: with status 504, or, in the middle of a stream, with an
    error event and without the event that says it is complete."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False
        is_event_stream = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started, is_event_stream
            if message["type"] == "http.response.start":
                is_started = True
                content_type = dict(message.get("headers", ())).get(b"content-type", b"")
                is_event_stream = content_type.startswith(b"text/event-stream")
            await send(message)

        try:
            async with asyncio.timeout(self._seconds) as deadline:
                await self._app(scope, receive, send_and_note)
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"the request took more than {self._seconds:g} seconds"
            body = build_error_body(504, message, "timeout")
            if not is_started:
                await JSONResponse(body, 504)(scope, receive, send)
                return
            event = f"data: {json.dumps(body)}\n\n".encode() if is_event_stream else b""
            await send({"type": "http.response.body", "body": event, "more_body": False})


def _is_loopback(host: bytes) -> bool:
    """Whether a Host header names this machine, with any port."""
    name = host.decode("latin-1").strip().lower()
    without_port = name.rsplit(":", 1)[0] if not name.endswith("]") else name
    return without_port in _LOOPBACK_HOSTS


def _build_wrong_host_response() -> JSONResponse:
    message = "without an API key only requests to 127.0.0.1 or localhost are answered"
    return JSONResponse(build_error_body(403, message, "wrong_host"), 403)


class BodyLimitMiddleware:
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


def build_overload_response() -> JSONResponse:
    """The refusal of a request for which there is no place."""
    body = build_error_body(429, "the model's queue is full: try again shortly", "overloaded")
    return JSONResponse(body, 429, {"Retry-After": str(RETRY_AFTER_SECONDS)})
