import asyncio
import gzip
import ipaddress
import itertools
import re
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from medr_ray.core.config import ReadConfig
from medr_ray.core.errors import ToolError
from medr_ray.tools.reading.fetching import FetchedPage, fetch_page

LOOPBACK = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
def server(httpserver: HTTPServer) -> HTTPServer:
    return httpserver


def limits(server: HTTPServer, **changes: Any) -> ReadConfig:
    named = (f"localhost:{server.port}", f"127.0.0.1:{server.port}", f"pages.example:{server.port}")
    return ReadConfig(**{"private_hosts": named, "requests_per_minute": 1e6, **changes})


def get(server: HTTPServer, path: str = "/page", **changes: Any) -> FetchedPage:
    return asyncio.run(fetch_page(server.url_for(path), limits(server, **changes)))


def serve(server: HTTPServer, body: bytes | str = "<p>text</p>", **answer: Any) -> None:
    server.expect_request("/page").respond_with_response(
        Response(body, **{"content_type": "text/html; charset=utf-8", **answer})
    )


def test_a_page_comes_with_its_address_type_and_charset(server: HTTPServer) -> None:
    serve(server, "<p>päge</p>")
    assert get(server) == FetchedPage(
        server.url_for("/page"), "text/html", "utf-8", "<p>päge</p>".encode()
    )


def test_nothing_of_ours_is_sent_along(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    serve(server)
    get(server)
    request, _ = server.log[0]
    assert {"Authorization", "Cookie", "Proxy-Authorization"}.isdisjoint(dict(request.headers))


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://10.0.0.1/",
        "http://127.0.0.1/",
        "//169.254.169.254/x",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_inward_is_not_followed(server: HTTPServer, target: str) -> None:
    serve(server, b"", status=302, headers={"Location": target})
    with pytest.raises(ToolError, match=r"public internet|no http or https"):
        get(server)
    assert len(server.log) == 1


def test_a_host_that_resolves_inward_is_not_contacted(server: HTTPServer) -> None:
    async def resolver(host: str, port: int) -> list[Any]:
        return [ipaddress.ip_address("93.184.216.34"), LOOPBACK]

    with pytest.raises(ToolError, match="public internet"):
        asyncio.run(fetch_page("http://rebind.example/", ReadConfig(), resolver))


def test_the_connection_goes_to_the_address_that_was_checked(server: HTTPServer) -> None:
    hosts: list[str] = []

    async def resolver(host: str, port: int) -> list[Any]:
        hosts.append(host)
        return [LOOPBACK]

    serve(server)
    url = f"http://pages.example:{server.port}/page"
    assert asyncio.run(fetch_page(url, limits(server), resolver)).url == url
    assert hosts == [
        "pages.example"
    ]  # a name that only this resolver knows: nobody resolved it again
    assert server.log[0][0].headers["Host"] == f"pages.example:{server.port}"


def test_redirects_are_followed_up_to_a_number(server: HTTPServer) -> None:
    def onwards(request: Request) -> Response:
        count = int(request.args.get("n", 0))
        return Response(status=302, headers={"Location": f"/page?n={count + 1}"})

    server.expect_request("/page").respond_with_handler(onwards)
    with pytest.raises(ToolError, match="more than 2 redirects"):
        get(server, max_redirects=2)
    assert len(server.log) == 3


def endless(piece: bytes, sent: list[int]) -> Iterator[bytes]:
    for _ in range(50):
        sent.append(len(piece))
        yield piece


@pytest.mark.parametrize("stated", [True, False])
def test_a_page_of_50_mb_is_refused_before_it_has_come(server: HTTPServer, stated: bool) -> None:
    sent: list[int] = []

    def answer(request: Request) -> Response:
        headers = {"Content-Length": "50000000"} if stated else {}
        return Response(
            endless(b"a" * 1_000_000, sent),
            content_type="text/html",
            headers=headers,
            direct_passthrough=True,
        )

    server.expect_request("/page").respond_with_handler(answer)
    with pytest.raises(ToolError, match="larger than 1 MB"):
        get(server, max_bytes=1_000_000)
    assert sum(sent) < 50_000_000


PDF = b"%PDF-1.4\n1 0 obj"
PAGE = "<!DOCTYPE html><html><body><p>Fabry disease</p></body></html>"


@pytest.mark.parametrize(
    ("stated", "body", "expected"),
    [
        ("application/octet-stream", PDF, "application/pdf"),
        ("binary/octet-stream", PDF, "application/pdf"),
        ("text/html; charset=utf-8", PDF, "application/pdf"),
        ("application/pdf", b"\n\n" + PDF, "application/pdf"),
        ("application/pdf", PAGE, "text/html"),
        ("application/pdf", "<!-- x --><html><p>a</p>", "text/html"),
        ("application/octet-stream", PAGE, "text/html"),
        ("application/xyz", "name,dose\nagalsidase,1 mg/kg\n", "text/plain"),
        ("application/octet-stream", "Sjögren" * 900, "text/plain"),
        ("text/plain", PAGE, "text/plain"),
        ("application/json", "{}", "application/json"),
    ],
)
def test_what_a_page_is_shows_in_its_bytes(
    server: HTTPServer, stated: str, body: bytes | str, expected: str
) -> None:
    serve(server, body, content_type=stated)
    assert get(server).media_type == expected


@pytest.mark.parametrize(
    ("stated", "body", "name"),
    [
        ("application/pdf", b"PK\x03\x04...", "a ZIP archive or an office document"),
        ("text/html", b"\x89PNG\r\n", "a picture"),
        ("application/octet-stream", b"\x00\x01\x02", "application/octet-stream"),
        ("application/octet-stream", b"\xff\xfe\xfd" * 9, "application/octet-stream"),
        ("application/pdf", b"", "application/pdf"),
        ("video/mp4", PDF, "video/mp4"),
    ],
)
def test_what_is_not_read_is_named(server: HTTPServer, stated: str, body: bytes, name: str) -> None:
    serve(server, body, content_type=stated)
    with pytest.raises(ToolError, match=f"the page is {name}.*HTML, PDF and plain text are read"):
        get(server)


def test_every_member_of_a_packed_page_is_read_and_a_cut_one_is_said(server: HTTPServer) -> None:
    members = gzip.compress(b"first ") + gzip.compress(b"second")
    headers = {"Content-Encoding": "gzip"}
    serve(server, members, content_type="text/plain", headers=headers)
    fetched = get(server)
    assert (fetched.body, fetched.is_cut) == (b"first second", False)
    server.clear()
    serve(server, members[:-9], content_type="text/plain", headers=headers)
    fetched = get(server)
    assert fetched.body.startswith(b"first ")
    assert fetched.is_cut
    server.clear()
    # Cut within the mark of the second member.
    first = gzip.compress(b"first ")
    serve(server, first + b"\x1f", content_type="text/plain", headers=headers)
    assert get(server).is_cut
    server.clear()
    serve(server, first + bytes(20), content_type="text/plain", headers=headers)
    fetched = get(server)
    assert (fetched.body, fetched.is_cut) == (b"first ", False)


def test_a_page_that_is_packed_without_a_word_is_unpacked_and_an_archive_is_named(
    server: HTTPServer,
) -> None:
    packed = gzip.compress(b"<html><p>text</p></html>")
    serve(server, packed, content_type="text/html")
    assert get(server).body == b"<html><p>text</p></html>"
    server.clear()
    serve(server, packed, content_type="application/gzip")
    with pytest.raises(ToolError, match="a gzip archive"):
        get(server)


def test_a_small_answer_that_unpacks_to_50_mb_is_refused(server: HTTPServer) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    serve(server, bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ToolError, match="larger than 1 MB"):
        get(server, max_bytes=1_000_000)


def test_a_packed_page_is_unpacked(server: HTTPServer) -> None:
    serve(server, gzip.compress(b"<p>text</p>"), headers={"Content-Encoding": "gzip"})
    assert get(server).body == b"<p>text</p>"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"content_type": "image/png"}, "image/png"),
        ({"status": 404}, "status 404"),
        ({"status": 500}, "status 500"),
        ({"headers": {"Content-Encoding": "br"}}, "packed as br"),
        ({"headers": {"Content-Encoding": "gzip"}}, "could not"),
    ],
)
def test_a_response_that_is_no_page_is_reported(
    server: HTTPServer, answer: dict[str, Any], message: str
) -> None:
    serve(server, b"no gzip at all", **answer)
    with pytest.raises(ToolError, match=message):
        get(server)


def test_a_server_that_does_not_answer_is_left(server: HTTPServer) -> None:
    over = asyncio.Event()

    async def scenario() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        mute = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = mute.sockets[0].getsockname()[1]
        config = ReadConfig(private_hosts=(f"127.0.0.1:{port}",), seconds=0.2)
        try:
            await fetch_page(f"http://127.0.0.1:{port}/", config)
        finally:
            over.set()
            mute.close()

    with pytest.raises(ToolError, match=r"within 0\.2 s"):
        asyncio.run(scenario())


def test_an_unpacker_never_makes_more_than_it_is_allowed() -> None:
    """The property that ``fetch_page`` builds on: zlib stops at the room it is given."""
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    assert len(unpack(gzip.compress(bytes(10_000_000)), 1000)) == 1000


async def _serve_bytes(response: bytes, then: Callable[[int], Awaitable[Any]]) -> Any:
    """The result of ``then(port)`` for a server that answers every request with ``response``."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        return await then(server.sockets[0].getsockname()[1])


def from_raw(
    response: bytes, host: str = "127.0.0.1", times: int = 1
) -> list[FetchedPage | ToolError]:
    """The outcomes of ``times`` fetches from ``host``, which always sends ``response``."""

    async def fetch_repeatedly(port: int) -> list[FetchedPage | ToolError]:
        config = ReadConfig(
            private_hosts=(host,), requests_per_minute=1e6, seconds=5, max_redirects=1
        )
        outcomes: list[FetchedPage | ToolError] = []
        for _ in range(times):
            try:
                outcomes.append(await fetch_page(f"http://{host}:{port}/", config, _loopback))
            except ToolError as error:
                outcomes.append(error)
        return outcomes

    return asyncio.run(_serve_bytes(response, fetch_repeatedly))


async def _loopback(host: str, port: int) -> list[Any]:
    return [LOOPBACK]


_NAMES = (f"host{number}.example" for number in itertools.count())  # each has a gate of its own


def headed(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""]).encode()


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (headed("302 Found", "Location: http://["), "no address"),
        (headed("302 Found", "Location: http://example.org:x/"), "could not be read|no address"),
        (headed("302 Found", "Location: http://@127.0.0.1/"), "password"),
        (headed("302 Found", "Location: /\u202egnp"), "hidden|could not be read"),
        (headed("200 OK", f"Content-Type: text/html; charset*{'9' * 5000}=x"), "could not be read"),
        (headed("200 OK", "Content-Type: text/html", "Content-Encoding: gzip, gzip"), "packed as"),
        (
            headed("503 Busy", "Retry-After: Mon, 99999999999999999999 Jan 2020 00:00:00 GMT"),
            "503|could not be read",
        ),
        (b"\x00\xff" * 1000, "could not be read"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000, "could not be read"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nshort",
            "could not be read",
        ),
    ],
)
def test_a_malformed_answer_is_the_pages_fault(response: bytes, message: str) -> None:
    (error,) = from_raw(response, next(_NAMES))
    assert isinstance(error, ToolError)
    assert re.search(message, str(error))


def test_no_header_of_a_page_floods_the_agent() -> None:
    (error,) = from_raw(headed("200 OK", f"Content-Type: {'obey me ' * 9000}"), next(_NAMES))
    assert "the page is obey me" in str(error)
    assert len(str(error)) < 200


@pytest.mark.parametrize("patience", ["inf", "nan"])
def test_an_endless_retry_after_does_not_block_the_next_fetch(patience: str) -> None:
    name = next(_NAMES)
    first, second = from_raw(headed("429 Busy", f"Retry-After: {patience}"), name, times=2)
    assert "status 429" in str(first)
    assert isinstance(second, ToolError)


def test_a_host_that_keeps_failing_is_never_the_rollouts_fault() -> None:
    assert all(
        isinstance(result, ToolError)
        for result in from_raw(headed("500 Broken"), next(_NAMES), times=30)
    )


def test_a_host_in_another_script_is_requested_in_ascii(server: HTTPServer) -> None:
    serve(server)
    url = f"http://b\u00fccher.example:{server.port}/page"
    config = ReadConfig(private_hosts=("b\u00fccher.example",), requests_per_minute=1e6)
    assert asyncio.run(fetch_page(url, config, _loopback)).body == b"<p>text</p>"
    assert server.log[0][0].headers["Host"] == f"xn--bcher-kva.example:{server.port}"


def test_names_that_hang_keep_no_other_page_waiting(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, resolved = threading.Event(), socket.getaddrinfo

    def resolving(host: Any, *rest: Any, **named: Any) -> Any:
        if str(host).endswith("hangs.example"):
            over.wait(30)
        return resolved(host, *rest, **named)

    async def scenario() -> FetchedPage:
        config = limits(server, seconds=0.05)
        hanging = (fetch_page(f"http://{number}.hangs.example/", config) for number in range(50))
        assert {
            type(result) for result in await asyncio.gather(*hanging, return_exceptions=True)
        } == {ToolError}
        page = await fetch_page(server.url_for("/page"), limits(server, seconds=5))
        over.set()  # asyncio.run waits for the threads of the loop
        return page

    serve(server)
    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    try:
        assert asyncio.run(scenario()).body == b"<p>text</p>"
    finally:
        over.set()


def test_a_page_in_many_pieces_leaves_the_event_loop_to_others() -> None:
    pieces = 3000
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\na\r\n" * pieces
        + b"0\r\n\r\n"
    )

    async def reading(port: int) -> int:
        page = asyncio.ensure_future(
            fetch_page(
                f"http://127.0.0.1:{port}/",
                ReadConfig(private_hosts=("127.0.0.1",), requests_per_minute=1e6),
            )
        )
        turns = 0
        while not page.done():
            turns += 1
            await asyncio.sleep(0)
        assert len(page.result().body) == pieces
        return turns

    assert asyncio.run(_serve_bytes(reply, reading)) > pieces
