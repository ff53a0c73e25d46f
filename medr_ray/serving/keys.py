"""The keys of the service: one in the environment, named default, and named ones in a file.

Only SHA-256 digests are stored and compared, all of them for every request, in constant time. A
key itself never leaves the process that reads or makes it in an argument, a log line or a file. The
file is read again when it changes; where the new one cannot be read, the keys of the last good one
go on to be valid, and the log says so.
"""

import hashlib
import hmac
import ipaddress
import logging
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from medr_ray.core.config import ServingConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.private_files import FILE_MODE, make_private_folder
from medr_ray.core.variables import clean_key

_BEARER_PREFIX = "bearer "
_DEFAULT_NAME = "default"  # of the key in the environment
# Random bytes of a new key: 256 bits, as many as its digest has.
_KEY_BYTES = 32
_KEY_PREFIX = "medr-"  # tells secret scanners and readers what it is
_NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

KeyName = Annotated[str, StringConstraints(pattern=f"^{_NAME_PATTERN}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Limit = Annotated[int, Field(ge=1)]

_logger = logging.getLogger("medr_ray.serving.keys")


def _hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class ServingKey(BaseModel):
    """A key by its digest, and what it may do: requests and tokens a minute, requests at a time."""

    # A value that is refused may be a key that was written in place of its digest.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: KeyName
    sha256: Digest
    expires: AwareDatetime | None = None
    rpm: Limit | None = None
    tpm: Limit | None = None
    concurrency: Limit | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether the key is no longer accepted."""
        return self.expires is not None and now >= self.expires


class KeysFile(BaseModel):
    """The file of ``serving.keys_file``."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keys: tuple[ServingKey, ...]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [key.name for key in self.keys]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two keys have the name {', '.join(repeated)}")
        return self


@dataclass(frozen=True)
class ApiKeyVerifier:
    """Tells requests that carry a key. ``keys`` is null when no key is asked for."""

    keys: tuple[ServingKey, ...] | None

    @classmethod
    def for_key(cls, key: str | None) -> "ApiKeyVerifier":
        """The verifier for a key; it accepts everything when the key is None or blank. Raises
        ConfigError for a key that cannot be sent in a header."""
        # A key that was read from a file brings the file's line break along.
        key = clean_key(key or "", "API_KEY")
        return cls((ServingKey(name=_DEFAULT_NAME, sha256=_hash_key(key)),) if key else None)

    @classmethod
    def from_environment(
        cls, variable: str, environment: Mapping[str, str] | None = None
    ) -> "ApiKeyVerifier":
        """The verifier for ``$variable``; it accepts everything when that is unset or blank. Raises
        ConfigError for a key that cannot be sent in a header."""
        variables = os.environ if environment is None else environment
        return cls.for_key(clean_key(variables.get(variable, ""), variable))

    @property
    def asks_for_key(self) -> bool:
        """Whether a request without a key is refused."""
        return self.keys is not None

    def accepts(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries a valid key, or none is asked for."""
        return self.keys is None or self.find_key(authorization) is not None

    def find_key(self, authorization: str | None, now: datetime | None = None) -> ServingKey | None:
        """The valid key that an ``Authorization`` header carries."""
        header = authorization or ""
        # Names of schemes are case-insensitive (RFC 9110, section 11.1).
        if not header.lower().startswith(_BEARER_PREFIX):
            return None
        digest = _hash_key(header[len(_BEARER_PREFIX) :].strip())
        found_key = None
        # The time must not tell how much of a key was right, nor which of them was.
        for key in self.keys or ():
            if hmac.compare_digest(digest, key.sha256):
                found_key = key
        if found_key is None or found_key.is_expired(now or datetime.now(UTC)):
            return None
        return found_key

    def current(self) -> "ApiKeyVerifier":
        """The keys that are valid now: these."""
        return self

    def refresh(self) -> None:
        """These keys never change."""


def read_keys_file(path: Path) -> tuple[ServingKey, ...]:
    """The keys of a file. Raises ConfigError, without any of its text."""
    try:
        content = parse_json(path.read_bytes(), str(path))
        return KeysFile.model_validate(content).keys
    except OSError as error:
        raise ConfigError(f"cannot read the keys of {path}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{path} is no file of keys: {place}: {problem['msg']}") from None
    except InvalidJson:
        # Its message may quote what stands there.
        raise ConfigError(f"{path} is no file of keys: it is not JSON") from None


@dataclass(frozen=True)
class KeySource:
    """Where the keys come from: those of the environment, as digests, and a file's path. It travels
    to the gateway, which reads the file."""

    environment_keys: tuple[ServingKey, ...]
    path: str | None = None

    @classmethod
    def from_config(
        cls, serving: ServingConfig, environment: Mapping[str, str] | None = None
    ) -> "KeySource":
        """The source that the configuration names. Raises ConfigError."""
        verifier = ApiKeyVerifier.from_environment(serving.api_key_env, environment)
        return cls(verifier.keys or (), serving.keys_file)

    @classmethod
    def for_key(cls, key: str) -> "KeySource":
        """The source of one key; of none when it is blank."""
        return cls(ApiKeyVerifier.for_key(key).keys or ())

    def read(self) -> ApiKeyVerifier:
        """The keys as they are now. Raises ConfigError where the file cannot be read."""
        if self.path is None:
            return ApiKeyVerifier(self.environment_keys or None)
        # A file that is named asks for a key even while it holds none.
        file_keys = read_keys_file(Path(self.path))
        taken = {key.name for key in self.environment_keys} & {key.name for key in file_keys}
        if taken:
            raise ConfigError(
                f"{self.path} has a key named {', '.join(taken)}, the name of the key in the "
                "environment: rename it"
            )
        return ApiKeyVerifier((*self.environment_keys, *file_keys))


# Modification time in nanoseconds, size and inode: a file that was written anew differs in one.
_FileState = tuple[int, int, int] | None


@dataclass
class LiveKeys:
    """The keys of a source, read again when its file changes. The first reading raises ConfigError,
    a later one keeps the keys that were valid."""

    source: KeySource
    _verifier: ApiKeyVerifier = field(init=False, repr=False)
    _file_state: _FileState = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._file_state = self._read_file_state()
        self._verifier = self.source.read()

    def current(self) -> ApiKeyVerifier:
        """The keys that are valid now."""
        return self._verifier

    def refresh(self) -> None:
        """Read the file if it is another than at the last time."""
        file_state = self._read_file_state()
        if file_state == self._file_state:
            return
        self._file_state = file_state
        try:
            self._verifier = self.source.read()
        except ConfigError as error:
            _logger.error("%s; the keys of before stay valid", error)
            return
        _logger.info("%d keys are valid", len(self._verifier.keys or ()))

    def _read_file_state(self) -> _FileState:
        if self.source.path is None:
            return None
        try:
            status = Path(self.source.path).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def add_key(path: Path, name: str, **limits: object) -> str:
    """Make a key, write its digest to the file, and return the key, which is kept nowhere.

    ``limits`` are fields of ServingKey. Raises ConfigError where the name is taken or is none.
    """
    if not re.fullmatch(_NAME_PATTERN, name):
        raise ConfigError(f"{name!r} is no name of a key: use letters, digits and . _ -")
    if name == _DEFAULT_NAME:
        raise ConfigError(f"{name} is the name of the key in the environment: choose another")
    earlier = read_keys_file(path) if path.exists() else ()
    if name in {key.name for key in earlier}:
        raise ConfigError(f"{path} has a key named {name}: choose another name, or remove it")
    key = _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    entry = ServingKey.model_validate({"name": name, "sha256": _hash_key(key), **limits})
    _write_keys_file(path, (*earlier, entry))
    return key


def remove_key(path: Path, name: str) -> None:
    """Take a key out of the file. Raises ConfigError where it has none of that name."""
    earlier = read_keys_file(path)
    kept = tuple(key for key in earlier if key.name != name)
    if len(kept) == len(earlier):
        raise ConfigError(f"{path} has no key named {name!r}")
    _write_keys_file(path, kept)


def _write_keys_file(path: Path, keys: tuple[ServingKey, ...]) -> None:
    """Put a new file in the old one's place, so that a server never reads half of it."""
    text = KeysFile(keys=keys).model_dump_json(indent=2, exclude_none=True)
    make_private_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, FILE_MODE)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_key_beyond_loopback(host: str, verifier: ApiKeyVerifier, variable: str) -> None:
    """Raise ConfigError where others could reach a service that asks for no key.

    ``host`` is the address to listen on, ``variable`` the environment variable that holds the key.
    """
    if not verifier.asks_for_key and not is_loopback(host):
        raise ConfigError(
            f"serving.host is {host!r}, which other machines can reach, and {variable} holds no "
            "key: set it, name a serving.keys_file, or serve at 127.0.0.1"
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
