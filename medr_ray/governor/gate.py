"""The gate that every call to a service over the network passes: models, live sources, web search,
page fetches.

All callers of a Ray cluster (of a process, without Ray) that name the same service and secret share
its limits: never more than they allow in any window, nothing while the service asked for a pause, a
single try at a service that only failed lately.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from medr_ray.governor.actor import governor
from medr_ray.governor.budget import Charge, Spend
from medr_ray.governor.limits import Amounts, Limits, Service
from medr_ray.governor.protocol import Outcome, Result, Slot

__all__ = ["Gate", "Limits", "Permit"]


class Permit:
    """Permission for one request. Leaving its block without saying anything means that the request
    succeeded and took what was estimated; leaving it by an exception, that nothing is known."""

    def __init__(self, slot: Slot, estimate: Amounts) -> None:
        self._slot, self._used, self._usd = slot, estimate, 0.0
        self._settled = False
        self._result: Result = "succeeded"
        self._retry_after: float | None = None
        self._overloaded = False

    def used(self, input_tokens: int, output_tokens: int, usd: float = 0.0) -> None:
        """What the request really took."""
        self._used, self._usd, self._settled = Amounts(input_tokens, output_tokens), usd, True

    def refused(self, retry_after: float | None) -> None:
        """The service said 429 or 503 and took nothing: all callers wait for ``retry_after``
        seconds (None: one second), and fewer requests are sent at once."""
        self.used(0, 0)
        self._result, self._retry_after = "refused", retry_after

    def failed(self, overloaded: bool = False) -> None:
        """5xx, a time-out or no connection; ``overloaded`` where fewer requests at once may help (a
        time-out)."""
        self._result, self._overloaded = "failed", overloaded

    def broke(self) -> None:
        """The block was left by an exception."""
        if self._result == "succeeded" and not self._settled:
            self._result = "unknown"

    @property
    def outcome(self) -> Outcome:
        """What is known of the request."""
        return Outcome(
            self._slot, self._used, self._result, self._retry_after, self._overloaded, self._usd
        )

    @property
    def spent(self) -> Spend:
        """What the request took of a budget."""
        return Spend(sum(self._used), self._usd)


class Gate:
    """The gate of one ``service`` (a host, or a host and a path) for one ``secret`` (an API key;
    only its hash is kept). Metrics show it as ``shown``, which many services may share. Cheap, and
    may be pickled."""

    def __init__(self, service: str, limits: Limits, *, secret: str = "", shown: str = "") -> None:
        hidden = hashlib.sha256(secret.encode()).hexdigest()
        key = hashlib.sha256(f"{service}\n{hidden}".encode()).hexdigest()[:16]
        self._service = Service(key, shown or service, limits)

    @asynccontextmanager
    async def permit(
        self,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        charge: Charge | None = None,
    ) -> AsyncIterator[Permit]:
        """Wait for the turn of a request that takes at most so many tokens, and at most ``charge``
        of a budget.

        Raises InfrastructureError while the service is left alone because it only failed
        (``CircuitOpen``), and BudgetExceeded at once when the budget does not cover the request."""
        desk = governor()
        if charge is not None:
            await desk.reserve(charge)
        permit = None
        try:
            estimate = Amounts(input_tokens, output_tokens)
            permit = Permit(await desk.acquire(self._service, estimate), estimate)
            yield permit
        except BaseException:
            if permit is not None:
                permit.broke()
            raise
        finally:
            if permit is not None:
                desk.finish(self._service, permit.outcome)
            if charge is not None:
                desk.settle(charge, permit.spent if permit is not None else Spend())
