"""Metric rows on their way from rank 0 to the driver's progress bar.

Ray Train gives the driver nothing before ``fit`` returns, so the rows pass through an actor, which
has each of them until the driver takes it. Rank 0 writes the metric files itself.
"""

from typing import Any, Protocol

from medr_ray.training.metric_rows import MetricRow


class MetricsLog(Protocol):
    """Where rank 0 reports its progress."""

    def add_row(self, row: MetricRow) -> None:
        """Report a step or update; ``number`` in the row counts from 1."""
        ...


class _RowStore:
    """The actor's side: rows that the driver has not taken yet."""

    def __init__(self) -> None:
        self._rows: list[MetricRow] = []
        self._failures: list[str] = []
        self._stop_reason: str | None = None

    def add_row(self, row: MetricRow) -> None:
        self._rows.append(row)

    def take_rows(self) -> list[MetricRow]:
        rows, self._rows = self._rows, []
        return rows

    def add_failure(self, failure: str) -> None:
        self._failures.append(failure)

    def take_failures(self) -> list[str]:
        failures, self._failures = self._failures, []
        return failures

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

    def take_rows(self) -> list[MetricRow]:
        """The rows that came since the last call, in their order."""
        import ray

        return ray.get(self._store.take_rows.remote())

    def add_failure(self, failure: str) -> None:
        """Report what ended a worker that is started again; on the record when this returns."""
        import ray

        ray.get(self._store.add_failure.remote(failure))

    def take_failures(self) -> list[str]:
        """The failures that came since the last call, in their order."""
        import ray

        failures: list[str] = ray.get(self._store.take_failures.remote())
        return failures

    def stop(self, reason: str) -> None:
        """Say why the training is not to be started again; on the record when this returns."""
        import ray

        ray.get(self._store.stop.remote(reason))

    def stop_reason(self) -> str | None:
        """Why the training is not to be started again; None where it may be."""
        import ray

        reason: str | None = ray.get(self._store.stop_reason.remote())
        return reason
