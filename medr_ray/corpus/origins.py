"""Where a mirror is filled from: NLM or another mirror over http(s), or a folder. Listing, small
files, and bodies that can be begun in the middle.

What holds: only the root the user named is read, as redirects to another host or from https to http
are refused; what the source does wrong is Transient (worth another try) or Refused (not); nothing
is decompressed on the way.
"""

import asyncio
import contextlib
import importlib.metadata
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.corpus.mirror import (
    BASELINE,
    FOLDERS,
    Listed,
    order_of,
    parse_listing,
    year_and_number,
)
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, parse_retry_after

T = TypeVar("T")
_CHUNK = 2**20  # bytes read from a file at a time
_LARGEST_LISTING = 2**25  # bytes; NLM's, of 2,700 names, has about 300 kB
_REDIRECTS = 5
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_JITTER = wait_random_exponential(multiplier=1, max=60)


class SourceFailure(Exception):
    """The source did not give what was asked for; the text says why."""


class Refused(SourceFailure):
    """It will not give it at another try either."""


class Transient(SourceFailure):
    """It may at another try: after ``pause`` seconds if it named some, from the beginning if
    ``restart``."""

    def __init__(self, reason: str, pause: float | None = None, restart: bool = False) -> None:
        super().__init__(reason)
        self.pause, self.restart = pause, restart


@dataclass(frozen=True)
class Patience:
    """How long to wait for a source: seconds to connect and between two bytes, and tries of one
    request."""

    connect_seconds: float = 20.0
    read_seconds: float = 60.0
    attempts: int = 6
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def through(self, work: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """``work`` until it does not raise Transient, at most ``attempts`` times, backing off with
        full jitter and at least for as long as a Retry-After says."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=_wait,
            retry=retry_if_exception_type(Transient),
            sleep=self.sleep,
            reraise=True,
        )
        return await retrying(work, *arguments)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(_JITTER(state), getattr(error, "pause", None) or 0.0)


@dataclass(frozen=True)
class Body:
    """The bytes of a file from ``offset`` on; ``validator`` is the ETag or date to ask for the rest
    with, or empty."""

    offset: int
    validator: str
    chunks: AsyncIterator[bytes]


class Origin(Protocol):
    """What a mirror can be filled from. Paths are relative to ``root``."""

    root: str

    async def listed(self, folder: str, prefix: str) -> list[Listed] | None:
        """The PubMed files in ``prefix``; None when the source has no such folder."""

    async def small(self, path: str, most: int) -> bytes:
        """A whole file of at most ``most`` bytes."""

    def body(
        self, path: str, offset: int, validator: str
    ) -> contextlib.AbstractAsyncContextManager[Body]:
        """A file from ``offset`` on, or from 0 where the source cannot or it is no longer what
        ``validator`` names."""


@contextlib.asynccontextmanager
async def open_origin(source: str, patience: Patience, connections: int) -> AsyncIterator[Origin]:
    """The source by its URL or folder. ConfigError when it is neither."""
    if "://" not in source:
        if not Path(source).is_dir():
            raise ConfigError(f"--source {source}: no such folder; give a folder or an http(s) URL")
        yield FolderOrigin(Path(source).resolve())
        return
    _check_url(source)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    timeout = httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds, pool=None)
    headers = {
        "User-Agent": f"medr-ray/{importlib.metadata.version('medr-ray')}",
        "Accept-Encoding": "identity",
    }
    async with httpx.AsyncClient(limits=limits, timeout=timeout, headers=headers) as client:
        yield HttpOrigin(source.rstrip("/") + "/", client)


def _check_url(source: str) -> None:
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise ConfigError(f"--source {source}: {error}") from None
    if parts.username or parts.password:
        raise ConfigError(
            "--source holds credentials, which every user of this machine can see: mount the mirror"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(
            f"--source {source}: give an http(s) URL without a query, or a folder (mount other storage)"
        )


async def survey(origin: Origin, folders: Sequence[str], patience: Patience) -> list[Listed]:
    """The PubMed files of these folders of the source, in order; of the root itself where it has
    none of them.

    DataError when the source has one of the folders and lacks another. SourceFailure when it does
    not answer.
    """
    found = {
        folder: await patience.through(origin.listed, folder, f"{folder}/") for folder in folders
    }
    missing = [folder for folder, rows in found.items() if rows is None]
    if len(missing) == len(folders):
        folder = _folder_of(origin.root, folders)
        return await patience.through(origin.listed, folder, "") or []
    if missing:
        option = "--no-baseline" if missing[0] == BASELINE else "--no-updates"
        raise DataError(f"{origin.root} has no {missing[0]}/: give {option} to do without it")
    return [one for rows in found.values() for one in rows or ()]


def _folder_of(root: str, folders: Sequence[str]) -> str:
    """Where the files of a root without folders belong: by the root's own name, else the first that
    was asked for."""
    name = root.rstrip("/").rpartition("/")[2]
    if name in FOLDERS and name not in folders:
        raise DataError(f"{root} is a folder of {name}, which the options leave out")
    return name if name in FOLDERS else folders[0]


# --- http -----------------------------------------------------------------------------


class HttpOrigin:
    """A directory listing over http(s)."""

    def __init__(self, root: str, client: httpx.AsyncClient) -> None:
        self.root, self._client = root, client

    async def listed(self, folder: str, prefix: str) -> list[Listed] | None:
        async with self._get(prefix, {}) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            _check(response)
            return parse_listing(await _read(response, _LARGEST_LISTING), folder, prefix)

    async def small(self, path: str, most: int) -> bytes:
        async with self._get(path, {}) as response:
            _check(response)
            return await _read(response, most)

    @contextlib.asynccontextmanager
    async def body(self, path: str, offset: int, validator: str) -> AsyncIterator[Body]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and validator:
            headers["If-Range"] = validator
        async with self._get(path, headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise Transient("the source has no bytes behind those that are here", restart=True)
            _check(response)
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            if resumed and not response.headers.get("content-range", "").startswith(
                f"bytes {offset}-"
            ):
                raise Transient("the source sent another range than it was asked for", restart=True)
            kept = validator if resumed else _validator(response.headers)
            yield Body(offset if resumed else 0, kept, response.aiter_raw())

    @contextlib.asynccontextmanager
    async def _get(self, path: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer, after redirects that stay where they should."""
        url = self.root + quote(path)
        try:
            for _ in range(_REDIRECTS + 1):
                async with self._client.stream("GET", url, headers=headers) as response:
                    if not response.has_redirect_location:
                        yield response
                        return
                    url = followed(url, response.headers["location"])
        except httpx.RequestError as error:
            raise Transient(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        raise Refused(f"more than {_REDIRECTS} redirects")


def followed(url: str, location: str) -> str:
    """Where a redirect leads. Refused where that is another host, or http when the way began with
    https."""
    try:
        target = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(target)
    except ValueError as error:
        raise Refused(f"a redirect to {location!r} cannot be followed: {error}") from None
    if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
        raise Refused(f"a redirect from {old.scheme} to {new.scheme or location!r} is not followed")
    if new.hostname != old.hostname or "@" in new.netloc:
        raise Refused(
            f"a redirect to another host, {new.hostname}, is not followed: name that host as --source"
        )
    return target


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status in _TRANSIENT:
        pause = parse_retry_after(response.headers)
        if (pause or 0) > MAX_PAUSE_SECONDS:
            raise Refused(f"the source answers {status} and asks to come back in {pause:,.0f} s")
        raise Transient(f"the source answers {status}", pause)
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise Refused(f"the source answers {status} {response.reason_phrase}".rstrip())


def _validator(headers: httpx.Headers) -> str:
    """What If-Range takes: a strong ETag, else the date (RFC 9110, 13.1.5)."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else headers.get("last-modified", "")


async def _read(response: httpx.Response, most: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > most:
            raise Refused(f"{response.url.path} has more than {most:,} bytes")
    return bytes(content)


# --- folders --------------------------------------------------------------------------


class FolderOrigin:
    """A folder of this machine, such as a mounted mirror."""

    def __init__(self, root: Path) -> None:
        self.root, self._root = str(root), root

    async def listed(self, folder: str, prefix: str) -> list[Listed] | None:
        path = self._root / prefix
        if not path.is_dir():
            return None
        try:
            found = [
                (one.name, one.stat())
                for one in os.scandir(path)
                if one.is_file() and year_and_number(one.name)
            ]
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}") from error
        rows = [
            Listed(folder, name, prefix + name, status.st_size, _stamp(status))
            for name, status in found
        ]
        return sorted(rows, key=lambda one: order_of(one.key))

    async def small(self, path: str, most: int) -> bytes:
        with _opened(self._root / path) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise Refused(f"{path} has more than {most:,} bytes")
        return content

    @contextlib.asynccontextmanager
    async def body(self, path: str, offset: int, validator: str) -> AsyncIterator[Body]:
        with _opened(self._root / path) as file:
            stamp = _stamp(os.fstat(file.fileno()))
            begin = offset if validator == stamp else 0
            file.seek(begin)
            yield Body(begin, stamp, _chunks(file))


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
    except OSError as error:
        raise Transient(f"reading failed: {error.strerror}") from error


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns}"
