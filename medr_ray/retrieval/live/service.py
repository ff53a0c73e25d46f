"""One web service asked politely: through the gate, with a limit on everything, and its failures
under their names.

What holds: every try waits for the service's gate, which the whole cluster shares; 429, 5xx,
time-outs, broken connections and unreadable answers are tried again with full jitter, and a
Retry-After pauses every caller; an answer is read up to a number of bytes and is never unpacked;
redirects are not followed; the key travels in a header or in the body, never in an address, and is
blotted out of whatever the service says.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, BeforeValidator
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from medr_ray.core.config import ServiceConfig
from medr_ray.core.errors import ConfigError, DataError, InfrastructureError, MedrError, ToolError
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, parse_retry_after
from medr_ray.governor.gate import Gate, Limits, Permit
from medr_ray.retrieval.query_text import plain
from medr_ray.retrieval.readers.plain_records import parsed

T = TypeVar("T")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)
Words = Annotated[
    str, BeforeValidator(lambda value: "" if value is None else value)
]  # text that may be null

_BACKOFF, _LONGEST_BACKOFF = 0.5, 10.0  # seconds: full jitter below base * 2^try
_BUSY = frozenset({429, 503})
_TRANSIENT = frozenset({408, 425})
_KEY_REFUSED = frozenset({401, 403})
_QUERY_REFUSED = frozenset({400, 413, 414, 422})
_SHOWN = 200  # characters of a service's message quoted in an error


@dataclass(frozen=True)
class Reply:
    """A service's answer."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Ask:
    """A request: its path below the base address, and what goes into the query, a form, or a JSON
    body."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    content: Mapping[str, Any] | None = None


class _MayPass(Exception):
    """The try failed, the next one may not."""


def key_in(variable: str) -> str:
    """The key in an environment variable, "" where there is none."""
    return os.environ.get(variable, "").strip()


class Service:
    """The service ``name`` at ``base_url``. ``key_name`` is the environment variable of its key,
    ``headers`` are sent with each request. Raises ConfigError for an address that is none or holds
    credentials."""

    def __init__(
        self,
        name: str,
        base_url: str,
        config: ServiceConfig,
        limits: Limits,
        *,
        key_name: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.username or parts.password:
            raise ConfigError(
                f"the base_url of {name} holds credentials: put the key into ${key_name} instead"
            )
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
        ):
            raise ConfigError(
                f"the base_url of {name}, {base_url!r}: give an http(s) address without a query"
            )
        self.name, self._root, self._config = name, base_url.rstrip("/"), config
        self._key_name, self._secret = key_name, key_in(key_name)
        agent = f"medr-ray/{importlib.metadata.version('medr-ray')}"
        self._headers = {"User-Agent": agent, "Accept-Encoding": "identity", **(headers or {})}
        self._gate = Gate(self._root, limits, secret=self._secret)
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self, ask: Ask, read: Callable[[Reply], T], accepted: Collection[int] = (200,)
    ) -> T:
        """What ``read`` makes of the answer; it raises DataError for one that it cannot read.

        Raises ToolError when the service refuses the query, ConfigError when it refuses the key,
        InfrastructureError when it cannot be reached, gives no readable answer, or asks for more
        patience than there is.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._config.retries + 1),
            retry=retry_if_exception_type(_MayPass),
            reraise=True,
            wait=wait_random_exponential(multiplier=_BACKOFF, max=_LONGEST_BACKOFF),
        )
        try:
            return await retrying(self._try, ask, read, accepted)
        except _MayPass as error:
            raise InfrastructureError(
                f"{self.name} failed {self._config.retries + 1} times, at last: {error}"
            ) from None

    async def _try(self, ask: Ask, read: Callable[[Reply], T], accepted: Collection[int]) -> T:
        async with self._gate.permit() as permit:
            reply = await self._reply(ask, permit, accepted)
        try:
            return read(reply)
        except DataError as error:
            raise _MayPass(f"its answer cannot be read: {error}") from None

    async def _reply(self, ask: Ask, permit: Permit, accepted: Collection[int]) -> Reply:
        try:
            async with asyncio.timeout(self._config.timeout_seconds), self._sent(ask) as response:
                body = await self._body(response)
        except TimeoutError:
            permit.record_failure(overloaded=True)
            raise _MayPass(f"no answer within {self._config.timeout_seconds:g} s") from None
        except httpx.RequestError as error:
            permit.record_failure()
            raise _MayPass(self._blotted(f"{type(error).__name__}: {error}".rstrip(": "))) from None
        if response.status_code not in accepted:
            raise self._refusal(response, body, permit)
        return Reply(response.status_code, body)

    @contextlib.asynccontextmanager
    async def _sent(self, ask: Ask) -> AsyncIterator[httpx.Response]:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self._headers, timeout=self._config.timeout_seconds
            )
        async with self._client.stream(
            ask.method,
            f"{self._root}/{ask.path}",
            params=dict(ask.params) or None,
            data=ask.form,
            json=ask.content,
        ) as response:
            yield response

    async def _body(self, response: httpx.Response) -> bytes:
        """The bytes as they came; what is packed although nobody asked for it could be of any
        size."""
        packed = response.headers.get("content-encoding", "identity")
        if packed.lower() != "identity":
            raise InfrastructureError(
                f"{self.name} packs its answers as {plain(packed)[:20]}, unasked"
            )
        most, body = self._config.max_bytes, bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > most:
                raise InfrastructureError(
                    f"{self.name} answers with more than {most:,} bytes (max_bytes)"
                )
        return bytes(body)

    def _refusal(self, response: httpx.Response, body: bytes, permit: Permit) -> Exception:
        """What a status other than those hoped for means; the gate is told."""
        status, pause = response.status_code, parse_retry_after(response.headers)
        if status in _BUSY and (pause or 0) <= MAX_PAUSE_SECONDS:
            permit.record_refusal(pause)
        elif status >= 500 or status in _BUSY:
            permit.record_failure()
        if status in _BUSY and (pause or 0) > self._config.deadline_seconds:
            return InfrastructureError(
                f"{self.name} answers {status} and asks to come back in {pause:,.0f} s"
            )
        if status in _BUSY or status in _TRANSIENT or status >= 500:
            return _MayPass(f"it answers {status}")
        return self._denial(status, body)

    def _denial(self, status: int, body: bytes) -> MedrError:
        """Of an answer that another try would not change."""
        said = self._blotted(plain(body[: 4 * _SHOWN].decode(errors="replace")))[:_SHOWN]
        about_key = status in _KEY_REFUSED or (
            status in _QUERY_REFUSED and "api key" in said.lower()
        )
        if about_key and self._secret:
            return ConfigError(
                f"{self.name} refuses the key in ${self._key_name} ({status}): {said}"
            )
        if status in _QUERY_REFUSED:
            return ToolError(f"{self.name} refuses the query ({status}): {said}")
        if status == httpx.codes.NOT_FOUND or 300 <= status < 400:
            return InfrastructureError(
                f"{self.name} is not at {self._root} ({status}): see its base_url"
            )
        return InfrastructureError(f"{self.name} refuses to answer ({status}): {said}")

    def _blotted(self, text: str) -> str:
        return text.replace(self._secret, "[key]") if self._secret else text


async def within(seconds: float, name: str, work: Awaitable[T]) -> T:
    """The result of ``work``; InfrastructureError when it is not there in time."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise InfrastructureError(
            f"{name} did not answer within {seconds:g} s (deadline_seconds)"
        ) from None


def read_json(body: bytes, model: type[M]) -> M:
    """The body as ``model``; DataError when it is no such JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON: {error}") from None
    return parsed(model, value)


def read_rows(rows: Collection[R], read: Callable[[R], T]) -> list[T]:
    """What ``read`` makes of the rows; one that it cannot read (DataError) does not hide the
    others. DataError when it can read none."""
    made: list[T] = []
    problems: list[DataError] = []
    for row in rows:
        try:
            made.append(read(row))
        except DataError as error:
            problems.append(error)
    if problems and not made:
        raise problems[0]
    return made
