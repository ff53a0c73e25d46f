"""Which addresses an agent may be led to: the public internet, and hosts that the configuration
names.

Pure decisions; others resolve and connect. An address counts as public when it is globally routable
and does not tunnel to one that is not: IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64) is judged by
the IPv4 address it leads to. Addresses where clouds keep their credentials are never allowed,
whatever the configuration names.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from medr_ray.core.errors import ToolError
from medr_ray.retrieval.query_text import plain_line

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# The only part of IPv6 that is routed globally (RFC 4291, section 2.4).
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Services of the cloud's host that are not link-local; the link-local ones are refused anyway.
_CLOUD_SERVICES = frozenset(
    map(
        ipaddress.ip_address,
        (
            "168.63.129.16",  # Azure
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # Amazon
        ),
    )
)
_MAX_URL_CHARS = 2048  # longer ones are not addresses of pages
_QUOTED_CHARS = 100  # of an address in an error


def parse_allowed_url(url: str, private_hosts: Collection[str] = ()) -> SplitResult:
    """The parts of an address that may be requested. Raises ToolError for another scheme,
    credentials, no host, or a port other than the scheme's own on a host that ``private_hosts``
    does not name."""
    # Parsers disagree on backslashes and hidden characters, so a host could be checked that is not
    # the one connected to.
    is_plain = "\\" not in url and "".join(plain_line(url).split()) == url
    if len(url) > _MAX_URL_CHARS or not is_plain:
        raise ToolError("read: the address is too long or holds spaces or hidden characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ToolError(f"read: {_quote_url(url)} is no address: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ToolError(f"read: {_quote_url(url)} is no http or https address")
    if not parts.hostname:
        raise ToolError(f"read: {_quote_url(url)} names no host")
    if "@" in parts.netloc:
        raise ToolError("read: an address with a user name or password in it is not read")
    if port not in (None, 80, 443) and not is_named_host(parts, private_hosts):
        raise ToolError(f"read: port {port} is not read, only 80 and 443")
    return parts


def url_port(parts: SplitResult) -> int:
    """The port of an address, by default that of its scheme."""
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def is_named_host(parts: SplitResult, private_hosts: Collection[str]) -> bool:
    """Whether the configuration names the host, alone or with its port."""
    host = parts.hostname or ""
    return host in private_hosts or f"{host}:{url_port(parts)}" in private_hosts


def is_allowed_address(address: Address, named: bool) -> bool:
    """Whether a connection to the address may be made; ``named`` as ``is_named_host`` says."""
    tunnelled = _tunnelled_address(address)
    if tunnelled is not None:
        return is_allowed_address(tunnelled, named)
    # Never allowed, not even for a named host: clouds serve credentials on link-local addresses.
    if (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _CLOUD_SERVICES
    ):
        return False
    return named or (
        address.is_global
        and not address.is_reserved
        and (address.version == 4 or address in _GLOBAL_UNICAST)
    )


def _tunnelled_address(address: Address) -> Address | None:
    """The IPv4 address that an IPv6 address leads to; None where it leads to none."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)  # the last 32 bits
    teredo = address.teredo  # (server, client)
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _quote_url(url: str) -> str:
    return repr(url[:_QUOTED_CHARS])
