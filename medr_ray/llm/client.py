"""The chat client: sends a request as often as needed, and never twice once it is answered.

A request is looked up in the cache. If it is not there, it passes the governor's gate, is sent, and
what it used is reported to the governor. Status 429 and 5xx, time-outs and unreadable replies are
tried again after a random pause. So is a request that the circuit breaker refused, once the breaker
closes again. A Retry-After header pauses every caller of the service for that long.
"""

import asyncio
import functools
import os
import random
import ssl
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx
import openai
from openai import AsyncOpenAI
from pydantic import BaseModel
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from medr_ray.core.config import EndpointConfig
from medr_ray.core.config.roles import RoleName
from medr_ray.core.errors import ConfigError, ModelError
from medr_ray.core.json_text import replace_surrogates
from medr_ray.core.run import Directory
from medr_ray.core.variables import read_key
from medr_ray.governor.budget import Budget, Charge, Spend
from medr_ray.governor.failures import CircuitOpen, parse_retry_after
from medr_ray.governor.gate import Gate, Limits, Permit
from medr_ray.llm.cache import CACHE_FOLDER, ResponseCache, request_key
from medr_ray.llm.completions import (
    ChatResult,
    estimate_prompt_tokens,
    parse_completion,
    restore_result,
)
from medr_ray.llm.failures import (
    ReportedError,
    UnreadableReply,
    explain_failure,
    is_refused_for_rate,
    is_transient,
)
from medr_ray.llm.replies import read_reply
from medr_ray.llm.roles import Messages, ReplyModel, Tools
from medr_ray.llm.usage import RoleUsage

# Statuses that say the service has too much to do, so that fewer requests at once would help.
_OVERLOADED_STATUSES = frozenset({408, 503, 504, 529})
_BACKOFF_SECONDS = 0.5  # the first pause is at most twice this; each further one twice the last
_MAX_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True)
class _Answer:
    """A completion, and the key to store it under; null where it is stored or not to be."""

    result: ChatResult
    key: str | None


class ChatClient:
    """A client of one OpenAI-compatible endpoint, usable from any event loop.

    The response cache, the tokens spent and what ``role`` used are kept in ``llm/`` of the ``run``
    directory, which has to be local. Without ``run`` nothing is cached and a budget covers this
    client only. ``usage`` is what this client used. ``secret`` is a key that is in no environment
    variable.
    """

    def __init__(
        self,
        endpoint: EndpointConfig,
        run: Directory | None = None,
        role: RoleName | None = None,
        *,
        secret: str | None = None,
    ) -> None:
        if not endpoint.model:
            raise ConfigError("llm.model is empty: name the model that the endpoint is to run")
        self.usage = RoleUsage()
        self._endpoint = endpoint
        self._role = role
        self._secret = read_key(endpoint.api_key_env) if secret is None else secret
        self._headers = _read_headers(endpoint)
        self._store = _open_store(endpoint, run, role)
        self._budget_id = self._store.budget_name() if self._store else uuid.uuid4().hex
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
        # A connection pool belongs to one event loop; weak keys drop it together with its loop.
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
        reply_type: type[BaseModel] | None = None,
    ) -> ChatResult:
        """One completion. Parameters left at None use the endpoint's configuration.

        ``tools`` are functions in OpenAI's format that the model may call natively (see
        ``ChatResult.tool_calls``). With ``structured_replies`` the endpoint is asked to hold the
        reply to the JSON schema of ``reply_type``; the reply is not parsed here. The answer is
        cached, unless it is sampled without a seed: such calls are meant to differ.

        Raises InfrastructureError when the endpoint stays unreachable, ConfigError when it refuses
        the key or the model, ContextLengthExceeded when the messages are too long for it, and
        BudgetExceeded when the budget is spent.
        """
        payload = self._build_payload(messages, temperature, max_tokens, stop, seed, tools)
        if reply_type is not None and self._endpoint.structured_replies:
            payload["response_format"] = _build_response_format(reply_type)
        answer = await self._answer(payload)
        self._keep(answer)
        return answer.result

    async def complete_json(self, messages: Messages, reply_type: type[ReplyModel]) -> ReplyModel:
        """A completion, parsed as ``reply_type``.

        A reply that cannot be read is sent back once with the error. Raises ModelError when the
        second reply cannot be read either; then neither is cached.
        """
        first = await self._answer(self._build_json_payload(messages, reply_type))
        try:
            value = _read_complete_reply(first.result, reply_type)
        except ModelError as error:
            complaint = {"role": "user", "content": f"{error}. Reply with the JSON object only."}
        else:
            self._keep(first)
            return value
        text = first.result.text
        # Many endpoints refuse an empty message.
        quoted = [{"role": "assistant", "content": text}] if text.strip() else []
        asked_again = [*messages, *quoted, complaint]
        second = await self._answer(self._build_json_payload(asked_again, reply_type))
        value = _read_complete_reply(second.result, reply_type)
        # The first as well: without it nobody would ask for the second.
        self._keep(first)
        self._keep(second)
        return value

    async def _answer(self, payload: dict[str, Any]) -> _Answer:
        """The stored answer to a request, else the endpoint's."""
        key = self._cache_key(payload)
        if key is None or self._store is None:
            return _Answer(await self._send_with_retries(payload), None)
        stored = self._store.get(key)
        if stored is not None:
            self._record_usage(RoleUsage(cached=1))
            return _Answer(restore_result(stored), None)
        return _Answer(await self._send_with_retries(payload), key)

    def _keep(self, answer: _Answer) -> None:
        if answer.key is not None and self._store is not None:
            self._store.put(answer.key, asdict(answer.result))

    def _build_json_payload(
        self, messages: Messages, reply_type: type[BaseModel]
    ) -> dict[str, Any]:
        payload = self._build_payload(messages)
        if self._endpoint.structured_replies:
            payload["response_format"] = _build_response_format(reply_type)
        return payload

    def _build_payload(
        self,
        messages: Messages,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        seed: int | None = None,
        tools: Tools | None = None,
    ) -> dict[str, Any]:
        endpoint = self._endpoint
        payload: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [_clean_message(message) for message in messages],
            endpoint.max_tokens_parameter: max_tokens or endpoint.max_tokens,
        }
        # A model that refuses a temperature refuses everybody's.
        if endpoint.temperature is not None:
            payload["temperature"] = endpoint.temperature if temperature is None else temperature
        # What is not set is left out: it is then the endpoint's default, and not in the cache key.
        if stop:
            payload["stop"] = list(stop)
        if seed is not None:
            payload["seed"] = seed
        if tools:
            payload["tools"] = [dict(tool) for tool in tools]
        if endpoint.extra_body:
            payload["extra_body"] = dict(endpoint.extra_body)
        return payload

    def _cache_key(self, payload: dict[str, Any]) -> str | None:
        """The key of the request in the cache, None where its answer is not to be cached."""
        # Equal samples would be the first one again and again.
        is_sampled_unseeded = payload.get("temperature", 0) > 0 and "seed" not in payload
        if not self._endpoint.cache or is_sampled_unseeded:
            return None
        # Of two endpoints a model of the same name need not be the same model.
        return request_key({"base_url": self._endpoint.base_url, **payload})

    # --- sending ----------------------------------------------------------------------

    async def _send_with_retries(self, payload: dict[str, Any]) -> ChatResult:
        endpoint = self._endpoint
        attempts = endpoint.retries + 1
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts),
            wait=_full_jitter,
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            return await retrying(self._send_through_gate, payload)
        except (openai.APIError, UnreadableReply, ReportedError, TimeoutError) as error:
            secrets = (self._secret, *self._headers.values())
            # "from None": the original error may quote the key.
            raise explain_failure(
                error, endpoint.base_url, endpoint.api_key_env, secrets, attempts
            ) from None

    async def _send_through_gate(self, payload: dict[str, Any]) -> ChatResult:
        """One attempt, with what it used and how it ended reported to the governor."""
        prompt_tokens = estimate_prompt_tokens(payload)
        output_tokens = payload[self._endpoint.max_tokens_parameter]
        charge = self._build_charge(prompt_tokens, output_tokens)
        async with self._gate.permit(prompt_tokens, output_tokens, charge=charge) as permit:
            started = time.monotonic()
            is_answered = False
            try:
                result = await self._send_once(payload)
                is_answered = True
                # What the endpoint counted replaces the estimate, which gives the rest of it back
                # to others.
                permit.record_usage(result.prompt_tokens, result.output_tokens, result.usd or 0.0)
                return result
            except (openai.APIStatusError, ReportedError) as error:
                _record_status(permit, error)
                raise
            except (openai.APITimeoutError, TimeoutError):
                # The endpoint may have done all the work before the deadline: count it as used.
                usd = self._compute_price(prompt_tokens, output_tokens) or 0.0
                permit.record_usage(prompt_tokens, output_tokens, usd)
                permit.record_failure(overloaded=True)
                raise
            except (openai.APIConnectionError, UnreadableReply) as error:
                if isinstance(error, openai.APIConnectionError):
                    permit.record_usage(0, 0)
                permit.record_failure()
                raise
            finally:
                self._record_spend(permit.spend)
                used = permit.outcome.used
                usage = RoleUsage(
                    requests=int(is_answered),
                    failed=int(not is_answered),
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    usd=permit.spend.usd,
                    seconds=time.monotonic() - started,
                )
                self._record_usage(usage)

    def _record_spend(self, spent: Spend) -> None:
        self._spent = self._spent.plus(spent)
        if self._store is not None:
            self._store.add_spend(spent)

    def _record_usage(self, usage: RoleUsage) -> None:
        self.usage = self.usage.plus(usage)
        if self._store is not None and self._role is not None:
            self._store.add_role_usage(self._role, self._endpoint.model, usage)

    def _build_charge(self, prompt_tokens: int, output_tokens: int) -> Charge | None:
        """The most that a request may take of the budget; None without a budget."""
        endpoint = self._endpoint
        if endpoint.budget_tokens is None and endpoint.budget_usd is None:
            return None
        # Read anew for every request: other processes of the run spend from the same file.
        before = self._store.total_spend() if self._store is not None else self._spent
        budget = Budget(self._budget_id, endpoint.budget_tokens, endpoint.budget_usd, before)
        usd = self._compute_price(prompt_tokens, output_tokens) or 0.0
        return Charge(budget, Spend(prompt_tokens + output_tokens, usd))

    def _compute_price(self, prompt_tokens: int, output_tokens: int) -> float | None:
        """US dollars for so many tokens, None where the prices are not configured."""
        input_price = self._endpoint.usd_per_million_input
        output_price = self._endpoint.usd_per_million_output
        if input_price is None or output_price is None:
            return None
        return (prompt_tokens * input_price + output_tokens * output_price) / 1e6

    async def _send_once(self, payload: dict[str, Any]) -> ChatResult:
        # The client's own time-out covers each read; this one covers the whole answer.
        async with asyncio.timeout(self._endpoint.timeout_seconds):
            create = self._get_loop_client().chat.completions.with_raw_response.create
            # A seed that is not sent still tells samples apart in the cache.
            unsent = () if self._endpoint.send_seed else ("seed",)
            body = {name: value for name, value in payload.items() if name not in unsent}
            # The package would read the answer by OpenAI's types, and stumble over others.
            response = await create(**body)
        result = parse_completion(response.content, payload)
        return replace(result, usd=self._compute_price(result.prompt_tokens, result.output_tokens))

    def _get_loop_client(self) -> AsyncOpenAI:
        """The connection pool of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = AsyncOpenAI(
                base_url=self._endpoint.base_url,
                api_key=self._secret or "none",  # the library wants a key, local servers want none
                max_retries=0,  # retries have to pass the gate
                timeout=self._endpoint.timeout_seconds,
                default_headers=self._headers,
                http_client=openai.DefaultAsyncHttpxClient(verify=_share_certificates()),
            )
            self._clients[loop] = client
        return client


@functools.cache
def _share_certificates() -> ssl.SSLContext:
    """The certificates that every client trusts. Reading them takes longer than a short request."""
    return httpx.create_ssl_context()


def _build_response_format(reply_type: type[BaseModel]) -> dict[str, Any]:
    """OpenAI's ``response_format`` for replies of this type."""
    schema = {"name": reply_type.__name__.strip("_"), "schema": reply_type.model_json_schema()}
    return {"type": "json_schema", "json_schema": schema}


def _read_headers(endpoint: EndpointConfig) -> dict[str, str]:
    """The configured headers with the values of their variables. Raises ConfigError for a variable
    that is not set."""
    missing = [name for name in endpoint.extra_headers.values() if name not in os.environ]
    if missing:
        raise ConfigError(f"extra_headers name variables that are not set: {', '.join(missing)}")
    return {header: read_key(name) for header, name in endpoint.extra_headers.items()}


def _open_store(
    endpoint: EndpointConfig, run: Directory | None, role: RoleName | None
) -> ResponseCache | None:
    """The file of responses and of spending, where there is a run and something to keep in it. On
    object storage there can be none: that is an error, unless only counts of a role are lost."""
    if run is None:
        return None
    has_budget = endpoint.budget_tokens is not None or endpoint.budget_usd is not None
    is_counted = role is not None and run.free_space() is not None
    if not (endpoint.cache or has_budget or is_counted):
        return None
    return ResponseCache(run.child(CACHE_FOLDER).local)


def _clean_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message without half characters, which cannot be sent."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": replace_surrogates(content)}
    return dict(message)


def _read_complete_reply(result: ChatResult, model: type[ReplyModel]) -> ReplyModel:
    """The completion as ``model``.

    Raises ModelError where it cannot be read, or was cut off by the endpoint: a part of an answer
    may look like a whole one.
    """
    if result.finish_reason == "length":
        raise ModelError(
            f"the reply was cut off after {result.output_tokens} tokens "
            "(max_tokens of the endpoint)"
        )
    if result.finish_reason == "content_filter":
        raise ModelError(f"the reply was refused or filtered: {result.refusal or result.text!r}")
    return read_reply(result.text, model)


def _record_status(permit: Permit, error: openai.APIStatusError | ReportedError) -> None:
    """Report an error status to the governor. A status about the request alone is not a failure: it
    shows that the endpoint works."""
    pause = None
    status = None
    if isinstance(error, ReportedError):
        status = error.status
    else:
        status = error.status_code
        pause = parse_retry_after(error.response.headers)
    permit.record_usage(0, 0)
    if is_refused_for_rate(error):
        permit.record_refusal(pause)
    elif status is not None and (status >= 500 or status == 408):
        permit.record_failure(overloaded=status in _OVERLOADED_STATUSES)


def _full_jitter(state: RetryCallState) -> float:
    """Seconds until the next attempt: any number up to the exponential back-off, so that callers
    that failed together do not return together. After a refusal by the circuit breaker it is added
    to the time until the breaker lets a request through."""
    error = state.outcome.exception() if state.outcome is not None else None
    breaker_seconds = error.seconds if isinstance(error, CircuitOpen) else 0.0
    longest = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2**state.attempt_number)
    return breaker_seconds + random.uniform(0, longest)
