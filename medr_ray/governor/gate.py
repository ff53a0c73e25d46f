"""The gate through which all network calls to models, live sources, web search and web pages go.

All callers in a Ray cluster (or in one process, without Ray) that use the same service and secret
share its limits. No window ever exceeds them. No request is sent during a pause that the service
asked for. After repeated failures the service is left alone for a while, then tried with a single
request.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from medr_ray.governor.actor import get_governor_client
from medr_ray.governor.budget import Charge, Spend
from medr_ray.governor.limits import Amounts, GovernedService, Limits
from medr_ray.governor.protocol import Outcome, RequestResult, Slot

__all__ = ["Gate", "Limits", "Permit"]

_ADDRESS = re.compile(r"://(?:[^/?#\s]*@)?(?P<host>[^/?#\s@]+)")
_KEY_CHARACTERS = 16  # of a SHA-256 digest in hexadecimal: 64 bits are enough for distinct keys


class Permit:
    """Permission for one request.

    If the ``async with`` block ends without a record, the request counts as succeeded and as using
    what was estimated. If an exception leaves the block and neither usage nor a result was
    recorded, the result of the request counts as unknown.
    """

    def __init__(self, slot: Slot, estimate: Amounts) -> None:
        self._slot = slot
        self._usage = estimate
        self._usd = 0.0
        self._is_usage_known = False
        self._result: RequestResult = "succeeded"
        self._retry_after: float | None = None
        self._overloaded = False

    def record_usage(self, input_tokens: int, output_tokens: int, usd: float = 0.0) -> None:
        """Replace the estimate by what the request used."""
        self._usage = Amounts(input_tokens, output_tokens)
        self._usd = usd
        self._is_usage_known = True

    def record_refusal(self, retry_after: float | None) -> None:
        """Record that the service refused the request (429 or 503) and used no tokens.

        All callers then wait for ``retry_after`` seconds (None: one second), and fewer requests are
        sent at once.
        """
        self.record_usage(0, 0)
        self._result = "refused"
        self._retry_after = retry_after

    def record_failure(self, overloaded: bool = False) -> None:
        """Record that the service replied with 5xx, timed out or accepted no connection.

        Set ``overloaded`` if sending fewer requests at once may help, as after a time-out.
        """
        self._result = "failed"
        self._overloaded = overloaded

    def record_exception(self) -> None:
        """Record that an exception left the block."""
        if self._result == "succeeded" and not self._is_usage_known:
            self._result = "unknown"

    @property
    def outcome(self) -> Outcome:
        """What is known about the request."""
        return Outcome(
            slot=self._slot,
            used=self._usage,
            result=self._result,
            retry_after=self._retry_after,
            overloaded=self._overloaded,
            usd=self._usd,
        )

    @property
    def spend(self) -> Spend:
        """How much of a budget the request used."""
        return Spend(self._usage.input_tokens + self._usage.output_tokens, self._usd)


class Gate:
    """The gate of one ``service`` (a name or an address) for one ``secret`` (an API key).

    Metrics and errors display it under ``display_name``, which several services may share; without
    one, an address is displayed as its host. A gate is cheap to
    create and can be pickled.
    """

    def __init__(
        self, service: str, limits: Limits, *, secret: str = "", display_name: str = ""
    ) -> None:
        secret_hash = hashlib.sha256(secret.encode()).hexdigest()
        digest = hashlib.sha256(f"{service}\n{secret_hash}".encode()).hexdigest()
        # The secret is part of the key because services limit each API key separately. Only its
        # hash is ever sent or displayed.
        key = digest[:_KEY_CHARACTERS]
        self._service = GovernedService(key, display_name or _find_host(service), limits)

    @asynccontextmanager
    async def permit(
        self,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        charge: Charge | None = None,
    ) -> AsyncIterator[Permit]:
        """Wait until a request may be sent that uses at most this many tokens, and at most
        ``charge`` of a budget.

        Raises CircuitOpen (an InfrastructureError) while the service is left alone after repeated
        failures, and BudgetExceeded without waiting when the budget does not cover the request.
        """
        client = get_governor_client()
        # The budget comes first: a request that it does not cover must not use up a slot.
        if charge is not None:
            await client.reserve(charge)
        permit = None
        try:
            estimate = Amounts(input_tokens, output_tokens)
            permit = Permit(await client.acquire(self._service, estimate), estimate)
            yield permit
        # BaseException includes the cancellation of the caller.
        except BaseException:
            if permit is not None:
                permit.record_exception()
            raise
        finally:
            # ``finish`` and ``settle`` do not wait for the governor: an await here could be
            # cancelled like the caller, and the lease and the reservation would be lost.
            if permit is not None:
                client.finish(self._service, permit.outcome)
            if charge is not None:
                client.settle(charge, permit.spend if permit is not None else Spend())


def _find_host(service: str) -> str:
    """The host and port of a service's address; a service without an address keeps its name.

    Paths may hold tokens, and labels of metrics are shown to everyone.
    """
    address = _ADDRESS.search(service)
    return address["host"] if address else service
