"""A loopback PubMed: NLM's two folders over HTTP, with Range and If-Range, and faults that a test
scripts."""

import contextlib
import hashlib
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["_Handler", bytes], None]


class PubmedServer:
    """``files`` by path; each request of a path with ``faults`` meets the next of them instead of
    the file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.ranges = True
        self.stamp = "2025-12-05 15:12"
        self.released = threading.Event()  # ends whatever stalls
        self.in_flight = self.peak = 0
        self.crowd = 0  # bodies wait until so many are in flight
        self.changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.pubmed = self  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/pubmed/"

    def add(self, key: str, content: bytes) -> None:
        """A file with its sidecar; ``key`` is ``folder/name``."""
        name = key.rpartition("/")[2]
        self.files[f"/pubmed/{key}"] = content
        self.files[f"/pubmed/{key}.md5"] = f"MD5 ({name})= {md5(content)}\n".encode()

    def list_requests(self, ending: str) -> list[dict[str, str]]:
        """The headers of the requests for paths with this ending."""
        return [headers for path, headers in self.requests if path.endswith(ending)]

    def listing(self, folder: str) -> bytes | None:
        """Apache's page of a folder; None when no file lies in it."""
        names = sorted(path.removeprefix(folder) for path in self.files if path.startswith(folder))
        rows = []
        for name in names:
            if "/" not in name:
                size = len(self.files[folder + name]) // 1024 + 1
                rows.append(f'<a href="{name}">{name}</a>  {self.stamp}  {size}K\n')
        return (
            f"<html><pre><a href='../'>Parent</a>\n{''.join(rows)}</pre></html>".encode()
            if rows
            else None
        )

    @contextlib.contextmanager
    def serving(self) -> Iterator["PubmedServer"]:
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """One body in flight, held until the crowd is there (and, for a moment, for one more than
        that)."""
        with self.changed:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.changed.notify_all()
            if self.crowd:
                self.changed.wait_for(lambda: self.peak >= self.crowd, timeout=30)
                self.changed.wait_for(lambda: self.peak > self.crowd, timeout=0.1)
        try:
            yield
        finally:
            with self.changed:
                self.in_flight -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def pubmed(self) -> PubmedServer:
        return self.server.pubmed  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        self.pubmed.requests.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()})
        )
        if self.path.endswith("/"):
            page = self.pubmed.listing(self.path)
            return self.answer(404 if page is None else 200, page or b"")
        faults, content = self.pubmed.faults[self.path], self.pubmed.files.get(self.path)
        if content is None:
            return self.answer(404, b"")
        if faults:
            return faults.popleft()(self, content)
        if self.path.endswith(".gz"):
            with self.pubmed.counted():
                return self.send(content)
        return self.answer(200, content)

    def send(self, content: bytes) -> None:
        """The file, or the part of it that Range asks for."""
        requested_range, etag = self.headers["Range"], f'"{md5(content)}"'
        if not (
            requested_range and self.pubmed.ranges and self.headers.get("If-Range", etag) == etag
        ):
            return self.answer(200, content, {"ETag": etag})
        start = int(requested_range.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.answer(206, content[start:], {"ETag": etag, "Content-Range": span})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        with contextlib.suppress(ConnectionError):  # a client that gave up
            self.head(status, len(body), headers or {})
            self.wfile.write(body)

    def head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def part(self, content: bytes, count: int) -> bytes:
        """Promise all that was asked for, and send ``count`` bytes of it."""
        requested_range = self.headers["Range"]
        start = int(requested_range.removeprefix("bytes=").rstrip("-")) if requested_range else 0
        span = (
            {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            if requested_range
            else {}
        )
        self.head(
            206 if requested_range else 200,
            len(content) - start,
            {"ETag": f'"{md5(content)}"', **span},
        )
        self.wfile.write(content[start : start + count])
        self.wfile.flush()
        self.close_connection = True
        return content[start : start + count]

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


# --- faults ---------------------------------------------------------------------------


def truncated(count: int) -> Fault:
    """The connection closes in good order after ``count`` bytes."""
    return lambda handler, content: void(handler.part(content, count))


def dropped(count: int) -> Fault:
    """The connection is reset after ``count`` bytes have been sent."""

    def fault(handler: _Handler, content: bytes) -> None:
        handler.part(content, count)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return fault


def stalled(count: int) -> Fault:
    """Nothing comes after ``count`` bytes, and the connection stays open."""

    def fault(handler: _Handler, content: bytes) -> None:
        handler.part(content, count)
        handler.pubmed.released.wait(60)

    return fault


def answers(status: int, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, content: handler.answer(status, b"", named)


def instead(other: bytes) -> Fault:
    """Another content, whole."""
    return lambda handler, content: handler.send(other)


def void(_: object) -> None:
    """Forget a value."""


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
