"""Fetches one page from the network, without being led to inner hosts, held up or flooded.

For the first address and for every redirect:

- The host is resolved once, and every address it has is checked (see ``addresses``). The connection
  is made to the very address that was checked, so a name that resolves differently a moment later
  gains nothing. The certificate is still checked for the host's name.
- Redirects are followed by hand up to a number. Bytes are counted before and after decompression,
  and the whole has one deadline.
- A name whose resolver hangs, or a page in a million pieces, leaves the event loop to others.
- No cookie, key or proxy of the environment is sent along.

Whatever goes wrong with the page is a ToolError.
"""

import asyncio
import functools
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin

import httpx

from medr_ray.core.config import ReadConfig
from medr_ray.core.errors import ToolError
from medr_ray.governor.failures import CircuitOpen, parse_retry_after
from medr_ray.governor.gate import Gate, Limits, Permit
from medr_ray.retrieval.query_text import plain_line
from medr_ray.tools.reading.addresses import (
    Address,
    is_allowed_address,
    is_named_host,
    parse_allowed_url,
    url_port,
)
from medr_ray.tools.reading.content_types import (
    check_stated_type,
    is_read_type,
    recognise_type,
)
from medr_ray.tools.threads import DaemonThreads

_HEADERS = {
    "User-Agent": "medr_ray research agent",
    "Accept": "text/html,application/pdf,text/plain;q=0.9,*/*;q=0.5",
    # Only what can be unpacked piece by piece with a limit, see _GzipUnpacker.
    "Accept-Encoding": "gzip",
}
_OVERLOAD_STATUSES = frozenset({429, 503})
_QUOTED_HEADER_CHARS = 60  # of a header in an error
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # 16: with a gzip header
_GZIP_MARK = b"\x1f\x8b"
_THREADS = DaemonThreads()

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


@dataclass(frozen=True)
class FetchedPage:
    """A page: the address it came from after redirects, the media type it is read as, its charset
    ("" when not stated), its bytes. ``is_cut``: its packed content ends early."""

    url: str
    media_type: str
    charset: str
    body: bytes
    is_cut: bool = False


async def resolve_host(host: str, port: int) -> list[Address]:
    """Every address of a host, by the system's resolver."""
    infos = await _THREADS.run(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    texts = [str(info[4][0]).partition("%")[0] for info in infos]  # without an IPv6 zone
    return list(dict.fromkeys(map(ipaddress.ip_address, texts)))


async def fetch_page(url: str, limits: ReadConfig, resolver: Resolve = resolve_host) -> FetchedPage:
    """The page at ``url``. Raises ToolError for a page that is not allowed, not there, too late,
    too large, or of a type that is not read."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await _follow_redirects(url, limits, resolver)
    except TimeoutError:
        raise ToolError(f"read: the page did not come within {limits.seconds:g} s") from None
    except CircuitOpen as error:
        # A host that keeps failing is not a failure of ours: the rollout can go on.
        raise ToolError(
            f"read: the page's host answers nobody: try again in {error.seconds:.0f} s"
        ) from None


async def _follow_redirects(url: str, limits: ReadConfig, resolver: Resolve) -> FetchedPage:
    # By hand and not by the client: every host on the way has to be checked.
    for _ in range(limits.max_redirects + 1):
        parts = parse_allowed_url(url, limits.private_hosts)
        address = await _resolve_allowed_address(parts, limits, resolver)
        page_or_target = await _request_page(parts, address, limits)
        if isinstance(page_or_target, FetchedPage):
            return page_or_target
        url = _join_redirect(url, page_or_target)
    raise ToolError(f"read: more than {limits.max_redirects} redirects")


def _join_redirect(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        raise ToolError("read: it redirects to what is no address") from None


async def _resolve_allowed_address(
    parts: SplitResult, limits: ReadConfig, resolver: Resolve
) -> Address:
    """The first address of the host. All of them must be allowed: a host with public and private
    addresses is an attempt to get around the check."""
    host = parts.hostname or ""
    try:
        addresses = await resolver(host, url_port(parts))
    except (OSError, UnicodeError, ValueError):
        raise ToolError(f"read: there is no host {host[:100]}") from None
    named = is_named_host(parts, limits.private_hosts)
    if not addresses or not all(is_allowed_address(address, named) for address in addresses):
        raise ToolError(f"read: {host[:100]} is not on the public internet")
    return addresses[0]


async def _request_page(
    parts: SplitResult, address: Address, limits: ReadConfig
) -> FetchedPage | str:
    """The page, or the target of a redirect."""
    allowed = Limits(limits.requests_per_minute, concurrency=limits.concurrency)
    # One display name for all hosts: the number of metrics must not grow with the hosts.
    gate = Gate(f"read:{parts.hostname}", allowed, display_name="read")
    # The URL names the checked address, so the client resolves nothing. Host header and SNI name
    # the host, so the server knows which site is meant and its certificate is checked for it.
    is_ipv6 = isinstance(address, ipaddress.IPv6Address)
    host = f"[{address}]" if is_ipv6 else str(address)
    url = parts._replace(netloc=f"{host}:{url_port(parts)}", fragment="").geturl()
    is_https = parts.scheme == "https"
    extensions = {"sni_hostname": _encode_host(parts.hostname or "")} if is_https else {}
    headers = {**_HEADERS, "Host": _encode_host(parts.netloc)}
    async with gate.permit() as permit:
        try:
            async with (
                httpx.AsyncClient(
                    verify=_ssl_context(), trust_env=False, timeout=limits.seconds
                ) as client,
                client.stream("GET", url, headers=headers, extensions=extensions) as response,
            ):
                return await _read_response(response, parts, limits, permit)
        # ValueError and OverflowError come from malformed headers (lengths, charsets).
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            zlib.error,
            ValueError,
            OverflowError,
        ) as error:
            permit.record_failure(overloaded=isinstance(error, httpx.TimeoutException))
            raise ToolError(
                f"read: {parts.hostname} could not be read: {type(error).__name__}"
            ) from None


def _encode_host(host: str) -> str:
    """A host as the network writes it: names in other scripts as ASCII (IDNA)."""
    return host.encode("idna").decode()


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


async def _read_response(
    response: httpx.Response, parts: SplitResult, limits: ReadConfig, permit: Permit
) -> FetchedPage | str:
    if response.has_redirect_location:
        return response.headers["location"]
    if response.status_code in _OVERLOAD_STATUSES:
        permit.record_refusal(parse_retry_after(response.headers))
    elif response.status_code >= 500:
        permit.record_failure()
    if response.status_code != 200:
        raise ToolError(f"read: {parts.hostname} answered with status {response.status_code}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    check_stated_type(media_type)
    body, is_cut = await _read_body(response, limits.max_bytes)
    charset = response.charset_encoding or ""
    media_type = recognise_type(media_type, body)
    return FetchedPage(parts.geturl(), media_type, charset, body, is_cut)


async def _read_body(response: httpx.Response, max_bytes: int) -> tuple[bytes, bool]:
    """The bytes of a response, and whether their packed form ends early. They are unpacked piece by
    piece, so that no piece can grow beyond the limit."""
    # Refused before it comes, where the server states its length; a wrong one is caught below.
    if int(response.headers.get("content-length") or 0) > max_bytes:
        raise _too_large_error(max_bytes)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    is_text = is_read_type(response.headers.get("content-type", "").partition(";")[0])
    unpacker = _open_unpacker(encoding)
    body = bytearray()
    received = 0
    async for piece in response.aiter_raw():
        # Some servers pack without saying so.
        if not received and is_text and piece.startswith(_GZIP_MARK):
            unpacker = _GzipUnpacker()
        # Buffered pieces are given without a pause, which would keep the loop from other work.
        await asyncio.sleep(0)
        received += len(piece)
        # One byte more than allowed shows that there is more.
        body += unpacker.unpack(piece, max_bytes + 1 - len(body))
        if max(received, len(body)) > max_bytes:
            raise _too_large_error(max_bytes)
    return bytes(body), not unpacker.is_complete


class _PlainUnpacker:
    """Pieces that are not packed."""

    is_complete = True

    def unpack(self, piece: bytes, limit: int) -> bytes:
        return piece


class _GzipUnpacker:
    """The pieces of a gzip stream, which may have several members (RFC 1952, section 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def is_complete(self) -> bool:
        """Whether the last member has ended, with nothing but padding behind it."""
        return self._member.eof and not self._member.unused_data.strip(b"\0")

    def unpack(self, piece: bytes, limit: int) -> bytes:
        """The unpacked piece, of which at most ``limit`` bytes are needed."""
        unpacked = bytearray(self._member.decompress(piece, max(limit, 1)))
        while self._member.eof and self._member.unused_data.startswith(_GZIP_MARK):
            rest = self._member.unused_data
            self._member = zlib.decompressobj(_GZIP_WINDOW)
            unpacked += self._member.decompress(rest, max(limit - len(unpacked), 1))
        return bytes(unpacked)


def _open_unpacker(encoding: str) -> _PlainUnpacker | _GzipUnpacker:
    """What unpacks a content encoding. Raises ToolError for one that was not asked for."""
    if encoding in ("identity", ""):
        return _PlainUnpacker()
    if encoding in ("gzip", "x-gzip"):
        return _GzipUnpacker()
    raise ToolError(
        f"read: the page is packed as {plain_line(encoding)[:_QUOTED_HEADER_CHARS]}, which was "
        f"not asked for"
    )


def _too_large_error(max_bytes: int) -> ToolError:
    return ToolError(f"read: the page is larger than {max_bytes / 1e6:g} MB")
