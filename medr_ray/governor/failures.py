"""The governor's own failures, and how long a service asks to be left alone."""

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from medr_ray.core.errors import InfrastructureError

LONGEST_PAUSE = 600.0  # seconds; an endpoint that asks for more is as good as down


class CircuitOpen(InfrastructureError):
    """The service only failed lately and is left alone; ``seconds`` until it is tried again."""

    def __init__(self, service: str, seconds: float) -> None:
        super().__init__(
            f"{service} only failed lately and is left alone: it will be tried again in {seconds:.1f} s"
        )
        self.service, self.seconds = service, seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return CircuitOpen, (self.service, self.seconds)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the endpoint asks to wait (``retry-after-ms``, ``retry-after`` as seconds or date),
    or None."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    try:
        moment = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, OverflowError):
        return None
    return max(
        0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    )
