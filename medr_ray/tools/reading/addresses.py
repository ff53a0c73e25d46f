"""Which addresses an agent may be led to: the public internet, and hosts that the configuration names.

Pure decisions, apart from who resolves and connects. An address counts as public when it is globally routable and no
tunnel to one that is not: IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64) is judged by the IPv4 address it leads to.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from medr_ray.core.errors import ToolError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEMES = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LONGEST = 2048  # characters of an address; longer ones are no addresses of pages


def checked_url(url: str, private_hosts: Collection[str] = ()) -> SplitResult:
    """The parts of an address that may be asked for. Raises ToolError for another scheme, credentials, no host, or a
    port other than the scheme's own on a host that ``private_hosts`` does not name."""
    if len(url) > _LONGEST or any(character <= " " or character == "\\" for character in url):
        raise ToolError("read: the address is too long or holds spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ToolError(f"read: {_shown(url)} is no address: {error}") from None
    if parts.scheme not in _SCHEMES:
        raise ToolError(f"read: {_shown(url)} is no http or https address")
    if not parts.hostname:
        raise ToolError(f"read: {_shown(url)} names no host")
    if parts.username or parts.password:
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
    """Whether a connection to the address may be made; ``named`` as ``is_named`` says. Link-local addresses, where
    clouds keep their credentials, are never allowed."""
    inner = _inner(address)
    if inner is not None:
        return is_allowed(inner, named)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return named or (address.is_global and not address.is_reserved)


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
