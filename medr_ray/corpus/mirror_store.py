"""A mirror of PubMed on disk: its files, their sidecars and the manifest.

Guarantees: a ``.xml.gz`` was complete and had the MD5 of its ``.md5`` when it got its name. A file
that is downloaded in part ends in ``.part``. ``manifest.json`` is replaced as a whole, so it is
readable whenever a download was killed.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.lock import run_lock
from medr_ray.core.run import MANIFEST, Directory
from medr_ray.corpus.checksum import SIDECAR_SUFFIX, parse_sidecar_md5
from medr_ray.corpus.mirror import (
    COMPLETE,
    FAILED,
    FOLDERS,
    FileState,
    StoredFile,
    application_order,
    parse_year_and_number,
)

_PART_SUFFIX = ".part"
_VALIDATOR_SUFFIX = ".part.validator"
_URI_START = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib drops the second slash of a URI


class MirrorStore:
    """The mirror at ``root``, a local folder that need not exist yet.

    Files are named by key, ``folder/name``. ``states`` is the manifest by key. ConfigError when
    the root is a URI, DataError when its manifest cannot be read.
    """

    def __init__(self, root: Path) -> None:
        if _URI_START.match(str(root)):
            raise ConfigError(
                f"DEST {root}: a mirror is a local folder; mount object storage to write there"
            )
        # Resolved, so that the same folder as source and target is recognised under two names.
        self.root = root.resolve()
        self._directory = Directory(str(self.root))
        self.states = self._read_manifest()

    def _read_manifest(self) -> dict[str, FileState]:
        if not self._directory.exists(MANIFEST):
            return {}
        try:
            states = [FileState(**row) for row in self._directory.read_json(MANIFEST)["files"]]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self.root / MANIFEST} is no manifest of a mirror ({error}): remove it, the "
                "files are hashed and kept, or use another folder"
            ) from None
        # Keys become paths, so a manifest edited by hand must not lead out of the mirror.
        return {
            state.key: state
            for state in states
            if state.folder in FOLDERS and parse_year_and_number(state.name)
        }

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the mirror for one writer. MedrError when another process has it."""
        with run_lock(self._directory):
            yield

    def path(self, key: str) -> Path:
        return self.root / key

    def partial_file(self, key: str) -> "PartialFile":
        return PartialFile(self.path(key))

    def list_files(self) -> dict[str, StoredFile]:
        """Every PubMed file on disk, by key and in order."""
        keys = [
            f"{folder}/{name}"
            for folder in FOLDERS
            for name in self._list_names(folder)
            if parse_year_and_number(name)
        ]
        return {
            key: StoredFile(self.path(key).stat().st_size, self._read_sidecar(key))
            for key in sorted(keys, key=application_order)
        }

    def _read_sidecar(self, key: str) -> str | None:
        """The MD5 that the file's sidecar on disk names."""
        path = self.root / (key + SIDECAR_SUFFIX)
        return parse_sidecar_md5(path.read_bytes()) if path.is_file() else None

    def list_partial_files(self) -> list[str]:
        """Half-downloaded files, by key with its ending."""
        return [
            f"{folder}/{name}"
            for folder in FOLDERS
            for name in self._list_names(folder)
            if name.endswith(_PART_SUFFIX)
        ]

    def _list_names(self, folder: str) -> list[str]:
        path = self.root / folder
        if not path.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(path) if entry.is_file())

    def write_sidecar(self, key: str, content: bytes) -> None:
        self._directory.write_bytes(key + SIDECAR_SUFFIX, content)

    def record_states(self, states: Iterable[FileState]) -> None:
        """Put the states into the manifest, in place of those it had of these files."""
        self.states |= {state.key: state for state in states}
        rows = [asdict(self.states[key]) for key in sorted(self.states, key=application_order)]
        self._directory.write_json(MANIFEST, {"files": rows})

    def build_complete_state(self, key: str, stamp: str, md5: str) -> FileState:
        """The manifest entry of a file on disk that has this MD5."""
        folder, _, name = key.partition("/")
        size = self.path(key).stat().st_size
        return FileState(name, folder, size, md5, COMPLETE, "", _utc_now(), stamp)

    def build_failed_state(self, key: str, reason: str) -> FileState:
        """The manifest entry of a file that is not there or not right.

        It has no stamp, so the next download checks the file in any case.
        """
        folder, _, name = key.partition("/")
        return FileState(name, folder, None, None, FAILED, reason, _utc_now(), "")

    def remove_files(self, keys: Iterable[str]) -> None:
        """Remove files with all that belongs to them, and from the manifest."""
        for key in keys:
            # The file first: a killed removal then leaves no file without its sidecar.
            for ending in ("", SIDECAR_SUFFIX, _PART_SUFFIX, _VALIDATOR_SUFFIX):
                (self.root / (key + ending)).unlink(missing_ok=True)
            self.states.pop(key, None)
        self.record_states(())


class PartialFile:
    """A file that is half downloaded.

    Beside its bytes lies its validator, the ETag or date by which the server recognises the
    version that the rest must come from.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.path = target.with_name(target.name + _PART_SUFFIX)
        self._validator_path = target.with_name(target.name + _VALIDATOR_SUFFIX)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def validator(self) -> str:
        path = self._validator_path
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def restart(self, validator: str) -> None:
        """Begin anew.

        The validator is written before the first byte, so a killed download never leaves bytes
        with the validator of another version.
        """
        self.discard()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._validator_path.write_text(validator, encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._validator_path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its final name, which replaces an older version in one step."""
        os.replace(self.path, self._target)
        self._validator_path.unlink(missing_ok=True)


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
