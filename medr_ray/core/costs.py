"""What a stage would cost to make again, and what its language models would use, as an estimate
before anything is sent.

An estimate is made from counts of the run's own stages where they are finished, else from an upper
bound of the configuration; it says which.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.core.config import EndpointConfig
from medr_ray.core.config.roles import RoleName

# Bytes of a token. Tokenisers of today's models make a token of four letters of English prose, and
# of about one Chinese character, which has three bytes.
_ASCII_BYTES_PER_TOKEN = 4
_OTHER_BYTES_PER_TOKEN = 3
# Output tokens that a hosted model writes in a second to one request, as providers state them for
# models of middle size; with it ``concurrency`` becomes a rate.
_TOKENS_PER_SECOND = 40


@dataclass(frozen=True)
class ModelCost:
    """What a role's model would use: requests, tokens, and how that was estimated.

    ``most_requests`` and ``most_tokens`` are bounds for a run in which everything is asked as often
    as it can be; 0 where there is no other than the estimate.
    """

    role: RoleName
    endpoint: EndpointConfig
    requests: int
    input_tokens: int
    output_tokens: int
    basis: str
    most_requests: int = 0
    most_tokens: int = 0

    @property
    def usd(self) -> float | None:
        """US dollars, None where the endpoint's prices are not set."""
        input_price = self.endpoint.usd_per_million_input
        output_price = self.endpoint.usd_per_million_output
        if input_price is None or output_price is None:
            return None
        return (self.input_tokens * input_price + self.output_tokens * output_price) / 1e6

    @property
    def limits(self) -> dict[str, float]:
        """Minutes that each limit of the endpoint alone would make of it, by the setting."""
        endpoint = self.endpoint
        seconds_of_writing = self.output_tokens / _TOKENS_PER_SECOND
        minutes = {
            "requests_per_minute": self.requests / endpoint.requests_per_minute,
            "concurrency": seconds_of_writing / endpoint.concurrency / 60,
        }
        amounts = {
            "tokens_per_minute": self.input_tokens + self.output_tokens,
            "input_tokens_per_minute": self.input_tokens,
            "output_tokens_per_minute": self.output_tokens,
        }
        for setting, tokens in amounts.items():
            limit = getattr(endpoint, setting)
            # None: the endpoint has no such limit.
            if limit:
                minutes[setting] = tokens / limit
        return minutes

    @property
    def minutes(self) -> float:
        """Minutes at the endpoint's rates."""
        return max(self.limits.values())

    def describe(self) -> str:
        """A line for ``--dry-run``."""
        limits = self.limits
        slowest = max(limits, key=lambda setting: limits[setting])
        usd = self.usd
        price = "no price set" if usd is None else f"{usd:,.2f} USD"
        bounds = ""
        if self.most_requests > self.requests:
            bounds = f"; at most {self.most_requests:,} requests and {self.most_tokens:,} tokens"
        return (
            f"{self.role} by {self.endpoint.model or 'a model without a name'}: about "
            f"{self.requests:,} requests, {self.input_tokens:,} input and "
            f"{self.output_tokens:,} output tokens, {price}, {self.minutes:,.0f} min by "
            f"{slowest}{bounds} (from {self.basis})"
        )


@dataclass(frozen=True)
class StageCost:
    """What a stage would cost to make again: the ``product`` that is not lightly made anew
    ("trained weights"), "" where that is only machine time, and what its models would use."""

    product: str = ""
    models: tuple[ModelCost, ...] = ()


def describe_total(costs: Sequence[ModelCost]) -> str:
    """What several roles would use together. Their stages run one after another, so that minutes
    add up."""
    prices = [cost.usd for cost in costs]
    priced = [price for price in prices if price is not None]
    usd = f"{sum(priced):,.2f} USD" if priced else "no price set"
    if priced and len(priced) < len(prices):
        usd += f" and {len(prices) - len(priced)} without a price"
    requests = sum(cost.requests for cost in costs)
    tokens = sum(cost.input_tokens + cost.output_tokens for cost in costs)
    minutes = sum(cost.minutes for cost in costs)
    return f"about {requests:,} requests, {tokens:,} tokens, {usd}, {minutes:,.0f} min"


def count_tokens(text: str) -> int:
    """About how many tokens a model makes of a text."""
    size = len(text.encode(errors="replace"))
    letters = sum(character.isascii() for character in text)
    other_bytes = size - letters
    return math.ceil(letters / _ASCII_BYTES_PER_TOKEN + other_bytes / _OTHER_BYTES_PER_TOKEN)
