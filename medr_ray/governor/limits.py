"""The limits of a service, and how precisely requests must be timed to respect them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_JITTER_SHARE = 0.005  # of the window's length
_MIN_JITTER = 0.016  # seconds, for windows so short that the share says nothing


@dataclass(frozen=True)
class Limits:
    """What a service allows: amounts in any ``seconds`` (None: unlimited), and ``concurrency``
    requests in flight at once.

    ``tokens`` bounds input and output together. Fractions of requests are rounded to whole
    requests: of 2.5 requests 2 are used, and 0.5 requests mean one in twice the ``seconds``.
    """

    requests: float | None
    seconds: float = 60.0
    input_tokens: float | None = None
    output_tokens: float | None = None
    concurrency: int = 8
    tokens: float | None = None

    @cached_property
    def is_metered(self) -> bool:
        """Whether anything but the concurrency is bounded, so that requests need time slots."""
        return self.requests is not None or self.is_sized

    @cached_property
    def is_sized(self) -> bool:
        """Whether tokens are bounded, so that requests differ in what they take."""
        token_limits = (self.input_tokens, self.output_tokens, self.tokens)
        return any(limit is not None for limit in token_limits)

    @property
    def request_window(self) -> tuple[int, float]:
        """(most requests, seconds) in whole requests."""
        requests = 1.0 if self.requests is None else self.requests
        if requests >= 1:
            return math.floor(requests), self.seconds
        # Less than one request in the window means one request in a longer window.
        return 1, self.seconds / requests


def arrival_jitter(seconds: float) -> float:
    """Seconds by which the travel times of two requests to a service may differ, for a limit per
    ``seconds``. The rate limiter keeps its windows longer by this much."""
    return max(_JITTER_SHARE * seconds, _MIN_JITTER)


def min_slot_seconds(seconds: float) -> float:
    """Seconds for which a slot is valid at least, under a limit per ``seconds``.

    A request may be sent at any moment of its slot and counts as if sent at the slot's end, so a
    longer validity costs a share of the rate.
    """
    return arrival_jitter(seconds)


class Amounts(NamedTuple):
    """The most tokens that a request can take."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class GovernedService:
    """A service with its limits. ``key`` is a hash of its name and secret and identifies it,
    ``name`` is what metrics and errors show."""

    key: str
    name: str
    limits: Limits
