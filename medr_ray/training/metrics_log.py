"""Metric rows on their way from rank 0 to the driver's progress bar.

Ray Train gives the driver nothing before ``fit`` returns, so the rows pass through an actor. What
is kept of a run is not read from here: rank 0 writes the metric files itself.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol

MetricRow = dict[str, Any]


def replace_infinite(value: Any) -> Any:
    """A row, or a value of one, with null for numbers that are not finite: JSON has none of
    these."""
    if isinstance(value, Mapping):
        return {field: replace_infinite(item) for field, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class MetricsLog(Protocol):
    """Where rank 0 reports its progress."""

    def add_row(self, row: MetricRow) -> None:
        """Report a step or update; ``number`` in the row counts from 1."""
        ...


class _RowStore:
    """The actor's side: all rows of one training run."""

    def __init__(self) -> None:
        self._rows: list[MetricRow] = []
        self._stop_reason: str | None = None

    def add_row(self, row: MetricRow) -> None:
        self._rows.append(row)

    def rows_from(self, start: int) -> list[MetricRow]:
        return self._rows[start:]

    def stop(self, reason: str) -> None:
        # The first is the cause of those that other workers give.
        if self._stop_reason is None:
            self._stop_reason = reason

    def stop_reason(self) -> str | None:
        return self._stop_reason


class ActorMetricsLog:
    """A log in an actor. It may be sent to other processes and lives as long as the driver's."""

    def __init__(self) -> None:
        import ray

        # No CPU: the workers may have reserved every one there is.
        self._store: Any = ray.remote(_RowStore).options(num_cpus=0).remote()

    def add_row(self, row: MetricRow) -> None:
        """Report a row without waiting until the actor has it."""
        self._store.add_row.remote(row)

    def rows_from(self, start: int) -> list[MetricRow]:
        """The rows behind the first ``start``, in the order they came."""
        import ray

        return ray.get(self._store.rows_from.remote(start))

    def stop(self, reason: str) -> None:
        """Say why the training is not to be started again; on the record when this returns."""
        import ray

        ray.get(self._store.stop.remote(reason))

    def stop_reason(self) -> str | None:
        """Why the training is not to be started again; None where it may be."""
        import ray

        reason: str | None = ray.get(self._store.stop_reason.remote())
        return reason
