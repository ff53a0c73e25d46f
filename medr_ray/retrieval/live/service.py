"""One web service, asked through the gate, with a limit on everything and typed failures.

Guarantees: every attempt waits for the service's gate, which the whole cluster shares. 429, 5xx,
time-outs, broken connections and unreadable answers are tried again with full jitter, and a
Retry-After pauses every caller. An answer is read up to a number of bytes and is never
decompressed. Redirects are not followed. The key is sent in a header or in the body, never in an
address, and is removed from every message of the service.
"""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

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
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.validation_messages import validate_record
from medr_ray.core.variables import read_key
from medr_ray.governor.failures import MAX_PAUSE_SECONDS, parse_retry_after
from medr_ray.governor.gate import Gate, Limits, Permit
from medr_ray.retrieval.query_text import plain_line

T = TypeVar("T")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)
# Text of a service's JSON that may be null.
NullableText = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]

_BACKOFF = 0.5  # seconds: the wait is random below this times 2^attempt
_LONGEST_BACKOFF = 10.0  # seconds
_BUSY_STATUSES = frozenset({429, 503})
_TRANSIENT_STATUSES = frozenset({408, 425})
_KEY_STATUSES = frozenset({401, 403})  # the key is refused
_QUERY_STATUSES = frozenset({400, 413, 414, 422})  # the query is refused
_SERVER_ERROR = 500  # the first status of those that are the server's fault
_QUOTED_CHARS = 200  # of a service's message in an error


@dataclass(frozen=True)
class ServiceResponse:
    """A service's answer."""

    status: int
    body: bytes


@dataclass(frozen=True)
class ServiceRequest:
    """A request: its path below the base address, and what goes into the address, a form, or a JSON
    body."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    content: Mapping[str, Any] | None = None


class _TransientError(Exception):
    """The attempt failed; another may succeed."""


class WebService:
    """The service ``name`` at ``base_url``.

    ``key_name`` is the environment variable of its key; ``headers`` are sent with each request.
    ConfigError for an address that is none or has credentials in it.
    """

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
        self.name = name
        self._root = base_url.rstrip("/")
        self._config = config
        self._key_name = key_name
        self._secret = read_key(key_name)
        agent = f"medr-ray/{importlib.metadata.version('medr-ray')}"
        self._headers = {"User-Agent": agent, "Accept-Encoding": "identity", **(headers or {})}
        self._gate = Gate(self._root, limits, secret=self._secret)
        # Made at the first request, on the event loop that uses it.
        self._client: httpx.AsyncClient | None = None

    async def request(
        self,
        request: ServiceRequest,
        parse: Callable[[ServiceResponse], T],
        accepted: Collection[int] = (httpx.codes.OK,),
    ) -> T:
        """What ``parse`` makes of the answer; it raises DataError for one that it cannot read.

        ToolError when the service refuses the query, ConfigError when it refuses the key,
        InfrastructureError when it cannot be reached, gives no readable answer, or asks for a
        longer pause than the deadline allows.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._config.retries + 1),
            retry=retry_if_exception_type(_TransientError),
            reraise=True,
            wait=wait_random_exponential(multiplier=_BACKOFF, max=_LONGEST_BACKOFF),
        )
        try:
            # The permit is taken inside of an attempt, so that the pause between two attempts holds
            # none.
            return await retrying(self._attempt_request, request, parse, accepted)
        except _TransientError as error:
            raise InfrastructureError(
                f"{self.name} failed {self._config.retries + 1} times, at last: {error}"
            ) from None

    async def _attempt_request(
        self,
        request: ServiceRequest,
        parse: Callable[[ServiceResponse], T],
        accepted: Collection[int],
    ) -> T:
        async with self._gate.permit() as permit:
            response = await self._send_request(request, permit, accepted)
        # Parsed without the permit, which others wait for.
        try:
            return parse(response)
        except DataError as error:
            raise _TransientError(f"its answer cannot be read: {error}") from None

    async def _send_request(
        self, request: ServiceRequest, permit: Permit, accepted: Collection[int]
    ) -> ServiceResponse:
        seconds = self._config.timeout_seconds
        # Before the time-out begins: what this process needs to make its client is no failure of
        # the service.
        client = self._open_client()
        try:
            # httpx's own time-out is for each read: a server that sends a byte now and then never
            # reaches it.
            async with (
                asyncio.timeout(seconds),
                self._open_stream(client, request) as response,
            ):
                body = await self._read_body(response)
        except TimeoutError:
            permit.record_failure(overloaded=True)
            raise _TransientError(f"no answer within {seconds:g} s") from None
        except httpx.RequestError as error:
            permit.record_failure()
            # Some of httpx's errors have no text of their own.
            message = f"{type(error).__name__}: {error}".rstrip(": ")
            raise _TransientError(self._hide_key(message)) from None
        if response.status_code not in accepted:
            raise self._classify_refusal(response, body, permit)
        return ServiceResponse(response.status_code, body)

    def _open_client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self._headers, timeout=self._config.timeout_seconds
            )
        return self._client

    @contextlib.asynccontextmanager
    async def _open_stream(
        self, client: httpx.AsyncClient, request: ServiceRequest
    ) -> AsyncIterator[httpx.Response]:
        async with client.stream(
            request.method,
            f"{self._root}/{request.path}",
            params=dict(request.params) or None,
            data=request.form,
            json=request.content,
        ) as response:
            yield response

    async def _read_body(self, response: httpx.Response) -> bytes:
        """The bytes as they came.

        A body that is compressed although nobody asked for it is refused: it could unpack to any
        size.
        """
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise InfrastructureError(
                f"{self.name} packs its answers as {plain_line(encoding)[:20]}, unasked"
            )
        max_bytes = self._config.max_bytes
        body = bytearray()
        # Raw: ``aiter_bytes`` would decompress.
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                raise InfrastructureError(
                    f"{self.name} answers with more than {max_bytes:,} bytes (max_bytes)"
                )
        return bytes(body)

    def _classify_refusal(self, response: httpx.Response, body: bytes, permit: Permit) -> Exception:
        """The error of a status that was not accepted; the gate learns of it."""
        status = response.status_code
        is_busy = status in _BUSY_STATUSES
        pause = parse_retry_after(response.headers)
        if is_busy and (pause or 0) <= MAX_PAUSE_SECONDS:
            permit.record_refusal(pause)
        elif is_busy or status >= _SERVER_ERROR:
            permit.record_failure()
        if is_busy and (pause or 0) > self._config.deadline_seconds:
            return InfrastructureError(
                f"{self.name} answers {status} and asks to come back in {pause:,.0f} s"
            )
        if is_busy or status in _TRANSIENT_STATUSES or status >= _SERVER_ERROR:
            return _TransientError(f"it answers {status}")
        return self._classify_denial(status, body)

    def _classify_denial(self, status: int, body: bytes) -> MedrError:
        """The error of an answer that another attempt would not change."""
        # Four bytes are the longest character, so this much has all that is quoted.
        beginning = body[: 4 * _QUOTED_CHARS].decode(errors="replace")
        message = self._hide_key(plain_line(beginning))[:_QUOTED_CHARS]
        mentions_key = status in _QUERY_STATUSES and "api key" in message.lower()
        if self._secret and (status in _KEY_STATUSES or mentions_key):
            return ConfigError(
                f"{self.name} refuses the key in ${self._key_name} ({status}): {message}"
            )
        if status in _QUERY_STATUSES:
            return ToolError(f"{self.name} refuses the query ({status}): {message}")
        if status == httpx.codes.NOT_FOUND or 300 <= status < 400:
            return InfrastructureError(
                f"{self.name} is not at {self._root} ({status}): see its base_url"
            )
        return InfrastructureError(f"{self.name} refuses to answer ({status}): {message}")

    def _hide_key(self, text: str) -> str:
        # Only where there is a secret: replacing "" would put the mark between all characters.
        return text.replace(self._secret, "[key]") if self._secret else text


async def with_deadline(seconds: float, name: str, work: Awaitable[T]) -> T:
    """The result of ``work``; InfrastructureError when it is not there in time."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise InfrastructureError(
            f"{name} did not answer within {seconds:g} s (deadline_seconds)"
        ) from None


def parse_json_body(body: bytes, model: type[M]) -> M:
    """The body as an object of the model; DataError when it is no such JSON."""
    try:
        value = parse_json(body, "the body")
    except InvalidJson as error:
        raise DataError(error.reason) from None
    return validate_record(model, value)


def parse_rows(rows: Collection[R], parse: Callable[[R], T]) -> list[T]:
    """What ``parse`` makes of the rows.

    A row that it cannot read (DataError) does not hide the others. DataError when it can read none.
    """
    results: list[T] = []
    errors: list[DataError] = []
    for row in rows:
        try:
            results.append(parse(row))
        except DataError as error:
            errors.append(error)
    if errors and not results:
        raise errors[0]
    return results
