"""What stands before the routes: the request's id and its line in the log, the key, the limit of a
body.

Plain ASGI: Starlette's BaseHTTPMiddleware relays every streamed response through a task of its own.
"""

import json
import logging
import re
import time
import uuid

import fastapi
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medr_ray.serving.http.errors import CURRENT_REQUEST_ID, build_error_body
from medr_ray.serving.keys import ApiKeyVerifier

# Of a request: some times the context of the largest models, as JSON.
MAX_BODY_BYTES = 8 * 2**20
REQUEST_ID = "medr.request_id"  # its key in an ASGI scope
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_logger = logging.getLogger("medr_ray.serving.requests")
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


class RequestIdMiddleware:
    """Gives every request an id, which its response and its line in the log carry."""

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


class ApiKeyMiddleware:
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
