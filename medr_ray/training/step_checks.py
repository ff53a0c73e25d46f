"""Counts optimiser steps that were skipped, because their loss or gradient was not finite, and ends
a run that skips too many in a row."""

from collections.abc import Sequence

from medr_ray.core.errors import DataError
from medr_ray.training.metric_rows import MetricRow

# Single batches overflow now and then. After three in a row the weights themselves have diverged,
# and no later batch would mend them.
_MAX_SKIPPED_IN_A_ROW = 3


def count_skipped_steps(history: Sequence[MetricRow]) -> int:
    """How many steps of ``history`` were not applied."""
    return sum(row["applied"] is False for row in history)


def require_applied_steps(history: Sequence[MetricRow], section: str, total: int) -> None:
    """Raise DataError where the last steps of ``history`` were all skipped. ``section`` is the
    stage's in the configuration, ``total`` the number of steps of the whole training."""
    # A training of fewer steps is not to end well with none of them applied.
    limit = min(_MAX_SKIPPED_IN_A_ROW, total)
    if count_skipped_steps(history[-limit:]) < limit:
        return
    raise DataError(
        f"{section}: the loss or its gradient was not finite in {limit} steps in a row (the last "
        f"is number {len(history)}), so the training has diverged. These steps were not applied, "
        f"and the last two checkpoints are as they were. Lower {section}.optimiser.learning_rate "
        f"or {section}.optimiser.clip_norm, or raise {section}.optimiser.warmup_steps; with a "
        "changed setting the stage begins anew"
    )
