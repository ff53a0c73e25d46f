import asyncio
import gzip
import ipaddress
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from medr_ray.core.config import ReadConfig
from medr_ray.core.errors import ToolError
from medr_ray.tools.reading.fetching import Page, fetch

LOOPBACK = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
def server(httpserver: HTTPServer) -> HTTPServer:
    return httpserver


def limits(server: HTTPServer, **changes: Any) -> ReadConfig:
    named = (f"localhost:{server.port}", f"127.0.0.1:{server.port}", f"pages.example:{server.port}")
    return ReadConfig(**{"private_hosts": named, "requests_per_minute": 1e6, **changes})


def get(server: HTTPServer, path: str = "/page", **changes: Any) -> Page:
    return asyncio.run(fetch(server.url_for(path), limits(server, **changes)))


def serve(server: HTTPServer, body: bytes | str = "<p>text</p>", **answer: Any) -> None:
    server.expect_request("/page").respond_with_response(
        Response(body, **{"content_type": "text/html; charset=utf-8", **answer}))


def test_a_page_comes_with_its_address_type_and_charset(server: HTTPServer) -> None:
    serve(server, "<p>päge</p>")
    assert get(server) == Page(server.url_for("/page"), "text/html", "utf-8", "<p>päge</p>".encode())


def test_nothing_of_ours_is_sent_along(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    serve(server)
    get(server)
    request, _ = server.log[0]
    assert {"Authorization", "Cookie", "Proxy-Authorization"}.isdisjoint(dict(request.headers))


@pytest.mark.parametrize("target", [
    "http://169.254.169.254/latest/meta-data/", "http://[::ffff:169.254.169.254]/", "http://2852039166/",
    "http://10.0.0.1/", "http://127.0.0.1/", "//169.254.169.254/x", "file:///etc/passwd"])
def test_a_redirect_inward_is_not_followed(server: HTTPServer, target: str) -> None:
    serve(server, b"", status=302, headers={"Location": target})
    with pytest.raises(ToolError, match=r"public internet|no http or https"):
        get(server)
    assert len(server.log) == 1


def test_a_name_that_resolves_inward_is_not_asked(server: HTTPServer) -> None:
    async def resolver(host: str, port: int) -> list[Any]:
        return [ipaddress.ip_address("93.184.216.34"), LOOPBACK]

    with pytest.raises(ToolError, match="public internet"):
        asyncio.run(fetch("http://rebind.example/", ReadConfig(), resolver))


def test_the_connection_goes_to_the_address_that_was_checked(server: HTTPServer) -> None:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [LOOPBACK]

    serve(server)
    url = f"http://pages.example:{server.port}/page"
    assert asyncio.run(fetch(url, limits(server), resolver)).url == url
    assert asked == ["pages.example"]  # a name that only this resolver knows: nobody resolved it again
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


@pytest.mark.parametrize("told", [True, False])
def test_a_page_of_50_mb_is_refused_before_it_has_come(server: HTTPServer, told: bool) -> None:
    sent: list[int] = []

    def answer(request: Request) -> Response:
        headers = {"Content-Length": "50000000"} if told else {}
        return Response(endless(b"a" * 1_000_000, sent), content_type="text/html", headers=headers,
                        direct_passthrough=True)

    server.expect_request("/page").respond_with_handler(answer)
    with pytest.raises(ToolError, match="larger than 1 MB"):
        get(server, max_bytes=1_000_000)
    assert sum(sent) < 50_000_000


def test_a_small_answer_that_unpacks_to_50_mb_is_refused(server: HTTPServer) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    serve(server, bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ToolError, match="larger than 1 MB"):
        get(server, max_bytes=1_000_000)


def test_a_packed_page_is_unpacked(server: HTTPServer) -> None:
    serve(server, gzip.compress(b"<p>text</p>"), headers={"Content-Encoding": "gzip"})
    assert get(server).body == b"<p>text</p>"


@pytest.mark.parametrize(("answer", "said"), [
    ({"content_type": "image/png"}, "image/png"), ({"status": 404}, "status 404"), ({"status": 500}, "status 500"),
    ({"headers": {"Content-Encoding": "br"}}, "packed as br"), ({"headers": {"Content-Encoding": "gzip"}}, "could not"),
])
def test_what_is_no_page_is_told_so(server: HTTPServer, answer: dict[str, Any], said: str) -> None:
    serve(server, b"no gzip at all", **answer)
    with pytest.raises(ToolError, match=said):
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
            await fetch(f"http://127.0.0.1:{port}/", config)
        finally:
            over.set()
            mute.close()

    with pytest.raises(ToolError, match=r"within 0\.2 s"):
        asyncio.run(scenario())


def test_an_unpacker_never_makes_more_than_it_is_allowed() -> None:
    """The property that ``fetch`` builds on: zlib stops at the room it is given."""
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    assert len(unpack(gzip.compress(bytes(10_000_000)), 1000)) == 1000
