"""One governor for all callers: a named Ray actor where Ray is up, an object of the process where it is not.

Callers are served in the order they ask. A caller that dies keeps its lease until the lease's time to live is over. The
actor outlives the job that made it, so jobs of one cluster that share an endpoint share its limits.
"""

import asyncio
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

from medr_ray.core.errors import InfrastructureError, MedrError
from medr_ray.llm.budget import TokenBudget
from medr_ray.llm.limits import Limits, Meter

_ACTOR, _NAMESPACE = "medr_llm_governor", "medr"
_WAITING = 10_000  # callers that may wait in the actor at once


@dataclass(frozen=True)
class Request:
    """What is asked for: an endpoint's ``key`` and limits, a budget's ``budget`` name and what is known to be spent
    of it from earlier runs, the most ``tokens`` the request can take, and the lease's time to live in seconds."""

    key: str
    limits: Limits
    budget: str
    budget_tokens: int | None
    spent_before: int
    tokens: int
    ttl: float


@dataclass(frozen=True)
class Lease:
    """Permission for one request, to be settled exactly once."""

    request: Request
    number: int


class Governor(Protocol):
    """Who may send what, when."""

    async def acquire(self, request: Request) -> Lease:
        """Wait for permission; raises BudgetExceeded at once when the budget does not cover the request."""
        ...

    async def settle(self, lease: Lease, used: int) -> None:
        """The request is over and took ``used`` tokens."""
        ...

    async def pause(self, request: Request, seconds: float) -> None:
        """The endpoint asked every caller to wait."""
        ...


class ProcessGovernor:
    """The governor itself. Safe for several threads and event loops."""

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._meters: dict[str, Meter] = {}
        self._budgets: dict[str, TokenBudget] = {}
        self._queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = (
            weakref.WeakKeyDictionary())

    async def acquire(self, request: Request) -> Lease:
        with self._state:
            budget = self._budgets.setdefault(request.budget, TokenBudget(spent=request.spent_before))
            budget.reserve(request.tokens, request.budget_tokens)
        try:
            async with self._queue(request.key):
                return Lease(request, await self._granted(request))
        except BaseException:
            with self._state:
                budget.settle(request.tokens, 0)
            raise

    def _queue(self, key: str) -> asyncio.Lock:
        with self._state:
            return self._queues.setdefault(asyncio.get_running_loop(), {}).setdefault(key, asyncio.Lock())

    async def _granted(self, request: Request) -> int:
        while True:
            with self._state:
                now = time.monotonic()
                lease, wait = self._meter(request, now).acquire(request.tokens, request.ttl, now)
            if lease is not None:
                return lease
            await asyncio.sleep(wait)

    def _meter(self, request: Request, now: float) -> Meter:
        """The endpoint's meter, under the limits asked for last."""
        meter = self._meters.setdefault(request.key, Meter(request.limits, now))
        if meter.limits != request.limits:
            meter.adopt(request.limits, now)
        return meter

    async def settle(self, lease: Lease, used: int) -> None:
        request = lease.request
        with self._state:
            self._budgets[request.budget].settle(request.tokens, used)
            self._meters[request.key].release(lease.number, request.tokens, used)

    async def pause(self, request: Request, seconds: float) -> None:
        with self._state:
            now = time.monotonic()
            self._meter(request, now).pause(seconds, now)


class _ActorGovernor:
    """The cluster's governor seen from a caller."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def acquire(self, request: Request) -> Lease:
        import ray

        waiting = self._actor.acquire.remote(request)
        try:
            return await waiting
        except asyncio.CancelledError:
            ray.cancel(waiting)
            raise
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, MedrError) else error from None
        except ray.exceptions.RayActorError as error:
            raise InfrastructureError(f"the governor of language-model calls is gone: {error}") from error

    async def settle(self, lease: Lease, used: int) -> None:
        await self._actor.settle.remote(lease, used)

    async def pause(self, request: Request, seconds: float) -> None:
        await self._actor.pause.remote(request, seconds)


_process_governor = ProcessGovernor()


def governor() -> Governor:
    """The governor that all callers of this cluster, or of this process without Ray, share."""
    import ray

    if not ray.is_initialized():
        return _process_governor
    actor = ray.remote(ProcessGovernor).options(
        name=_ACTOR, namespace=_NAMESPACE, get_if_exists=True, lifetime="detached", num_cpus=0,
        max_concurrency=_WAITING, max_restarts=-1,
    ).remote()
    return _ActorGovernor(actor)
