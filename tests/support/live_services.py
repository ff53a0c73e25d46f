"""Recorded answers of web services, and a loopback server that serves them or misbehaves."""

import itertools
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from support.loopback import server
from werkzeug import Request, Response

from medr_ray.governor import gate as gate_module
from medr_ray.governor.actor import LocalGovernorClient
from medr_ray.retrieval.live import service as service_module

_ARCHIVE, _INSIDE = "api_fixtures/biomcp_sources.tar.gz", "testdata/sources"
KEY = "key-very-secret-0123456789"
SHORT = 0.5  # seconds that a test waits for a service that hangs


def recorded(shared_data: Path, name: str) -> bytes:
    """A recorded answer by its path in the archive."""
    with tarfile.open(shared_data / _ARCHIVE) as archive:
        file = archive.extractfile(f"{_INSIDE}/{name}")
        assert file is not None
        return file.read()


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates that nobody else has been through, and no waiting between tries."""
    own = LocalGovernorClient()
    monkeypatch.setattr(gate_module, "get_governor_client", lambda: own)
    monkeypatch.setattr(service_module, "_BACKOFF", 0.0)


def answers(status: int = 200, body: bytes | str = b"", **headers: str) -> Response:
    """An answer; headers with underscores for hyphens."""
    return Response(
        body,
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


class Hang:
    """No answer before the test is over."""


Line = Response | bytes | Hang
_NUMBERS = itertools.count()


class Endpoint:
    """What one path of the server answers with, in turn; the last line is repeated. ``asked`` are
    the requests."""

    def __init__(self, lines: list[Line], over: threading.Event) -> None:
        self._lines, self._over, self.asked = lines, over, list[Request]()

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        assert request.form is not None  # read while the connection is open
        line = self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]
        if isinstance(line, Hang):
            self._over.wait(30)
            return Response(status=503)
        return line if isinstance(line, Response) else Response(line)


class Services:
    """The server. ``url`` is what a ``base_url`` of a configuration is set to."""

    def __init__(self, server: HTTPServer) -> None:
        self._server, self.over = server, threading.Event()
        self._root = f"/{next(_NUMBERS)}"  # what an earlier test left on its way finds nobody here
        self.url = server.url_for(self._root)

    def on(self, path: str, *lines: Line) -> Endpoint:
        """What the path below the base address answers with."""
        endpoint = Endpoint(list(lines), self.over)
        self._server.expect_request(f"{self._root}/{path}").respond_with_handler(endpoint.answer)
        return endpoint


@contextmanager
def services() -> Iterator[Services]:
    """The server while a test runs; hanging requests are released when the test ends."""
    running = Services(server())
    try:
        yield running
    finally:
        running.over.set()
        server().clear()
