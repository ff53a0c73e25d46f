"""Checkpoints of a training run: the backend's tensors and the state of the loop.

The state is the loop's step and its history of metrics, so a resumed run continues both.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import ray

from medr_ray.core.json_text import parse_json
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.collectives import get_rank_and_world_size

_STATE_FILE = "state.json"  # the state of the loop, inside a checkpoint


def save_checkpoint(
    backend: TrainerBackend, state: dict[str, Any], metrics: dict[str, Any]
) -> None:
    """Report metrics and a checkpoint to Ray Train. Every worker must call this.

    The ``state`` of rank 0 is written as JSON; that of other workers is not used. Every worker adds
    its own files to the checkpoint, because under ZeRO each has a part of the optimiser state.
    """
    rank, _ = get_rank_and_world_size()
    with tempfile.TemporaryDirectory() as folder:
        backend.save(Path(folder))
        if rank == 0:
            (Path(folder) / _STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def load_checkpoint(backend: TrainerBackend) -> dict[str, Any] | None:
    """Load the tensors of the latest checkpoint and return its state; None at a fresh start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        backend.load(Path(folder))
        state = Path(folder) / _STATE_FILE
        return parse_json(state.read_bytes(), str(state), finite=False)
