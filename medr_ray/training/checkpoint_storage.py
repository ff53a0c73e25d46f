"""Where ``torch.distributed.checkpoint`` writes: a folder on any ``pyarrow.fs`` filesystem, a disk
or object storage, without a copy on the worker's own disk.

The loop's state is the last file that is written: a folder that has it is a whole checkpoint.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.storage import WriteResult

from medr_ray.core.run import Directory

STATE_FILE = "state.json"


class FolderWriter(FileSystemWriter):
    """Writes a checkpoint: the tensors of each worker, their table, then the loop's ``state``."""

    def __init__(self, folder: Directory, state: Any) -> None:
        # Streams are flushed to the disk when they are closed, by the folder.
        super().__init__("", sync_files=False)
        self.fs = _Folder(folder)
        self._folder = folder
        self._state = state

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Called on rank 0 when the tensors of all workers are written; what it raises is raised
        on every worker."""
        super().finish(metadata, results)
        self._folder.write_json(STATE_FILE, self._state)


class FolderReader(FileSystemReader):
    """Reads the tensors of a checkpoint."""

    def __init__(self, folder: Directory) -> None:
        super().__init__("")
        self.fs = _Folder(folder)

    def _slice_file(self, file: Any, sinfo: Any) -> IO[bytes]:
        """The bytes of one tensor's entry, read at once: object storage answers every read with a
        request."""
        file.seek(sinfo.offset)
        return io.BytesIO(file.read(sinfo.length))


class _Folder(FileSystem):
    """A directory as torch sees it; paths are names of files in it."""

    def __init__(self, folder: Directory) -> None:
        self._folder = folder

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
        name = str(path)
        if mode == "wb":
            with self._folder.open_output(name) as stream:
                try:
                    yield stream
                except RuntimeError as error:
                    # Torch's archive cannot be finished behind a write that failed, and says only
                    # that.
                    raise _find_system_error(error) or error from None
        else:
            with self._folder.fs.open_input_file(f"{self._folder.path}/{name}") as stream:
                yield stream

    def concat_path(self, path: str | os.PathLike[str], suffix: str) -> str:
        return suffix

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        self._folder.fs.move(f"{self._folder.path}/{path}", f"{self._folder.path}/{new_path}")

    def init_path(self, path: str | os.PathLike[str]) -> str:
        return str(path)

    def mkdir(self, path: str | os.PathLike[str]) -> None:
        """Nothing: a folder is made with its first file."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True

    def exists(self, path: str | os.PathLike[str]) -> bool:
        return self._folder.exists(str(path))

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        self._folder.remove(str(path))


def _find_system_error(error: BaseException) -> OSError | None:
    """The error of the operating system that ``error`` was raised behind."""
    current: BaseException | None = error
    while current is not None and not isinstance(current, OSError):
        current = current.__context__
    return current
