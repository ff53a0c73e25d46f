"""What Serve's proxy lacks, in the proxy's own process: limits for slow and greedy connections, and
OpenAI's form for the errors that the proxy makes itself.

Ray Serve calls ``build_middlewares`` in every proxy whose environment names it (see
``names.SERVE_ENVIRONMENT``). Connections are guarded below HTTP, because a half-sent header never
reaches an application. Serve's other ingress, HAProxy, has such time-outs too, but opens its
statistics page and the replicas on every address of the machine, and keeps its files where others
may write.
"""

import asyncio
import contextlib
import json
import resource
from typing import Any

import uvicorn.config
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from medr_ray.serving.http.errors import (
    RESTART_RETRY_SECONDS,
    RETRY_AFTER_SECONDS,
    build_error_body,
)
from medr_ray.serving.http.middleware import MAX_BODY_BYTES
from medr_ray.serving.http.schemas.responses import ErrorBody

# For a whole header: a client that takes longer than this is not on any network that works.
_HEADER_SECONDS = 10.0
_MAX_HEADER_BYTES = 64 * 2**10  # some times what browsers and their cookies send
# For a body beside the time that its bytes are given: the slowest client that is waited for.
_BODY_SECONDS = 10.0
_BODY_BYTES_PER_SECOND = 64 * 2**10
# After which a client that reads nothing of its answer is given up.
_WRITE_SECONDS = 30.0
# Serve's own pages, which are not part of the interface.
_SERVE_PREFIX = "/-/"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's connection, which must send its header and its body in time and read its answer.

    A request begins with its first byte. From there to the end of its body one timer runs: first
    the header's, then the body's, which grows with what has arrived.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._reads_header = True
        self._header_bytes = 0
        self._body_bytes = 0
        self._body_started = 0.0
        self._is_refused = False
        super().connection_made(transport)
        self._start_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_read_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if self._reads_header:
            self._header_bytes += len(data)
            if self._header_bytes > _MAX_HEADER_BYTES:
                self._refuse(431, "the header is too large", "header_too_large")
        # What is no request, such as an empty line, ends uvicorn's wait for one.
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and self.timeout_keep_alive_task is None and self._read_timer is None:
            self._start_header()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reads_header = True
        self._header_bytes = 0
        # A connection that is new waits for its first header already.
        if self._read_timer is None:
            self._start_header()

    def on_headers_complete(self) -> None:
        self._stop_read_timer()
        self._reads_header = False
        if sum(len(name) + len(value) for name, value in self.headers) > _MAX_HEADER_BYTES:
            self._refuse(431, "the header is too large", "header_too_large")
            return
        super().on_headers_complete()
        self._body_bytes = 0
        self._body_started = self.loop.time()
        self._read_timer = self.loop.call_later(_BODY_SECONDS, self._check_body)

    def on_body(self, body: bytes) -> None:
        if self._is_refused:
            return
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_read_timer()
        if not self._is_refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(_WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _start_header(self) -> None:
        self._read_timer = self.loop.call_later(_HEADER_SECONDS, self._end_slow_header)

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _end_slow_header(self) -> None:
        if self._header_bytes == 0:
            # Nothing was asked, so there is nothing to answer.
            self.transport.abort()
            return
        self._refuse(408, "the header did not come in time", "header_timeout")

    def _check_body(self) -> None:
        """Refuse a body that comes too slowly; look again later at one that comes."""
        allowed = _BODY_SECONDS + self._body_bytes / _BODY_BYTES_PER_SECOND
        left = allowed - (self.loop.time() - self._body_started)
        if self.flow.read_paused:
            # It is not the client that is slow.
            left = max(left, _BODY_SECONDS)
        if left > 0:
            self._read_timer = self.loop.call_later(left, self._check_body)
            return
        self._refuse(408, "the body did not come in time", "body_timeout")

    def _refuse(self, status: int, message: str, code: str) -> None:
        """End the connection, with an error where no answer has begun."""
        self._stop_read_timer()
        self._is_refused = True
        if self.transport.is_closing():
            return
        if self._reads_header or self.cycle is None or not self.cycle.response_started:
            content = json.dumps(build_error_body(status, message, code)).encode()
            head = (
                f"HTTP/1.1 {status} {message}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + content)
        # The application hears of it as of a client that left.
        self.transport.close()


class ProxyErrorMiddleware:
    """Gives the proxy's own errors OpenAI's form, and refuses by its header a body that is too
    large.

    Serve answers with a line of text: 429 and 503 when the gateway takes no more, 404 while no
    gateway is there, 408 after its own time limit, and nothing at all when the gateway's process
    ends.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_SERVE_PREFIX):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            message = f"the request has more than {self._max_bytes:,} bytes"
            body = build_error_body(413, message, "request_too_large")
            # What is still to come of the body is not read.
            await _send_error(send, 413, body, [(b"connection", b"close")])
            return
        is_started = False
        replaced: Message | None = None

        async def send_in_form(message: Message) -> None:
            nonlocal is_started, replaced
            if message["type"] == "http.response.start":
                is_started = True
                if _is_proxy_error(message):
                    replaced = message
                    return
            elif replaced is not None:
                if not message.get("more_body", False):
                    await _send_proxy_error(send, replaced["status"], replaced["headers"])
                return
            await send(message)

        await self._app(scope, receive, send_in_form)
        if not is_started:
            await _send_proxy_error(send, 503, [])


def _is_proxy_error(start: Message) -> bool:
    """Whether a response is the proxy's own: ours are never plain text."""
    content_type = dict(start.get("headers", ())).get(b"content-type", b"")
    return start["status"] >= 400 and content_type.startswith(b"text/plain")


async def _send_proxy_error(send: Send, status: int, headers: Any) -> None:
    if status == 429:
        body = build_error_body(429, "the service is overloaded: try again shortly", "overloaded")
        retry_after: int | None = RETRY_AFTER_SECONDS
    elif status == 408:
        status = 504
        body = build_error_body(504, "the request took too long", "timeout")
        retry_after = None
    else:
        status = 503
        body = build_error_body(503, "the service is not there at the moment", "unavailable")
        retry_after = RESTART_RETRY_SECONDS
    replaced_names = {b"content-type", b"content-length", b"retry-after"}
    kept = [(name, value) for name, value in headers if name.lower() not in replaced_names]
    if retry_after is not None:
        kept.append((b"retry-after", str(retry_after).encode()))
    await _send_error(send, status, body, kept)


async def _send_error(
    send: Send, status: int, body: ErrorBody, headers: list[tuple[bytes, bytes]]
) -> None:
    content = json.dumps(body).encode()
    own_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send(
        {"type": "http.response.start", "status": status, "headers": [*own_headers, *headers]}
    )
    await send({"type": "http.response.body", "body": content})


def build_middlewares() -> list[Middleware]:
    """Guard the connections of this process; return what its HTTP server puts before the rest."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{GuardedProtocol.__name__}"
    _allow_many_connections()
    return [Middleware(ProxyErrorMiddleware, max_bytes=MAX_BODY_BYTES)]


def _allow_many_connections() -> None:
    """Raise the limit of open files to what this process may have: the usual one of 1,024 is used
    up by as many connections that say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft == hard:
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
