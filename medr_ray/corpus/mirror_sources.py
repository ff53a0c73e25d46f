"""The sources that a mirror is filled from: NLM or another mirror over http(s), or a folder.

A source lists its files, returns small files whole, and returns large files from any byte on.

Guarantees: only the root that the user named is read. Redirects to another host, or from https to
http, are refused. Every failure of the source is a ``TransientError`` (another attempt may help) or
a ``RefusedError`` (it will not). Nothing is decompressed on the way.
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
    ListedFile,
    application_order,
    parse_listing,
    parse_year_and_number,
)
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, parse_retry_after

T = TypeVar("T")
_CHUNK_BYTES = 2**20  # bytes read from a file at a time
_LARGEST_LISTING = 2**25  # bytes; NLM's, of 2,700 names, has about 300 kB
_MAX_REDIRECTS = 5
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_BACKOFF = wait_random_exponential(multiplier=1, max=60)  # seconds, with full jitter


class MirrorSourceError(Exception):
    """The source did not return what was requested; the text says why."""


class RefusedError(MirrorSourceError):
    """Another attempt would not help."""


class TransientError(MirrorSourceError):
    """Another attempt may help.

    It should come after ``pause`` seconds where the source names a pause. With ``restart`` the file
    has to begin anew.
    """

    def __init__(self, reason: str, pause: float | None = None, restart: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.restart = restart


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a source: seconds to connect and between two bytes, and the attempts
    for one request."""

    connect_seconds: float = 20.0
    read_seconds: float = 60.0
    attempts: int = 6
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def call(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Call the function until it does not raise TransientError, at most ``attempts`` times.

        Between attempts it backs off, for at least as long as a Retry-After header asks.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=_choose_wait,
            retry=retry_if_exception_type(TransientError),
            sleep=self.sleep,
            reraise=True,
        )
        return await retrying(function, *arguments)


def _choose_wait(state: RetryCallState) -> float:
    """Seconds until the next attempt."""
    error = state.outcome.exception() if state.outcome else None
    pause = getattr(error, "pause", None) or 0.0
    return max(_BACKOFF(state), pause)


@dataclass(frozen=True)
class FileBody:
    """The bytes of a file from ``offset`` on.

    ``validator`` is the ETag or date with which to ask for the rest, or empty.
    """

    offset: int
    validator: str
    chunks: AsyncIterator[bytes]


class MirrorSource(Protocol):
    """What a mirror can be filled from. Paths are relative to ``root``.

    Every method may raise MirrorSourceError.
    """

    root: str

    async def list_folder(self, folder: str, prefix: str) -> list[ListedFile] | None:
        """The PubMed files in ``prefix``; None when the source has no such folder."""

    async def read_small_file(self, path: str, max_bytes: int) -> bytes:
        """A whole file of at most ``max_bytes``."""

    def open_body(
        self, path: str, offset: int, validator: str
    ) -> contextlib.AbstractAsyncContextManager[FileBody]:
        """A file from ``offset`` on.

        It begins at 0 where the source cannot resume, or has another version than ``validator``
        names.
        """


@contextlib.asynccontextmanager
async def open_mirror_source(
    source: str, retry_policy: RetryPolicy, connections: int
) -> AsyncIterator[MirrorSource]:
    """The source by its URL or folder. ConfigError when it is neither."""
    if "://" not in source:
        if not Path(source).is_dir():
            raise ConfigError(f"--source {source}: no such folder; give a folder or an http(s) URL")
        yield FolderMirrorSource(Path(source).resolve())
        return
    _check_url(source)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    # No limit on the wait for a free connection, which the other files decide.
    timeout = httpx.Timeout(
        retry_policy.read_seconds, connect=retry_policy.connect_seconds, pool=None
    )
    headers = {
        "User-Agent": f"medr-ray/{importlib.metadata.version('medr-ray')}",
        # A server that compresses on the fly would change the bytes and their offsets.
        "Accept-Encoding": "identity",
    }
    async with httpx.AsyncClient(limits=limits, timeout=timeout, headers=headers) as client:
        yield HttpMirrorSource(source.rstrip("/") + "/", client)


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
            f"--source {source}: give an http(s) URL without a query, or a folder (mount other "
            "storage)"
        )


async def list_mirror_files(
    source: MirrorSource, folders: Sequence[str], retry_policy: RetryPolicy
) -> list[ListedFile]:
    """The PubMed files of these folders of the source, in order.

    Where the source has none of the folders, the files of its root. DataError when it has one of
    the folders and lacks another. MirrorSourceError when it does not answer.
    """
    listings = {}
    for folder in folders:
        listings[folder] = await retry_policy.call(source.list_folder, folder, f"{folder}/")
    missing = [folder for folder, files in listings.items() if files is None]
    if len(missing) == len(folders):
        folder = _choose_folder(source.root, folders)
        return await retry_policy.call(source.list_folder, folder, "") or []
    if missing:
        option = "--no-baseline" if missing[0] == BASELINE else "--no-updates"
        raise DataError(f"{source.root} has no {missing[0]}/: give {option} to do without it")
    return [file for files in listings.values() for file in files or ()]


def _choose_folder(root: str, folders: Sequence[str]) -> str:
    """The folder for the files of a root without folders: that of the root's own name, else the
    first of the requested folders."""
    name = root.rstrip("/").rpartition("/")[2]
    if name in FOLDERS and name not in folders:
        raise DataError(f"{root} is a folder of {name}, which the options leave out")
    return name if name in FOLDERS else folders[0]


# --- http -----------------------------------------------------------------------------


class HttpMirrorSource:
    """A directory listing over http(s)."""

    def __init__(self, root: str, client: httpx.AsyncClient) -> None:
        self.root = root
        self._client = client

    async def list_folder(self, folder: str, prefix: str) -> list[ListedFile] | None:
        async with self._open_response(prefix, {}) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            _check_status(response)
            page = await _read_response(response, _LARGEST_LISTING)
            return parse_listing(page, folder, prefix)

    async def read_small_file(self, path: str, max_bytes: int) -> bytes:
        async with self._open_response(path, {}) as response:
            _check_status(response)
            return await _read_response(response, max_bytes)

    @contextlib.asynccontextmanager
    async def open_body(self, path: str, offset: int, validator: str) -> AsyncIterator[FileBody]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and validator:
            # With If-Range the server sends the whole file when it has another version by now.
            headers["If-Range"] = validator
        async with self._open_response(path, headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise TransientError(
                    "the source has no bytes behind those that are here", restart=True
                )
            _check_status(response)
            if response.status_code != httpx.codes.PARTIAL_CONTENT:
                yield FileBody(0, _read_validator(response.headers), response.aiter_raw())
                return
            content_range = response.headers.get("content-range", "")
            if not content_range.startswith(f"bytes {offset}-"):
                raise TransientError(
                    "the source sent another range than it was asked for", restart=True
                )
            yield FileBody(offset, validator, response.aiter_raw())

    @contextlib.asynccontextmanager
    async def _open_response(
        self, path: str, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """The response, after the redirects that ``resolve_redirect`` allows."""
        url = self.root + quote(path)
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                async with self._client.stream("GET", url, headers=headers) as response:
                    if not response.has_redirect_location:
                        yield response
                        return
                    url = resolve_redirect(url, response.headers["location"])
        except httpx.RequestError as error:
            # Some of httpx's errors have no text of their own.
            raise TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        raise RefusedError(f"more than {_MAX_REDIRECTS} redirects")


def resolve_redirect(url: str, location: str) -> str:
    """The URL a redirect leads to.

    RefusedError where that is another host, or http when the URL was https.
    """
    try:
        target = urljoin(url, location)
        old = urlsplit(url)
        new = urlsplit(target)
    except ValueError as error:
        raise RefusedError(f"a redirect to {location!r} cannot be followed: {error}") from None
    if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
        raise RefusedError(
            f"a redirect from {old.scheme} to {new.scheme or location!r} is not followed"
        )
    if new.hostname != old.hostname or "@" in new.netloc:
        raise RefusedError(
            f"a redirect to another host, {new.hostname}, is not followed: name that host as "
            "--source"
        )
    return target


def _check_status(response: httpx.Response) -> None:
    """Raise the error of a response that is not a success."""
    status = response.status_code
    if status in _TRANSIENT_STATUSES:
        pause = parse_retry_after(response.headers)
        if (pause or 0) > MAX_PAUSE_SECONDS:
            raise RefusedError(
                f"the source answers {status} and asks to come back in {pause:,.0f} s"
            )
        raise TransientError(f"the source answers {status}", pause)
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise RefusedError(f"the source answers {status} {response.reason_phrase}".rstrip())


def _read_validator(headers: httpx.Headers) -> str:
    """What If-Range accepts: a strong ETag, else the date (RFC 9110, 13.1.5)."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else headers.get("last-modified", "")


async def _read_response(response: httpx.Response, max_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > max_bytes:
            raise RefusedError(f"{response.url.path} has more than {max_bytes:,} bytes")
    return bytes(content)


# --- folders --------------------------------------------------------------------------


class FolderMirrorSource:
    """A folder of this machine, such as a mounted mirror."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._root = root

    async def list_folder(self, folder: str, prefix: str) -> list[ListedFile] | None:
        path = self._root / prefix
        if not path.is_dir():
            return None
        files = []
        try:
            for entry in os.scandir(path):
                if entry.is_file() and parse_year_and_number(entry.name):
                    status = entry.stat()
                    stamp = _read_stamp(status)
                    files.append(
                        ListedFile(folder, entry.name, prefix + entry.name, status.st_size, stamp)
                    )
        except OSError as error:
            raise RefusedError(f"{path} cannot be read: {error.strerror}") from error
        return sorted(files, key=lambda file: application_order(file.key))

    async def read_small_file(self, path: str, max_bytes: int) -> bytes:
        with _open_file(self._root / path) as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise RefusedError(f"{path} has more than {max_bytes:,} bytes")
        return content

    @contextlib.asynccontextmanager
    async def open_body(self, path: str, offset: int, validator: str) -> AsyncIterator[FileBody]:
        with _open_file(self._root / path) as file:
            stamp = _read_stamp(os.fstat(file.fileno()))
            begin = offset if validator == stamp else 0
            file.seek(begin)
            yield FileBody(begin, stamp, _read_chunks(file))


def _open_file(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}") from error


async def _read_chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        # In a thread: a network mount can block for long.
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise TransientError(f"reading failed: {error.strerror}") from error


def _read_stamp(status: os.stat_result) -> str:
    """A text that changes when the file does. It takes the place of a listing's date and of an
    ETag."""
    return f"{status.st_size} {status.st_mtime_ns}"
