"""Checks the API key, which is required when the environment contains one.

Only the key's digest is stored, and it is compared in constant time. The key itself never leaves
this process in an argument, a log line or a file.
"""

import hashlib
import hmac
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from medr_ray.core.errors import ConfigError
from medr_ray.core.variables import clean_key

_BEARER_PREFIX = "bearer "


def _hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class ApiKeyVerifier:
    """Tells requests that carry the key. ``digest`` is the SHA-256 of the key, None when no key is
    asked for."""

    digest: str | None

    @classmethod
    def for_key(cls, key: str | None) -> "ApiKeyVerifier":
        """The verifier for a key; it accepts everything when the key is None or blank. Raises
        ConfigError for a key that cannot be sent in a header."""
        # A key that was read from a file brings the file's line break along.
        key = clean_key(key or "", "API_KEY")
        return cls(_hash_key(key) if key else None)

    @classmethod
    def from_environment(
        cls, variable: str, environment: Mapping[str, str] | None = None
    ) -> "ApiKeyVerifier":
        """The verifier for ``$variable``; it accepts everything when that is unset or blank. Raises
        ConfigError for a key that cannot be sent in a header."""
        variables = os.environ if environment is None else environment
        return cls.for_key(clean_key(variables.get(variable, ""), variable))

    def accepts(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries the key."""
        if self.digest is None:
            return True
        header = authorization or ""
        # Names of schemes are case-insensitive (RFC 9110, section 11.1).
        if not header.lower().startswith(_BEARER_PREFIX):
            return False
        key = header[len(_BEARER_PREFIX) :].strip()
        # The time must not tell how much of the key was right.
        return hmac.compare_digest(_hash_key(key), self.digest)


def require_key_beyond_loopback(host: str, verifier: ApiKeyVerifier, variable: str) -> None:
    """Raise ConfigError where others could reach a service that asks for no key.

    ``host`` is the address to listen on, ``variable`` the environment variable that holds the key.
    """
    if verifier.digest is None and not is_loopback(host):
        raise ConfigError(
            f"serving.host is {host!r}, which other machines can reach, and {variable} holds no "
            "key: set it, or serve at 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether an address or a name means this machine alone; a name that nothing resolves does
    not."""
    # The empty name is every address of this machine.
    if not host:
        return False
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    # An address of IPv6 may end in a zone, which says nothing about loopback.
    return all(
        ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses
    )
