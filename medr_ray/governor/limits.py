"""What a service allows, and how exactly times have to be kept for it."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_SHARE, _LEAST = 0.005, 0.016  # of a window, and in seconds


@dataclass(frozen=True)
class Limits:
    """What a service allows: amounts in any ``seconds`` (None: any number), and requests in flight
    at once. ``tokens`` bounds input and output together. Of 2.5 requests 2 are used; 0.5 requests
    mean one in twice the ``seconds``."""

    requests: float | None
    seconds: float = 60.0
    input_tokens: float | None = None
    output_tokens: float | None = None
    concurrency: int = 8
    tokens: float | None = None

    @cached_property
    def metered(self) -> bool:
        """Whether anything but the concurrency is bounded."""
        return any(
            one is not None
            for one in (self.requests, self.input_tokens, self.output_tokens, self.tokens)
        )

    @cached_property
    def sized(self) -> bool:
        """Whether requests differ in what they take."""
        return any(one is not None for one in (self.input_tokens, self.output_tokens, self.tokens))

    @property
    def window(self) -> tuple[int, float]:
        """(most requests, seconds) as whole requests."""
        requests = 1.0 if self.requests is None else self.requests
        return (
            (math.floor(requests), self.seconds) if requests >= 1 else (1, self.seconds / requests)
        )


def tolerance(seconds: float) -> float:
    """Seconds by which the ways that requests take to a service may differ, under a limit per
    ``seconds``."""
    return max(_SHARE * seconds, _LEAST)


def slack(seconds: float) -> float:
    """Seconds that a request may at least be sent later than it was planned for. Each costs a share
    of the rate."""
    return tolerance(seconds)


class Amounts(NamedTuple):
    """Tokens a request takes at most."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Service:
    """A service as the governor knows it: ``key`` stands for its name and secret, ``name`` is
    shown."""

    key: str
    name: str
    limits: Limits
