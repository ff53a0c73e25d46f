"""A mirror of PubMed on disk: its files, their sidecars and the manifest.

What holds: a ``.xml.gz`` is whole and had the MD5 of its ``.md5`` when it appeared; what is half
downloaded ends in ``.part``; ``manifest.json`` is replaced whole, so it can be read whenever a
download was killed.
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
from medr_ray.corpus.checksum import SIDECAR, sidecar_md5
from medr_ray.corpus.mirror import (
    COMPLETE,
    FAILED,
    FOLDERS,
    FileState,
    Present,
    order_of,
    year_and_number,
)

_PART, _VALIDATOR = ".part", ".part.validator"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib folds the second slash of a URI away


class Shelf:
    """The mirror at ``root``, a local folder that need not exist yet."""

    def __init__(self, root: Path) -> None:
        if _URI.match(str(root)):
            raise ConfigError(
                f"DEST {root}: a mirror is a local folder; mount object storage to write there"
            )
        self.root = root.resolve()
        self._directory = Directory(str(self.root))
        self.states = self._read()

    def _read(self) -> dict[str, FileState]:
        if not self._directory.exists(MANIFEST):
            return {}
        try:
            states = [FileState(**row) for row in self._directory.read_json(MANIFEST)["files"]]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self.root / MANIFEST} is no manifest of a mirror ({error}): remove it, the files are "
                "hashed and kept, or use another folder"
            ) from None
        return {
            one.key: one for one in states if one.folder in FOLDERS and year_and_number(one.name)
        }

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the mirror for one writer. MedrError when another process has it."""
        with run_lock(self._directory):
            yield

    def path(self, key: str) -> Path:
        return self.root / key

    def partial(self, key: str) -> "Partial":
        return Partial(self.path(key))

    def present(self) -> dict[str, Present]:
        """Every PubMed file on disk, by key and in order."""
        keys = [
            f"{folder}/{name}"
            for folder in FOLDERS
            for name in self._names(folder)
            if year_and_number(name)
        ]
        return {
            key: Present(self.path(key).stat().st_size, self.sidecar(key))
            for key in sorted(keys, key=order_of)
        }

    def sidecar(self, key: str) -> str | None:
        """The MD5 that the file's sidecar on disk names."""
        path = self.root / (key + SIDECAR)
        return sidecar_md5(path.read_bytes()) if path.is_file() else None

    def strays(self) -> list[str]:
        """Half-downloaded files, by key with its ending."""
        return [
            f"{folder}/{name}"
            for folder in FOLDERS
            for name in self._names(folder)
            if name.endswith(_PART)
        ]

    def _names(self, folder: str) -> list[str]:
        path = self.root / folder
        return (
            sorted(entry.name for entry in os.scandir(path) if entry.is_file())
            if path.is_dir()
            else []
        )

    def keep_sidecar(self, key: str, content: bytes) -> None:
        self._directory.write_bytes(key + SIDECAR, content)

    def record(self, states: Iterable[FileState]) -> None:
        """Put the states into the manifest, in place of what it said of these files."""
        self.states |= {one.key: one for one in states}
        rows = [asdict(self.states[key]) for key in sorted(self.states, key=order_of)]
        self._directory.write_json(MANIFEST, {"files": rows})

    def complete(self, key: str, stamp: str, md5: str) -> FileState:
        folder, _, name = key.partition("/")
        return FileState(
            name, folder, self.path(key).stat().st_size, md5, COMPLETE, "", _now(), stamp
        )

    def failed(self, key: str, reason: str) -> FileState:
        """Without a stamp: whatever the source lists then, it is looked at again."""
        folder, _, name = key.partition("/")
        return FileState(name, folder, None, None, FAILED, reason, _now(), "")

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files with all that belongs to them, and from the manifest."""
        for key in keys:
            for ending in ("", SIDECAR, _PART, _VALIDATOR):
                (self.root / (key + ending)).unlink(missing_ok=True)
            self.states.pop(key, None)
        self.record(())


class Partial:
    """The half of a file that is here: its bytes, and the ETag or date by which the server knows
    the rest of it."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.path = target.with_name(target.name + _PART)
        self._kept = target.with_name(target.name + _VALIDATOR)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def validator(self) -> str:
        return self._kept.read_text(encoding="utf-8") if self._kept.is_file() else ""

    def restart(self, validator: str) -> None:
        """Begin anew; the validator is on disk before the first byte it speaks for."""
        self.discard()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._kept.write_text(validator, encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._kept.unlink(missing_ok=True)

    def finish(self) -> None:
        """The partial file becomes the file."""
        os.replace(self.path, self._target)
        self._kept.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
