"""JSON files in a folder that are written once: the first value stored under a name stays, and
every writer and reader gets that value.

A file appears whole or not at all, and survives the process that wrote it. Of two writers of a
name, both get the first one's value.

- On a local or mounted folder the file system decides who was first, among any number of processes
  and hosts: a link to a name that exists fails.
- Object storage cannot decide that. There one actor of the Ray cluster does (without Ray, an object
  of the process), so only one cluster at a time may write to such a folder.

With a file for each value there is no log to merge, and a folder can be copied, read and resumed at
any moment.
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
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.private_files import make_private_folder, open_private
from medr_ray.core.run import Directory

_NAMESPACE = "medr"
# The arbiter only settles writers that meet within moments; older values are in the files.
_REMEMBERED_VALUES = 1000


class WriteOnceStore:
    """The files of one folder. Calls block, and may come from several threads."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._arbiter = FirstWriterArbiter()

    @property
    def uri(self) -> str:
        return self._directory.uri

    def get(self, name: str) -> dict[str, Any] | None:
        """The value stored under the name, or None. Raises DataError for a file that holds
        something else."""
        if not self._directory.exists(name):
            return None
        try:
            # A page may hold half a character; it is stored as an escape.
            value = parse_json(
                self._directory.read_bytes(name), f"{self.uri}/{name}", whole_characters=False
            )
        except InvalidJson as error:
            raise DataError(f"{error}: remove it") from None
        if not isinstance(value, dict):
            raise DataError(f"{self.uri}/{name} holds no JSON object: remove it")
        return value

    def put_if_absent(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Store ``value`` unless the name has one already; returns the stored value as it is read
        back."""
        existing = self.get(name)
        if existing is not None:
            return existing
        data = (json.dumps(value, indent=1) + "\n").encode()
        if isinstance(self._directory.fs, pafs.LocalFileSystem):
            _write_if_absent(Path(self._directory.path) / name, data)
        else:
            # Writers that meet all write the same bytes, so it does not matter who writes last.
            self._directory.write_bytes(name, self._first_value(name, data))
        # Read back and not returned: another process may have been first.
        stored = self.get(name)
        if stored is None:
            raise DataError(f"{self.uri}/{name} was removed while it was written")
        return stored

    def _first_value(self, name: str, data: bytes) -> bytes:
        """The value of the first writer of the name, which may be another one than ``data``."""
        import ray

        if not ray.is_initialized():
            return self._arbiter.first_value(name, data)
        digest = hashlib.sha256(self.uri.encode()).hexdigest()[:16]
        actor: Any = (
            ray.remote(FirstWriterArbiter)
            .options(
                name=f"medr_first_writer_{digest}",
                namespace=_NAMESPACE,
                get_if_exists=True,
                # Detached: it must outlive the worker that happened to create it.
                lifetime="detached",
                num_cpus=0,
                max_restarts=-1,
            )
            .remote()
        )
        try:
            return bytes(ray.get(actor.first_value.remote(name, data)))
        except ray.exceptions.RayActorError as error:
            raise InfrastructureError(
                f"{self.uri}: the actor that decides on first answers is gone: {error}"
            ) from error


class FirstWriterArbiter:
    """Decides which of several writers of a name was first."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def first_value(self, name: str, data: bytes) -> bytes:
        """The value that was given for the name first, ``data`` if there was none."""
        with self._lock:
            first = self._values.setdefault(name, data)
            while len(self._values) > _REMEMBERED_VALUES:
                self._values.popitem(last=False)
            return first


def _write_if_absent(path: Path, data: bytes) -> None:
    """Write the file unless it exists."""
    make_private_folder(path.parent)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with open(partial, "wb", opener=open_private) as file:
        file.write(data)
    try:
        # A rename would replace another writer's file; a link to an existing name fails.
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
