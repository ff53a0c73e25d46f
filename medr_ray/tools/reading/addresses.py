"""Which addresses an agent may be led to: the public internet, and hosts that the configuration
names.

Pure decisions, apart from who resolves and connects. An address counts as public when it is
globally routable and no tunnel to one that is not: IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64)
is judged by the IPv4 address it leads to. Where clouds keep their credentials is never allowed,
whatever the configuration names.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from medr_ray.core.errors import ToolError
from medr_ray.retrieval.query_text import plain_line

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEMES = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # all that is routed of IPv6 (RFC 4291, section 2.4)
# Azure, Alibaba, Oracle, Amazon.
_CLOUDS = frozenset(
    map(
        ipaddress.ip_address,
        (  # services of the host beneath a machine that are not link-local
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
        ),
    )
)
_LONGEST = 2048  # characters of an address; longer ones are no addresses of pages


def checked_url(url: str, private_hosts: Collection[str] = ()) -> SplitResult:
    """The parts of an address that may be asked for. Raises ToolError for another scheme,
    credentials, no host, or a port other than the scheme's own on a host that ``private_hosts``
    does not name."""
    if len(url) > _LONGEST or "\\" in url or "".join(plain_line(url).split()) != url:
        raise ToolError("read: the address is too long or holds spaces or hidden characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ToolError(f"read: {_shown(url)} is no address: {error}") from None
    if parts.scheme not in _SCHEMES:
        raise ToolError(f"read: {_shown(url)} is no http or https address")
    if not parts.hostname:
        raise ToolError(f"read: {_shown(url)} names no host")
    if "@" in parts.netloc:
        raise ToolError("read: an address with a user name or password in it is not read")
    if port not in (None, 80, 443) and not is_named(parts, private_hosts):
        raise ToolError(f"read: port {port} is not read, only 80 and 443")
    return parts


def port_of(parts: SplitResult) -> int:
    return parts.port or _SCHEMES[parts.scheme]


def is_named(parts: SplitResult, private_hosts: Collection[str]) -> bool:
    """Whether the configuration names the host, alone or with its port."""
    host = parts.hostname or ""
    return host in private_hosts or f"{host}:{port_of(parts)}" in private_hosts


def is_allowed(address: Address, named: bool) -> bool:
    """Whether a connection to the address may be made; ``named`` as ``is_named`` says."""
    inner = _inner(address)
    if inner is not None:
        return is_allowed(inner, named)
    if (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _CLOUDS
    ):
        return False
    return named or (
        address.is_global
        and not address.is_reserved
        and (address.version == 4 or address in _UNICAST)
    )


def _inner(address: Address) -> Address | None:
    """The IPv4 address that an IPv6 one leads to, where it does."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _shown(url: str) -> str:
    return repr(url[:100])
