"""What the workers of the checkpoint and export tests do. Each function runs on every worker of a
gang."""

import ctypes
import gc
from pathlib import Path
from typing import Any

import torch
from support.backend_work import backpropagate, open_backend, read_state
from support.live_tensors import LiveTensors
from support.peak_memory import PeakMemory

from medr_ray.core.run import Directory
from medr_ray.training.checkpoints import load_checkpoint, save_checkpoint
from medr_ray.training.export import save_model

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of mallopt


def train_and_save(
    model_dir: Path, folder: Path, settings: dict[str, Any]
) -> dict[str, torch.Tensor]:
    """Save a checkpoint after two steps; returns the whole state."""
    backend = open_backend(model_dir, **settings)
    for _ in range(2):
        backpropagate(backend)
        assert backend.step(1e-3).applied
    save_checkpoint(backend, Directory(str(folder)), 2, {"step": 2})
    return read_state(backend)


def load_saved(
    model_dir: Path, folder: Path, settings: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, torch.Tensor]]:
    """(the loop's state, the whole state of a new backend) from the newest checkpoint."""
    backend = open_backend(model_dir, **settings)
    state = load_checkpoint(backend, Directory(str(folder)))
    return state, read_state(backend)


def fail_to_save(model_dir: Path, folder: Path, settings: dict[str, Any], rank: int) -> str:
    """The error of a checkpoint that worker ``rank`` cannot write."""
    import torch.distributed as dist

    backend = open_backend(model_dir, **settings)
    if dist.get_rank() == rank:
        Directory._flush_to_disk = _refuse  # type: ignore[method-assign]
    try:
        save_checkpoint(backend, Directory(str(folder)), 4, {"step": 4})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def measure_export(
    model_dir: Path, target: Path, settings: dict[str, Any], limit: int
) -> dict[str, int]:
    """What this worker holds of its own while the model is saved in buckets of ``limit`` bytes: the
    most bytes of ``tensors``, and the ``growth`` of its memory."""
    backend = open_backend(model_dir, **settings)
    # Counted in the first of two saves; libraries fetch their memory meanwhile.
    with LiveTensors() as tensors:
        save_model(backend, model_dir, target, max_bytes=limit)
    gc.collect()
    libc = ctypes.CDLL("libc.so.6")
    # Larger pieces are given back to the system as soon as they are freed (mallopt(3)).
    libc.mallopt(_MMAP_THRESHOLD, 2**16)
    libc.malloc_trim(0)
    with PeakMemory() as memory:
        save_model(backend, model_dir, target, max_bytes=limit)
    return {"tensors": tensors.peak, "left": tensors.now, "growth": memory.growth}


def _refuse(directory: Directory, path: str) -> None:
    import errno

    raise OSError(errno.ENOSPC, "No space left on device", path)
