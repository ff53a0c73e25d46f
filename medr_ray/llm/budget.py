"""A token budget as a hard stop: what is spent and what is in flight never exceed the limit by estimate."""

from dataclasses import dataclass

from medr_ray.core.errors import MedrError


class BudgetExceeded(MedrError):
    """The run's token budget does not cover the next request. Nothing more is sent."""


@dataclass
class TokenBudget:
    """Tokens ``spent`` by answered requests and ``reserved`` by those in flight."""

    spent: int = 0
    reserved: int = 0

    def reserve(self, tokens: int, limit: int | None) -> None:
        """Set tokens aside for a request; raises BudgetExceeded when ``limit`` does not cover them."""
        if limit is not None and self.spent + self.reserved + tokens > limit:
            raise BudgetExceeded(
                f"budget_tokens = {limit:,}: {self.spent:,} tokens are spent, {self.reserved:,} in flight, and the "
                f"next request needs up to {tokens:,}. Raise the budget to go on; finished answers are kept."
            )
        self.reserved += tokens

    def settle(self, reserved: int, used: int) -> None:
        """Replace a reservation by what was really used."""
        self.reserved -= reserved
        self.spent += used
