"""Ray Train's part of a training loop with one worker, without Ray: the loop runs in this
process."""

from collections.abc import Callable
from typing import Any

import pytest
import ray.train


class TrainSession:
    """Rank 0 of 1. ``reports`` are the metrics that the loop reported at its checkpoints."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of ``ray.train``'s functions until the test ends."""
        monkeypatch.setattr(ray.train, "report", self._report)

    def _report(self, metrics: dict[str, Any]) -> None:
        self.reports.append(metrics)


class ProcessTrainer:
    """Takes the place of ``TorchTrainer`` for one worker, whose loop runs in this process."""

    def __init__(
        self,
        train: Callable[[], None],
        scaling_config: ray.train.ScalingConfig,
        run_config: ray.train.RunConfig,
    ) -> None:
        assert scaling_config.num_workers == 1
        assert run_config.name == "train"
        self._train = train

    def fit(self) -> None:
        self._train()
