"""Budgets as a hard stop: what is spent and what is in flight never exceed a limit by estimate."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from medr_ray.core.errors import MedrError


class BudgetExceeded(MedrError):
    """The run's budget does not cover the next request. Nothing more is sent."""


class Spend(NamedTuple):
    """Tokens, and US dollars."""

    tokens: int = 0
    usd: float = 0.0

    def plus(self, other: "Spend") -> "Spend":
        return Spend(self.tokens + other.tokens, self.usd + other.usd)

    def minus(self, other: "Spend") -> "Spend":
        """Never below nothing."""
        return Spend(max(0, self.tokens - other.tokens), max(0.0, self.usd - other.usd))


_NOTHING = Spend()
_REMEDY = "Raise the budget to go on; finished answers are kept."


@dataclass(frozen=True)
class Budget:
    """The budget called ``name``: limits for tokens and US dollars (None: none), and what earlier
    runs ``spent``."""

    name: str
    tokens: int | None = None
    usd: float | None = None
    spent: Spend = _NOTHING


class Charge(NamedTuple):
    """The ``most`` that a request can take of a budget."""

    budget: Budget
    most: Spend


@dataclass
class Purse:
    """What is ``spent`` of a budget by requests that are over, and ``reserved`` by client for those
    in flight."""

    spent: Spend
    reserved: dict[str, Spend] = field(default_factory=dict)

    def reserve(self, client: str, charge: Charge, before: Spend = _NOTHING) -> str:
        """Set the estimate of a request aside. The reason why not, where its budget does not cover
        it; else empty.

        ``before`` is what the client has in flight, for a purse that does not know it."""
        budget, amount = charge
        mine = self.reserved.get(client, before)
        in_flight = _sum(one for other, one in self.reserved.items() if other != client).plus(mine)
        after = self.spent.plus(in_flight).plus(amount)
        if budget.tokens is not None and after.tokens > budget.tokens:
            return (
                f"budget_tokens = {budget.tokens:,}: {self.spent.tokens:,} tokens are spent, {in_flight.tokens:,} "
                f"in flight, and the next request needs up to {amount.tokens:,}. {_REMEDY}"
            )
        if budget.usd is not None and after.usd > budget.usd:
            return (
                f"budget_usd = {budget.usd:g}: {self.spent.usd:.4f} US dollars are spent, {in_flight.usd:.4f} in "
                f"flight, and the next request costs up to {amount.usd:.4f}. {_REMEDY}"
            )
        self.reserved[client] = mine.plus(amount)
        return ""

    def settle(self, client: str, reserved: Spend, used: Spend) -> None:
        """Replace a reservation by what was really used."""
        self.reserved[client] = self.reserved.get(client, _NOTHING).minus(reserved)
        self.spent = self.spent.plus(used)

    def died(self, client: str) -> None:
        """What a client that died had in flight counts as spent: it may have been."""
        self.spent = self.spent.plus(self.reserved.pop(client, _NOTHING))


def _sum(parts: Iterable[Spend]) -> Spend:
    total = _NOTHING
    for one in parts:
        total = total.plus(one)
    return total
