"""One page from the network, without being led inward, held up or flooded.

What holds, for the first address and for every redirect: the host is resolved once, every address
it has is checked (see ``addresses``), and the connection is made to the very address that was
checked, so that a name that changes its mind in between gains nothing; the certificate is still the
host's. Redirects are followed by hand up to a number, bytes are counted before and after
decompression, and the whole has one deadline. A name whose resolver hangs, or a page in a million
pieces, leaves the event loop to others. No cookie, key or proxy of the environment is sent along.
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
from medr_ray.tools.reading.addresses import Address, checked_url, is_allowed, is_named, port_of
from medr_ray.tools.threads import Threads

HTML = frozenset({"text/html", "application/xhtml+xml"})
PDF = frozenset({"application/pdf"})
PLAIN = frozenset(
    {"text/plain", "text/markdown", "text/csv", "application/json", "text/xml", "application/xml"}
)
_HEADERS = {
    "User-Agent": "medr_ray research agent",
    "Accept": "text/html,application/pdf,text/plain;q=0.9,*/*;q=0.5",
    "Accept-Encoding": "gzip",
}
_REFUSED = frozenset({429, 503})
_SHOWN = 60  # characters of a header quoted in an error
_THREADS = Threads()

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


@dataclass(frozen=True)
class Page:
    """What came: the address it came from after redirects, its media type and charset ("" when
    unsaid), its bytes."""

    url: str
    media_type: str
    charset: str
    body: bytes


async def resolve(host: str, port: int) -> list[Address]:
    """Every address of a host, by the system's resolver."""
    infos = await _THREADS.run(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(
        dict.fromkeys(ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos)
    )


async def fetch(url: str, limits: ReadConfig, resolver: Resolve = resolve) -> Page:
    """The page at ``url``. Raises ToolError: not allowed, not there, not in time, too large, of a
    type not read."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await _follow(url, limits, resolver)
    except TimeoutError:
        raise ToolError(f"read: the page did not come within {limits.seconds:g} s") from None
    except CircuitOpen as error:
        # A host that keeps failing is no failure of ours: the rollout can go on.
        raise ToolError(
            f"read: the page's host answers nobody: try again in {error.seconds:.0f} s"
        ) from None


async def _follow(url: str, limits: ReadConfig, resolver: Resolve) -> Page:
    for _ in range(limits.max_redirects + 1):
        parts = checked_url(url, limits.private_hosts)
        address = await _checked_address(parts, limits, resolver)
        answer = await _ask(parts, address, limits)
        if isinstance(answer, Page):
            return answer
        url = _onwards(url, answer)
    raise ToolError(f"read: more than {limits.max_redirects} redirects")


def _onwards(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        raise ToolError("read: it redirects to what is no address") from None


async def _checked_address(parts: SplitResult, limits: ReadConfig, resolver: Resolve) -> Address:
    """The first address of the host; all of them must be allowed, for a mixed answer is an attempt
    to slip through."""
    host = parts.hostname or ""
    try:
        addresses = await resolver(host, port_of(parts))
    except (OSError, UnicodeError, ValueError):
        raise ToolError(f"read: there is no host {host[:100]}") from None
    named = is_named(parts, limits.private_hosts)
    if not addresses or not all(is_allowed(address, named) for address in addresses):
        raise ToolError(f"read: {host[:100]} is not on the public internet")
    return addresses[0]


async def _ask(parts: SplitResult, address: Address, limits: ReadConfig) -> Page | str:
    """The page, or where it is said to be instead."""
    allowed = Limits(limits.requests_per_minute, concurrency=limits.concurrency)
    # Metrics do not grow with the hosts.
    gate = Gate(f"read:{parts.hostname}", allowed, display_name="read")
    at = f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else str(address)
    url = parts._replace(netloc=f"{at}:{port_of(parts)}", fragment="").geturl()
    extensions = {"sni_hostname": _ascii(parts.hostname or "")} if parts.scheme == "https" else {}
    headers = {**_HEADERS, "Host": _ascii(parts.netloc)}
    async with gate.permit() as permit:
        try:
            async with (
                httpx.AsyncClient(
                    verify=_certificates(), trust_env=False, timeout=limits.seconds
                ) as client,
                client.stream("GET", url, headers=headers, extensions=extensions) as answer,
            ):
                return await _read(answer, parts, limits, permit)
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            zlib.error,
            ValueError,
            OverflowError,
        ) as error:
            # Headers as well.
            permit.record_failure(overloaded=isinstance(error, httpx.TimeoutException))
            raise ToolError(
                f"read: {parts.hostname} could not be read: {type(error).__name__}"
            ) from None


def _ascii(host: str) -> str:
    return host.encode("idna").decode()


@functools.cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


async def _read(
    answer: httpx.Response, parts: SplitResult, limits: ReadConfig, permit: Permit
) -> Page | str:
    if answer.has_redirect_location:
        return answer.headers["location"]
    if answer.status_code in _REFUSED:
        permit.record_refusal(parse_retry_after(answer.headers))
    elif answer.status_code >= 500:
        permit.record_failure()
    if answer.status_code != 200:
        raise ToolError(f"read: {parts.hostname} answered with status {answer.status_code}")
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in HTML | PDF | PLAIN:
        stated = plain_line(media_type)[:_SHOWN] or "of no stated type"
        raise ToolError(f"read: the page is {stated}; HTML, PDF and plain text are read")
    body = await _body(answer, limits.max_bytes)
    return Page(parts.geturl(), media_type, answer.charset_encoding or "", body)


async def _body(answer: httpx.Response, most: int) -> bytes:
    """The bytes of an answer, decompressed piece by piece so that no piece can grow beyond the
    limit."""
    if int(answer.headers.get("content-length") or 0) > most:
        raise _too_large(most)
    unpack = _unpacker(answer.headers.get("content-encoding", "identity").strip().lower())
    body, came = bytearray(), 0
    async for piece in answer.aiter_raw():
        await asyncio.sleep(0)  # what has come already is given piece by piece without a pause
        came += len(piece)
        body += unpack(piece, most + 1 - len(body))
        if max(came, len(body)) > most:
            raise _too_large(most)
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    if encoding in ("identity", ""):
        return lambda piece, room: piece
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    raise ToolError(
        f"read: the page is packed as {plain_line(encoding)[:_SHOWN]}, which was not asked for"
    )


def _too_large(most: int) -> ToolError:
    return ToolError(f"read: the page is larger than {most / 1e6:g} MB")
