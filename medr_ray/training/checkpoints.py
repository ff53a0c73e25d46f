"""Checkpoints of a training run: the backend's tensors and the state of the loop.

``checkpoints/step-NNNNNNNN/`` in the stage's directory, on any ``pyarrow.fs`` filesystem, as
``torch.distributed.checkpoint`` writes them: any number of workers reads what any other wrote. The
two newest whole ones are kept. One that was interrupted is ignored, and deleted before the next is
written; none replaces an older one before it is whole.
"""

from typing import Any

from torch.distributed.checkpoint import CheckpointException, load, save

from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.core.run import Directory
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.checkpoint_storage import STATE_FILE, FolderReader, FolderWriter
from medr_ray.training.collectives import get_rank, share_from_rank_zero, world_size

_FOLDER = "checkpoints"
_PREFIX = "step-"
_KEPT = 2  # whole checkpoints: should the newest turn out to be damaged, there is one before it
_FORMAT = 1  # of ``state.json``


def save_checkpoint(
    backend: TrainerBackend,
    directory: Directory,
    step: int,
    state: dict[str, Any],
) -> None:
    """Write the checkpoint after ``step`` steps. Every worker must call this.

    ``directory`` is the stage's. The ``state`` of rank 0 is kept as JSON; that of other workers is
    not used. Raises InfrastructureError, on every worker, where it cannot be written.
    """
    checkpoints = directory.child(_FOLDER)
    folder = checkpoints.child(f"{_PREFIX}{step:08d}")
    if get_rank() == 0:
        _delete_interrupted(checkpoints)
    content = {"format": _FORMAT, "step": step, "workers": world_size(), "state": state}
    try:
        save(backend.state(), storage_writer=FolderWriter(folder, content))
    except CheckpointException as error:
        if get_rank() == 0:
            # A full disk is not to stay full of half a checkpoint.
            folder.remove_all()
        raise InfrastructureError(_describe_failed_save(checkpoints, folder, error)) from error
    if get_rank() == 0:
        for name in _list_whole(checkpoints)[:-_KEPT]:
            _delete(checkpoints, name)


def load_checkpoint(backend: TrainerBackend, directory: Directory) -> dict[str, Any] | None:
    """Load the tensors of the newest whole checkpoint and return its state; None at a fresh start.

    Every worker must call this. Raises DataError where it is damaged or of another model.
    """
    checkpoints = directory.child(_FOLDER)
    # Decided by one worker: a shared disk may show a new file to one worker later than to another.
    name = share_from_rank_zero(_find_newest(checkpoints) if get_rank() == 0 else None)
    if name is None:
        return None
    folder = checkpoints.child(name)
    content = folder.read_json(STATE_FILE)
    tensors = backend.state()
    try:
        load(tensors, storage_reader=FolderReader(folder))
    except CheckpointException as error:
        raise DataError(_describe_failed_load(checkpoints, folder, error)) from error
    backend.load_state(tensors)
    state: dict[str, Any] = content["state"]
    return state


def remove_checkpoints(directory: Directory) -> None:
    """Delete all checkpoints of a stage: gigabytes nobody needs once it is done."""
    directory.child(_FOLDER).remove_all()


def _list_whole(checkpoints: Directory) -> list[str]:
    """The folders of whole checkpoints, the oldest first."""
    return [
        name for name in checkpoints.list_folders() if checkpoints.exists(f"{name}/{STATE_FILE}")
    ]


def _find_newest(checkpoints: Directory) -> str | None:
    return max(_list_whole(checkpoints), default=None)


def _delete_interrupted(checkpoints: Directory) -> None:
    whole = _list_whole(checkpoints)
    for name in checkpoints.list_folders():
        if name not in whole:
            checkpoints.child(name).remove_all()


def _delete(checkpoints: Directory, name: str) -> None:
    """Delete a whole checkpoint, so that no part of it counts as one."""
    folder = checkpoints.child(name)
    folder.remove(STATE_FILE)
    folder.remove_all()


def _describe_failed_save(
    checkpoints: Directory, folder: Directory, error: CheckpointException
) -> str:
    newest = _find_newest(checkpoints)
    kept = "there is none before it"
    if newest is not None:
        kept = f"{newest} before it is whole, and the same command goes on from there"
    return (
        f"{folder.uri}: the checkpoint could not be written ({_describe_cause(error)}). Mend that, "
        f"or set run.root to another place; {kept}"
    )


def _describe_failed_load(
    checkpoints: Directory, folder: Directory, error: CheckpointException
) -> str:
    others = [name for name in _list_whole(checkpoints) if not folder.uri.endswith(name)]
    start = f"from {others[-1]}" if others else "at the start"
    return (
        f"{folder.uri}: the checkpoint cannot be read ({_describe_cause(error)}): delete the "
        f"folder to go on {start}"
    )


def _describe_cause(error: CheckpointException) -> str:
    """The first failure, with its worker."""
    rank, (cause, _) = min(error.failures.items())
    reason = str(cause) or type(cause).__name__
    return f"worker {rank}: {reason}"
