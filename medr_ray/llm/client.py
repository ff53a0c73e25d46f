"""The chat client: one request, as often as needed and as rarely as possible.

A request is looked up in the cache, waits for the governor, is sent, and is settled with what it used. 429, 5xx,
time-outs and unreadable replies are tried again with full jitter; a Retry-After pauses every caller for that long.
"""

import asyncio
import hashlib
import json
import os
import random
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai
from openai import AsyncOpenAI
from pydantic import BaseModel
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ConfigError, ModelError
from medr_ray.core.run import Directory
from medr_ray.llm.cache import ResponseCache, request_key
from medr_ray.llm.failures import UnreadableReply, explained, is_transient, retry_after
from medr_ray.llm.governor import Governor, Lease, Request, governor
from medr_ray.llm.limits import Limits
from medr_ray.llm.replies import read_reply

M = TypeVar("M", bound=BaseModel)
Messages = Sequence[Mapping[str, str]]
_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0  # seconds: full jitter below base * 2^attempt
_BYTES_PER_TOKEN, _PER_MESSAGE = 3, 8  # an estimate on the high side for English and about right for Chinese


@dataclass(frozen=True)
class ChatResult:
    """A completion. Token counts are the endpoint's own, or the estimate where it reports none."""

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str


class ChatClient:
    """An OpenAI-compatible endpoint. The response cache and the tokens spent lie in ``llm/`` of the ``run`` directory
    (local); without one nothing is cached and a budget covers this process only. Usable from any event loops."""

    def __init__(self, endpoint: EndpointConfig, run: Directory | None = None) -> None:
        if urlsplit(endpoint.base_url).username:
            raise ConfigError(f"a base_url holds credentials: put the key into ${endpoint.api_key_env} instead")
        if not endpoint.model:
            raise ConfigError("llm.model is empty: name the model that the endpoint is to run")
        self._endpoint = endpoint
        self._secret = os.environ.get(endpoint.api_key_env, "")
        keeps = endpoint.cache or endpoint.budget_tokens is not None
        self._store = ResponseCache(run.child("llm").local) if run is not None and keeps else None
        self._spent_before = self._store.spent() if self._store else 0
        self._budget = self._store.budget_name() if self._store else f"process {os.getpid()}"
        self._gate: Governor | None = None
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = weakref.WeakKeyDictionary()

    async def complete(
        self, messages: Messages, *, temperature: float | None = None, max_tokens: int | None = None,
        stop: Sequence[str] | None = None, seed: int | None = None,
    ) -> ChatResult:
        """One completion. Answers are cached unless they are sampled without a seed, where each call is to differ.

        Raises InfrastructureError when the endpoint stays unreachable, ConfigError when it refuses the key or the
        model, ContextLengthExceeded when the messages are too long for it, BudgetExceeded when the budget is spent.
        """
        payload = self._payload(messages, temperature, max_tokens, stop, seed)
        key = self._cache_key(payload)
        if key is not None and self._store is not None and (stored := self._store.get(key)) is not None:
            return ChatResult(**stored)
        result = await self._with_retries(payload)
        if key is not None and self._store is not None:
            self._store.put(key, asdict(result))
        return result

    async def complete_json(self, messages: Messages, model: type[M]) -> M:
        """A completion read as ``model``; asked once more with the error when it cannot be, then ModelError. Half an
        answer is none, though it may look like one."""
        first = await self.complete(messages)
        try:
            return _read_whole(first, model)
        except ModelError as error:
            complaint = {"role": "user", "content": f"{error}. Reply with the JSON object only."}
        second = await self.complete([*messages, {"role": "assistant", "content": first.text}, complaint])
        return _read_whole(second, model)

    def _payload(
        self, messages: Messages, temperature: float | None, max_tokens: int | None,
        stop: Sequence[str] | None, seed: int | None,
    ) -> dict[str, Any]:
        endpoint = self._endpoint
        payload: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [dict(message) for message in messages],
            "temperature": endpoint.temperature if temperature is None else temperature,
            "max_tokens": max_tokens or endpoint.max_tokens,
        }
        optional = {"stop": list(stop) if stop else None, "seed": seed}
        return payload | {name: value for name, value in optional.items() if value is not None}

    def _cache_key(self, payload: dict[str, Any]) -> str | None:
        sampled = payload["temperature"] > 0 and "seed" not in payload
        if not self._endpoint.cache or sampled:
            return None
        return request_key({"base_url": self._endpoint.base_url, **payload})

    # --- sending ----------------------------------------------------------------------------------------------

    async def _with_retries(self, payload: dict[str, Any]) -> ChatResult:
        endpoint, attempts = self._endpoint, self._endpoint.retries + 1
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts), wait=_full_jitter, retry=retry_if_exception(is_transient), reraise=True)
        try:
            return await retrying(self._governed, payload)
        except (openai.APIError, UnreadableReply, json.JSONDecodeError, TimeoutError) as error:
            raise explained(error, endpoint.base_url, endpoint.api_key_env, self._secret, attempts) from None

    async def _governed(self, payload: dict[str, Any]) -> ChatResult:
        """One attempt under the governor. A refused request used nothing; one that timed out may have used it all."""
        gate = self._gate = self._gate or governor()
        request = self._request(payload)
        lease = await gate.acquire(request)
        used = request.tokens
        try:
            result = await self._send(payload)
            used = result.prompt_tokens + result.output_tokens
            return result
        except openai.APIStatusError as error:
            used = 0
            await self._honour_retry_after(gate, request, error)
            raise
        except openai.APIConnectionError as error:
            used = request.tokens if isinstance(error, openai.APITimeoutError) else 0
            raise
        finally:
            await self._settle(gate, lease, used)

    async def _settle(self, gate: Governor, lease: Lease, used: int) -> None:
        if self._store is not None:
            self._store.spend(used)
        await gate.settle(lease, used)

    async def _honour_retry_after(self, gate: Governor, request: Request, error: openai.APIStatusError) -> None:
        seconds = retry_after(error.response.headers)
        if seconds is not None and is_transient(error):
            await gate.pause(request, seconds)

    def _request(self, payload: dict[str, Any]) -> Request:
        endpoint = self._endpoint
        secret = hashlib.sha256(self._secret.encode()).hexdigest()
        key = hashlib.sha256(f"{endpoint.base_url}\n{endpoint.model}\n{secret}".encode()).hexdigest()[:16]
        limits = Limits(endpoint.requests_per_minute, endpoint.tokens_per_minute, endpoint.concurrency)
        tokens = _estimate(payload["messages"]) + payload["max_tokens"]
        ttl = 2 * endpoint.timeout_seconds
        return Request(key, limits, self._budget, endpoint.budget_tokens, self._spent_before, tokens, ttl)

    async def _send(self, payload: dict[str, Any]) -> ChatResult:
        async with asyncio.timeout(self._endpoint.timeout_seconds):
            completion = await self._client().chat.completions.create(**payload)
        return read_completion(completion, payload)

    def _client(self) -> AsyncOpenAI:
        """The connection pool of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = AsyncOpenAI(
                base_url=self._endpoint.base_url, api_key=self._secret or "none", max_retries=0,
                timeout=self._endpoint.timeout_seconds)
        return client


def _read_whole(result: ChatResult, model: type[M]) -> M:
    """The completion as ``model``. Raises ModelError where it cannot be read, or was cut off by the endpoint."""
    if result.finish_reason == "length":
        raise ModelError(f"the reply was cut off after {result.output_tokens} tokens (max_tokens of the endpoint)")
    return read_reply(result.text, model)


def _estimate(messages: Messages) -> int:
    return sum(_PER_MESSAGE + len(message["content"].encode()) // _BYTES_PER_TOKEN for message in messages)


def read_completion(completion: Any, payload: dict[str, Any]) -> ChatResult:
    """An endpoint's answer to ``payload`` (an ``openai`` chat completion). Raises UnreadableReply when it is none."""
    choices = getattr(completion, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if not choices or message is None:
        raise UnreadableReply("the reply is no chat completion")
    text = message.content or ""
    usage = getattr(completion, "usage", None)
    prompt = getattr(usage, "prompt_tokens", None)
    output = getattr(usage, "completion_tokens", None)
    return ChatResult(
        text,
        _estimate(payload["messages"]) if prompt is None else prompt,
        len(text.encode()) // _BYTES_PER_TOKEN if output is None else output,
        choices[0].finish_reason or "",
    )


def _full_jitter(state: RetryCallState) -> float:
    """Anything up to the exponential back-off, so that callers that failed together do not return together."""
    return random.uniform(0, min(_LONGEST_BACKOFF, _BACKOFF * 2 ** state.attempt_number))
