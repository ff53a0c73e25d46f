"""Budgets that no request may exceed: what is spent plus the estimates of the requests in flight
stays within the limits."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from medr_ray.core.errors import MedrError

_REMEDY = "Raise the budget to go on; finished answers are kept."


class BudgetExceeded(MedrError):
    """The run's budget does not cover the next request. Nothing more is sent."""


class Spend(NamedTuple):
    """An amount of tokens and US dollars."""

    tokens: int = 0
    usd: float = 0.0

    def plus(self, other: "Spend") -> "Spend":
        return Spend(self.tokens + other.tokens, self.usd + other.usd)

    def minus(self, other: "Spend") -> "Spend":
        """The difference, not below zero."""
        return Spend(max(0, self.tokens - other.tokens), max(0.0, self.usd - other.usd))


_ZERO = Spend()


@dataclass(frozen=True)
class Budget:
    """The budget called ``name``: limits for tokens and US dollars (None: unlimited), and what
    earlier runs ``spent`` of it."""

    name: str
    tokens: int | None = None
    usd: float | None = None
    spent: Spend = _ZERO


class Charge(NamedTuple):
    """The most that a request can take of a budget."""

    budget: Budget
    estimate: Spend


@dataclass
class BudgetLedger:
    """How much of a budget finished requests have ``spent``, and how much each client has
    ``reserved`` for requests in flight."""

    spent: Spend
    reserved: dict[str, Spend] = field(default_factory=dict)

    def reserve(self, client_id: str, charge: Charge, already_reserved: Spend = _ZERO) -> str:
        """Reserve a request's estimate. Returns "", or the reason for refusing it when the budget
        does not cover it.

        ``already_reserved`` is what the client has in flight. It is used if this ledger does not
        know the client yet, because the governor was replaced.
        """
        budget, estimate = charge
        own = self.reserved.get(client_id, already_reserved)
        others = (spend for other, spend in self.reserved.items() if other != client_id)
        in_flight = _sum_spends(others).plus(own)
        refusal = self._explain_refusal(budget, in_flight, estimate)
        if not refusal:
            self.reserved[client_id] = own.plus(estimate)
        return refusal

    def _explain_refusal(self, budget: Budget, in_flight: Spend, estimate: Spend) -> str:
        total = self.spent.plus(in_flight).plus(estimate)
        if budget.tokens is not None and total.tokens > budget.tokens:
            return (
                f"budget_tokens = {budget.tokens:,}: {self.spent.tokens:,} tokens are spent, "
                f"{in_flight.tokens:,} in flight, and the next request needs up to "
                f"{estimate.tokens:,}. {_REMEDY}"
            )
        if budget.usd is not None and total.usd > budget.usd:
            return (
                f"budget_usd = {budget.usd:g}: {self.spent.usd:.4f} US dollars are spent, "
                f"{in_flight.usd:.4f} in flight, and the next request costs up to "
                f"{estimate.usd:.4f}. {_REMEDY}"
            )
        return ""

    def settle(self, client_id: str, reserved: Spend, used: Spend) -> None:
        """Replace a reservation by what was used."""
        # A governor that was restarted may not know the reservation, hence the lower bound of
        # ``minus``.
        self.reserved[client_id] = self.reserved.get(client_id, _ZERO).minus(reserved)
        self.spent = self.spent.plus(used)

    def write_off_client(self, client_id: str) -> None:
        """Count what a client that died had in flight as spent, because it may have been."""
        self.spent = self.spent.plus(self.reserved.pop(client_id, _ZERO))


def _sum_spends(spends: Iterable[Spend]) -> Spend:
    total = _ZERO
    for spend in spends:
        total = total.plus(spend)
    return total
