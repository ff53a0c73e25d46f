"""The governor's own failures, and how long a service asks to be left alone."""

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from medr_ray.core.errors import InfrastructureError

MAX_PAUSE_SECONDS = 600.0  # an endpoint that asks for a longer pause is as good as down


class CircuitOpen(InfrastructureError):
    """The service failed repeatedly and is left alone for another ``seconds``."""

    def __init__(self, service: str, seconds: float) -> None:
        super().__init__(
            f"{service} only failed lately and is left alone: "
            f"it will be tried again in {seconds:.1f} s"
        )
        self.service = service
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are unpickled from their message alone, which does not fit __init__ here.
        return CircuitOpen, (self.service, self.seconds)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait, or None where it does not say.

    Reads ``retry-after-ms`` (sent by OpenAI and Azure) and ``retry-after`` as seconds or as a date
    (RFC 9110, section 10.2.3).
    """
    for name, units_per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / units_per_second)
        except (KeyError, ValueError):
            continue
    try:
        moment = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, OverflowError):
        return None
    # A date without a zone is parsed as naive; HTTP dates are in UTC.
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
