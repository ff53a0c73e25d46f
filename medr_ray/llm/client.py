"""The chat client: one request, as often as needed and as rarely as possible.

A request is looked up in the cache, passes the gate, is sent, and is settled with what it used.
429, 5xx, time-outs and unreadable replies are tried again with full jitter, and so is an endpoint
that is left alone because it only failed, when its time has come; a Retry-After pauses every caller
for that long.
"""

import asyncio
import json
import os
import random
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import openai
from openai import AsyncOpenAI
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ConfigError, ModelError
from medr_ray.core.run import Directory
from medr_ray.governor.budget import Budget, Charge, Spend
from medr_ray.governor.failures import CircuitOpen, parse_retry_after
from medr_ray.governor.gate import Gate, Limits, Permit
from medr_ray.llm.cache import ResponseCache, request_key
from medr_ray.llm.completions import (
    ChatResult,
    estimate_prompt_tokens,
    read_completion,
    restore_result,
)
from medr_ray.llm.failures import UnreadableReply, explain_failure, is_transient
from medr_ray.llm.replies import read_reply
from medr_ray.llm.roles import Messages, ReplyModel, Tools

_OVERLOADED = frozenset({408, 503, 504, 529})
_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0  # seconds: full jitter below base * 2^attempt


class ChatClient:
    """An OpenAI-compatible endpoint. The response cache and the tokens spent lie in ``llm/`` of the
    ``run`` directory (local); without one nothing is cached and a budget covers this client only.
    Usable from any event loops."""

    def __init__(self, endpoint: EndpointConfig, run: Directory | None = None) -> None:
        if urlsplit(endpoint.base_url).username:
            raise ConfigError(
                f"a base_url holds credentials: put the key into ${endpoint.api_key_env} instead"
            )
        if not endpoint.model:
            raise ConfigError("llm.model is empty: name the model that the endpoint is to run")
        self._endpoint = endpoint
        self._secret = os.environ.get(endpoint.api_key_env, "")
        keeps = (
            endpoint.cache or endpoint.budget_tokens is not None or endpoint.budget_usd is not None
        )
        self._store = ResponseCache(run.child("llm").local) if run is not None and keeps else None
        self._budget = self._store.budget_name() if self._store else uuid.uuid4().hex
        self._spent = Spend()
        limits = Limits(
            endpoint.requests_per_minute,
            60.0,
            endpoint.input_tokens_per_minute,
            endpoint.output_tokens_per_minute,
            endpoint.concurrency,
            endpoint.tokens_per_minute,
        )
        self._gate = Gate(f"{endpoint.base_url} {endpoint.model}", limits, secret=self._secret)
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = (
            weakref.WeakKeyDictionary()
        )

    async def complete(
        self,
        messages: Messages,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        seed: int | None = None,
        tools: Tools | None = None,
    ) -> ChatResult:
        """One completion. Answers are cached unless they are sampled without a seed, where each
        call is to differ. ``tools`` are functions in OpenAI's format that the model may call
        natively (``ChatResult.tool_calls``).

        Raises InfrastructureError when the endpoint stays unreachable, ConfigError when it refuses
        the key or the model, ContextLengthExceeded when the messages are too long for it,
        BudgetExceeded when the budget is spent.
        """
        payload = self._payload(messages, temperature, max_tokens, stop, seed, tools)
        key = self._cache_key(payload)
        if (
            key is not None
            and self._store is not None
            and (stored := self._store.get(key)) is not None
        ):
            return restore_result(stored)
        result = await self._with_retries(payload)
        if key is not None and self._store is not None:
            self._store.put(key, asdict(result))
        return result

    async def complete_json(self, messages: Messages, model: type[ReplyModel]) -> ReplyModel:
        """A completion read as ``model``; asked once more with the error when it cannot be, then
        ModelError. Half an answer is none, though it may look like one."""
        first = await self.complete(messages)
        try:
            return _read_whole(first, model)
        except ModelError as error:
            complaint = {"role": "user", "content": f"{error}. Reply with the JSON object only."}
        second = await self.complete(
            [*messages, {"role": "assistant", "content": first.text}, complaint]
        )
        return _read_whole(second, model)

    def _payload(
        self,
        messages: Messages,
        temperature: float | None,
        max_tokens: int | None,
        stop: Sequence[str] | None,
        seed: int | None,
        tools: Tools | None,
    ) -> dict[str, Any]:
        endpoint = self._endpoint
        payload: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [dict(message) for message in messages],
            "temperature": endpoint.temperature if temperature is None else temperature,
            "max_tokens": max_tokens or endpoint.max_tokens,
        }
        functions = [dict(one) for one in tools] if tools else None
        optional = {"stop": list(stop) if stop else None, "seed": seed, "tools": functions}
        return payload | {name: value for name, value in optional.items() if value is not None}

    def _cache_key(self, payload: dict[str, Any]) -> str | None:
        sampled = payload["temperature"] > 0 and "seed" not in payload
        if not self._endpoint.cache or sampled:
            return None
        return request_key({"base_url": self._endpoint.base_url, **payload})

    # --- sending ----------------------------------------------------------------------

    async def _with_retries(self, payload: dict[str, Any]) -> ChatResult:
        endpoint, attempts = self._endpoint, self._endpoint.retries + 1
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts),
            wait=_full_jitter,
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            return await retrying(self._governed, payload)
        except (openai.APIError, UnreadableReply, json.JSONDecodeError, TimeoutError) as error:
            raise explain_failure(
                error, endpoint.base_url, endpoint.api_key_env, self._secret, attempts
            ) from None

    async def _governed(self, payload: dict[str, Any]) -> ChatResult:
        """One attempt that passes the gate. A refused request took nothing; one that timed out may
        have taken all."""
        prompt, output = estimate_prompt_tokens(payload), payload["max_tokens"]
        async with self._gate.permit(prompt, output, charge=self._charge(prompt, output)) as permit:
            try:
                result = await self._send(payload)
                permit.record_usage(result.prompt_tokens, result.output_tokens, result.usd or 0.0)
                return result
            except openai.APIStatusError as error:
                _tell(permit, error)
                raise
            except (openai.APITimeoutError, TimeoutError):
                permit.record_usage(prompt, output, self._usd(prompt, output) or 0.0)
                permit.record_failure(overloaded=True)
                raise
            except (openai.APIConnectionError, UnreadableReply, json.JSONDecodeError) as error:
                if isinstance(error, openai.APIConnectionError):
                    permit.record_usage(0, 0)
                permit.record_failure()
                raise
            finally:
                self._note(permit.spend)

    def _note(self, spent: Spend) -> None:
        self._spent = self._spent.plus(spent)
        if self._store is not None:
            self._store.add_spend(spent)

    def _charge(self, prompt: int, output: int) -> Charge | None:
        endpoint = self._endpoint
        if endpoint.budget_tokens is None and endpoint.budget_usd is None:
            return None
        before = self._store.total_spend() if self._store is not None else self._spent
        budget = Budget(self._budget, endpoint.budget_tokens, endpoint.budget_usd, before)
        return Charge(budget, Spend(prompt + output, self._usd(prompt, output) or 0.0))

    def _usd(self, prompt: int, output: int) -> float | None:
        """What so many tokens cost, where the prices are configured."""
        inputs, outputs = (
            self._endpoint.usd_per_million_input,
            self._endpoint.usd_per_million_output,
        )
        return (
            None
            if inputs is None or outputs is None
            else (prompt * inputs + output * outputs) / 1e6
        )

    async def _send(self, payload: dict[str, Any]) -> ChatResult:
        async with asyncio.timeout(self._endpoint.timeout_seconds):
            completion = await self._client().chat.completions.create(**payload)
        result = read_completion(completion, payload)
        return replace(result, usd=self._usd(result.prompt_tokens, result.output_tokens))

    def _client(self) -> AsyncOpenAI:
        """The connection pool of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = AsyncOpenAI(
                base_url=self._endpoint.base_url,
                api_key=self._secret or "none",
                max_retries=0,
                timeout=self._endpoint.timeout_seconds,
            )
        return client


def _read_whole(result: ChatResult, model: type[ReplyModel]) -> ReplyModel:
    """The completion as ``model``. Raises ModelError where it cannot be read, or was cut off by the
    endpoint."""
    if result.finish_reason == "length":
        raise ModelError(
            f"the reply was cut off after {result.output_tokens} tokens (max_tokens of the endpoint)"
        )
    return read_reply(result.text, model)


def _tell(permit: Permit, error: openai.APIStatusError) -> None:
    """What an error status says about the endpoint; one that is about the request says that the
    endpoint is well."""
    status, pause = error.status_code, parse_retry_after(error.response.headers)
    permit.record_usage(0, 0)
    if status == 429 or (status == 503 and pause is not None):
        permit.record_refusal(pause)
    elif status >= 500 or status == 408:
        permit.record_failure(overloaded=status in _OVERLOADED)


def _full_jitter(state: RetryCallState) -> float:
    """Anything up to the exponential back-off, so that callers that failed together do not return
    together; an endpoint that is left alone is not asked before its time."""
    error = state.outcome.exception() if state.outcome is not None else None
    least = error.seconds if isinstance(error, CircuitOpen) else 0.0
    return least + random.uniform(0, min(_LONGEST_BACKOFF, _BACKOFF * 2**state.attempt_number))
