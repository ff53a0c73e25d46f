"""Checks the API key, which is required when the environment contains one.

Only the key's digest is stored, and it is compared in constant time. The key itself never leaves
this process in an argument, a log line or a file.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

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
        """The verifier for a key; it accepts everything when the key is None or empty."""
        # A key that was read from a file brings the file's line break along.
        key = (key or "").strip()
        return cls(_hash_key(key) if key else None)

    @classmethod
    def from_environment(
        cls, variable: str, environment: Mapping[str, str] | None = None
    ) -> "ApiKeyVerifier":
        """The verifier for ``$variable``; it accepts everything when that is unset or empty."""
        variables = os.environ if environment is None else environment
        return cls.for_key(variables.get(variable))

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
