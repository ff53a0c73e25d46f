"""The gate that every call to a service over the network passes: models, live sources, web search,
page fetches.

All callers of a Ray cluster (of a process, without Ray) that name the same service and secret share
its limits: never more than they allow in any window, nothing while the service asked for a pause, a
single try at a service that only failed lately.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from medr_ray.governor.actor import get_governor_client
from medr_ray.governor.budget import Charge, Spend
from medr_ray.governor.limits import Amounts, GovernedService, Limits
from medr_ray.governor.protocol import Outcome, RequestResult, Slot

__all__ = ["Gate", "Limits", "Permit"]

_KEY_CHARACTERS = 16  # of a SHA-256 digest in hexadecimal: 64 bits tell services apart


class Permit:
    """Permission for one request.

    A block that records nothing counts as a request that succeeded and took what was estimated. A
    block left by an exception without a record counts as one of unknown result.
    """

    def __init__(self, slot: Slot, estimate: Amounts) -> None:
        self._slot = slot
        self._used = estimate
        self._usd = 0.0
        self._is_usage_known = False
        self._result: RequestResult = "succeeded"
        self._retry_after: float | None = None
        self._overloaded = False

    def record_usage(self, input_tokens: int, output_tokens: int, usd: float = 0.0) -> None:
        """Replace the estimate by what the request really took."""
        self._used = Amounts(input_tokens, output_tokens)
        self._usd = usd
        self._is_usage_known = True

    def record_refusal(self, retry_after: float | None) -> None:
        """The service said 429 or 503 and took nothing: all callers wait for ``retry_after``
        seconds (None: one second), and fewer requests are sent at once."""
        self.record_usage(0, 0)
        self._result = "refused"
        self._retry_after = retry_after

    def record_failure(self, overloaded: bool = False) -> None:
        """The service said 5xx, timed out or did not accept the connection; ``overloaded`` where
        fewer requests at once may help (a time-out)."""
        self._result = "failed"
        self._overloaded = overloaded

    def record_exception(self) -> None:
        """The block was left by an exception."""
        if self._result == "succeeded" and not self._is_usage_known:
            self._result = "unknown"

    @property
    def outcome(self) -> Outcome:
        """What is known about the request."""
        return Outcome(
            self._slot, self._used, self._result, self._retry_after, self._overloaded, self._usd
        )

    @property
    def spend(self) -> Spend:
        """What the request took of a budget."""
        return Spend(sum(self._used), self._usd)


class Gate:
    """The gate of one ``service`` (a host, or a host and a path) for one ``secret`` (an API key;
    only its hash is kept). Metrics show it under ``display_name``, which several services may
    share. Cheap to make, and may be pickled."""

    def __init__(
        self, service: str, limits: Limits, *, secret: str = "", display_name: str = ""
    ) -> None:
        secret_hash = hashlib.sha256(secret.encode()).hexdigest()
        digest = hashlib.sha256(f"{service}\n{secret_hash}".encode()).hexdigest()
        # The secret counts, because services limit each key by itself; its hash may be sent and
        # shown.
        key = digest[:_KEY_CHARACTERS]
        self._service = GovernedService(key, display_name or service, limits)

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
        client = get_governor_client()
        # The budget comes first: a request that it does not cover must not use up a slot.
        if charge is not None:
            await client.reserve(charge)
        permit = None
        try:
            estimate = Amounts(input_tokens, output_tokens)
            permit = Permit(await client.acquire(self._service, estimate), estimate)
            yield permit
        # Also when the caller is cancelled: the lease and the reservation have to go back.
        except BaseException:
            if permit is not None:
                permit.record_exception()
            raise
        finally:
            if permit is not None:
                client.finish(self._service, permit.outcome)
            if charge is not None:
                client.settle(charge, permit.spend if permit is not None else Spend())
