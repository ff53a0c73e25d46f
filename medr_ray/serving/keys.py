"""The API key: required when the environment names one, held as a digest only, compared in constant
time.

What holds: the key itself leaves this process in no argument, log line or file.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

_SCHEME = "bearer "


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class KeyGate:
    """Lets requests in. ``digest`` is the SHA-256 of the key, None when no key is asked for."""

    digest: str | None

    @classmethod
    def for_key(cls, key: str | None) -> "KeyGate":
        return cls(_digest(key) if key else None)

    @classmethod
    def from_environment(
        cls, variable: str, environment: Mapping[str, str] | None = None
    ) -> "KeyGate":
        """The gate for ``$variable``; open when it is unset or empty."""
        return cls.for_key((os.environ if environment is None else environment).get(variable))

    def admits(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries the key."""
        if self.digest is None:
            return True
        header = authorization or ""
        if not header.lower().startswith(_SCHEME):
            return False
        return hmac.compare_digest(_digest(header[len(_SCHEME) :].strip()), self.digest)
