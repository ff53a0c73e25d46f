"""What each role used of each model, counted over all processes and restarts of a run."""

from collections.abc import Mapping
from typing import NamedTuple


class RoleUsage(NamedTuple):
    """What was used: ``requests`` that were answered and ``failed`` ones, answers taken from the
    ``cached`` ones, tokens and US dollars of both, and the ``seconds`` that requests were open, all
    added up. Requests are open beside each other, so that this is more than the time they took."""

    requests: int = 0
    failed: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    def plus(self, other: "RoleUsage") -> "RoleUsage":
        return RoleUsage._make(own + more for own, more in zip(self, other, strict=True))

    def minus(self, other: "RoleUsage") -> "RoleUsage":
        return RoleUsage._make(own - less for own, less in zip(self, other, strict=True))


# Of a run, by (role, model).
UsageByRole = Mapping[tuple[str, str], RoleUsage]


def subtract_usage(now: UsageByRole, before: UsageByRole) -> dict[tuple[str, str], RoleUsage]:
    """What was used since ``before``, without what was not."""
    since = {key: usage.minus(before.get(key, RoleUsage())) for key, usage in now.items()}
    return {key: usage for key, usage in since.items() if usage != RoleUsage()}
