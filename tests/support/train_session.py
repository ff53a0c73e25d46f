"""Ray Train's part of a training loop with one worker, without Ray: the loop runs in this process
and its checkpoints are kept in a folder."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.train


class TrainSession:
    """Rank 0 of 1. ``resume_from`` is the checkpoint that the loop finds when it starts."""

    def __init__(self, folder: Path, resume_from: Path | None = None) -> None:
        self._folder = folder
        self._resume_from = resume_from
        self.checkpoints: list[Path] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of ``ray.train``'s functions until the test ends."""
        monkeypatch.setattr(ray.train, "get_context", lambda: self)
        monkeypatch.setattr(ray.train, "get_checkpoint", self._get_checkpoint)
        monkeypatch.setattr(ray.train, "report", self._report)

    def get_world_rank(self) -> int:
        return 0

    def get_world_size(self) -> int:
        return 1

    def _get_checkpoint(self) -> ray.train.Checkpoint | None:
        if self._resume_from is None:
            return None
        return ray.train.Checkpoint.from_directory(str(self._resume_from))

    def _report(self, metrics: dict[str, Any], checkpoint: ray.train.Checkpoint) -> None:
        target = self._folder / f"checkpoint-{len(self.checkpoints)}"
        shutil.copytree(checkpoint.path, target)
        self.checkpoints.append(target)


class ProcessTrainer:
    """Takes the place of ``TorchTrainer`` for one worker, whose loop runs in this process."""

    def __init__(
        self,
        worker: Callable[[dict[str, Any]], None],
        train_loop_config: dict[str, Any],
        scaling_config: ray.train.ScalingConfig,
        run_config: ray.train.RunConfig,
    ) -> None:
        assert scaling_config.num_workers == 1
        assert run_config.name == "train"
        self._worker = worker
        self._settings = train_loop_config

    def fit(self) -> None:
        self._worker(self._settings)
