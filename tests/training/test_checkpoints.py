"""Checkpoints: whole or ignored, the two newest kept, on a local disk and on object storage."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.object_storage import bucket

from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.core.run import Directory
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.checkpoints import load_checkpoint, remove_checkpoints, save_checkpoint


class TensorBackend:
    """A backend whose state is a few tensors, all with the same number in them."""

    def __init__(self, value: float = 0.0, size: int = 4) -> None:
        self.tensors = {
            "weight/a": torch.full((size, 3), value),
            "exp_avg/a": torch.full((size, 3), value),
            "steps": torch.tensor(value),
        }

    def state(self) -> dict[str, Any]:
        return dict(self.tensors)

    def load_state(self, state: dict[str, Any]) -> None:
        self.tensors = state


def make_backend(value: float = 0.0, size: int = 4) -> TrainerBackend:
    return TensorBackend(value, size)  # type: ignore[return-value]


def save(directory: Directory, step: int) -> None:
    save_checkpoint(make_backend(float(step)), directory, step, {"step": step})


def load(directory: Directory) -> tuple[Any, dict[str, torch.Tensor]]:
    backend = TensorBackend()
    state = load_checkpoint(backend, directory)  # type: ignore[arg-type]
    return state, backend.tensors


def check_contents(directory: Directory, step: int) -> None:
    state, tensors = load(directory)
    assert state == {"step": step}
    for tensor in tensors.values():
        assert torch.equal(tensor, torch.full_like(tensor, step))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(str(tmp_path))


def test_a_fresh_start_has_no_checkpoint(directory: Directory) -> None:
    state, tensors = load(directory)
    assert state is None
    assert not tensors["weight/a"].any()


def test_the_newest_is_loaded_and_the_two_newest_are_kept(directory: Directory) -> None:
    for step in (2, 4, 10):
        save(directory, step)
    assert directory.list_folders("checkpoints") == ["step-00000004", "step-00000010"]
    check_contents(directory, 10)
    remove_checkpoints(directory)
    assert load(directory)[0] is None


def test_an_interrupted_one_is_ignored_and_deleted_before_the_next(directory: Directory) -> None:
    save(directory, 2)
    save(directory, 4)
    interrupted = directory.local / "checkpoints" / "step-00000006"
    interrupted.mkdir()
    (interrupted / "__0_0.distcp").write_bytes(b"half")
    check_contents(directory, 4)
    save(directory, 6)
    check_contents(directory, 6)
    assert directory.list_folders("checkpoints") == ["step-00000004", "step-00000006"]


@pytest.mark.parametrize("name", [".distcp", ".metadata.tmp", "state.json"])
def test_a_full_disk_leaves_the_last_good_ones_and_says_so(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Full at the tensors, at their table and at the state of the loop."""
    save(directory, 2)
    save(directory, 4)

    def refuse_when_named(path: Path, *_: object) -> None:
        if name in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Directory, "_flush_to_disk", lambda self, path: refuse_when_named(path))
        with pytest.raises(InfrastructureError) as failure:
            save(directory, 6)
    assert "No space left on device" in str(failure.value)
    assert "step-00000006: the checkpoint could not be written (worker 0" in str(failure.value)
    assert "step-00000004 before it is whole" in str(failure.value)
    assert directory.list_folders("checkpoints") == ["step-00000002", "step-00000004"]
    check_contents(directory, 4)


def test_a_damaged_one_is_named_with_the_one_before_it(directory: Directory) -> None:
    save(directory, 2)
    save(directory, 4)
    (damaged,) = (directory.local / "checkpoints" / "step-00000004").glob("*.distcp")
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(DataError, match=r"step-00000004: .* delete the folder .* step-00000002"):
        load(directory)


def test_one_of_another_model_is_refused(directory: Directory) -> None:
    save(directory, 2)
    with pytest.raises(DataError, match="cannot be read"):
        load_checkpoint(make_backend(size=5), directory)


def test_the_state_is_written_last_and_by_its_format(directory: Directory) -> None:
    save(directory, 2)
    folder = directory.local / "checkpoints" / "step-00000002"
    content = json.loads((folder / "state.json").read_text())
    assert content == {"format": 1, "step": 2, "workers": 1, "state": {"step": 2}}
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "state.json"


def test_checkpoints_live_on_object_storage() -> None:
    with bucket("training") as uri:
        directory = Directory(f"{uri}/run/sft")
        for step in (2, 4, 6):
            save(directory, step)
        check_contents(directory, 6)
        assert directory.list_folders("checkpoints") == ["step-00000004", "step-00000006"]
        # Interrupted: the tensors are there, the state is not.
        directory.remove("checkpoints/step-00000006/state.json")
        check_contents(directory, 4)
        remove_checkpoints(directory)
        assert directory.list_folders() == []
