"""Decides when failures that follow each other have one cause, so that to go on is of no use.

One bad row fails and others do not; an endpoint that is gone fails every row in the same words.
Only the second stops a stage.
"""

import re

from medr_ray.core.errors import InfrastructureError

# Each of them was tried several times already, over half a minute and more.
MAX_IDENTICAL_FAILURES = 10
# What fails at one address has one cause, whether the connection or the circuit breaker says so.
_ADDRESS = re.compile(r"https?://[^\s,;'\")]+")
# Seconds, counts and turns differ between failures of one cause.
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class FailureStreak:
    """Counts identical failures in a row. ``work`` says in the plural what fails ("rollouts")."""

    def __init__(self, work: str, limit: int = MAX_IDENTICAL_FAILURES) -> None:
        self._work = work
        self._limit = limit
        self._cause = ""
        self._reason = ""
        self._count = 0

    def record_success(self) -> None:
        self._count = 0

    def record_failure(self, reason: str) -> None:
        """Count a failure, which ``reason`` explains in one sentence."""
        cause = identify_cause(reason)
        self._count = self._count + 1 if cause == self._cause else 1
        self._cause = cause
        self._reason = reason

    def require_hope(self) -> None:
        """Raise InfrastructureError when so many failures in a row had the same cause that the next
        would have it as well."""
        if self._count >= self._limit:
            raise InfrastructureError(
                f"{self._count} {self._work} in a row failed for the same reason: {self._reason}"
            )


def identify_cause(reason: str) -> str:
    """What failures of one cause have in common: the address that they name, else their words
    without figures."""
    address = _ADDRESS.search(reason)
    return address[0] if address else _NUMBER.sub("#", reason)
