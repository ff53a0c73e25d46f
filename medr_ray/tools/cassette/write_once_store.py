"""JSON files in a folder that are written once: the first one kept under a name stays, and everyone
is given that one.

What holds: a file appears whole or not at all, and survives the process that wrote it; two writers
of a name are both given the first one's value. On a local or mounted folder the file system decides
who was first (a link to a name that exists fails), among any number of processes and hosts. Object
storage cannot decide that; there one actor of the Ray cluster does (or, without Ray, the process),
so let one cluster at a time write to a folder. With a file for each value there is no log to merge,
and a folder can be copied, read and resumed at any moment.
"""

import contextlib
import hashlib
import json
import os
import threading
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.core.run import Directory

_NAMESPACE = "medr"
_REMEMBERED = 1000  # values; a referee is asked only about writers that met within moments


class Keepsakes:
    """The files of one folder. Calls block, and may come from several threads."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._referee = Referee()

    @property
    def place(self) -> str:
        return self._directory.uri

    def get(self, name: str) -> dict[str, Any] | None:
        """What is kept under the name, or None. Raises DataError for a file that holds something
        else."""
        if not self._directory.exists(name):
            return None
        try:
            value = json.loads(self._directory.read_bytes(name))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.place}/{name} is no JSON ({error}): remove it") from error
        if not isinstance(value, dict):
            raise DataError(f"{self.place}/{name} holds no JSON object: remove it")
        return value

    def keep(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Keep ``value`` unless something is kept already; returns what is kept, as it is read
        back."""
        kept = self.get(name)
        if kept is not None:
            return kept
        data = (json.dumps(value, indent=1) + "\n").encode()
        if isinstance(self._directory.fs, pafs.LocalFileSystem):
            _link(Path(self._directory.path) / name, data)
        else:
            self._directory.write_bytes(name, self._first(name, data))
        stored = self.get(name)
        if stored is None:
            raise DataError(f"{self.place}/{name} was removed while it was written")
        return stored

    def _first(self, name: str, data: bytes) -> bytes:
        """What the first writer of the name wants to keep."""
        import ray

        if not ray.is_initialized():
            return self._referee.first(name, data)
        digest = hashlib.sha256(self.place.encode()).hexdigest()[:16]
        actor: Any = (
            ray.remote(Referee)
            .options(
                name=f"medr_keepsakes_{digest}",
                namespace=_NAMESPACE,
                get_if_exists=True,
                lifetime="detached",
                num_cpus=0,
                max_restarts=-1,
            )
            .remote()
        )
        try:
            return bytes(ray.get(actor.first.remote(name, data)))
        except ray.exceptions.RayActorError as error:
            raise InfrastructureError(
                f"{self.place}: who keeps the first answers is gone: {error}"
            ) from error


class Referee:
    """Says who was first."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._turn = threading.Lock()

    def first(self, name: str, data: bytes) -> bytes:
        """What was given for the name first."""
        with self._turn:
            first = self._values.setdefault(name, data)
            while len(self._values) > _REMEMBERED:
                self._values.popitem(last=False)
            return first


def _link(path: Path, data: bytes) -> None:
    """Write the file unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    partial.write_bytes(data)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
