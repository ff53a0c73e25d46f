"""Builds a snapshot from the files of registries: one Ray task a registry.

Each file is recognised by its content. What could not be used of a registry's files is listed in
``<source>.quarantine.jsonl``. Sources of an earlier snapshot in the same folder that no file is of
stay as they are. The manifest is written last; a build that was killed before is built again by the
same command.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

from medr_ray.core.data import map_in_tasks
from medr_ray.core.errors import DataError
from medr_ray.core.records import FactSource
from medr_ray.core.run import Directory
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.registries.snapshot import (
    MANIFEST,
    SourceFile,
    snapshot_manifest,
    write_manifest,
    write_source,
)
from medr_ray.knowledge.registries.sources import REGISTRIES, recognise_registry
from medr_ray.knowledge.vocabulary_reading import file_digest


def group_files(paths: Sequence[str]) -> dict[FactSource, list[str]]:
    """Files by registry, in the order given. Raises DataError for a file of no registry."""
    groups: dict[FactSource, list[str]] = defaultdict(list)
    for path in paths:
        source = recognise_registry(path)
        if path not in groups[source]:
            groups[source].append(path)
    return dict(groups)


def build_snapshot(groups: Mapping[FactSource, Sequence[str]], directory: Path) -> None:
    """Write the snapshot of the files; Ray must be up. Local files and folders only where all its
    nodes have them."""
    entries: dict[str, dict[str, Any]] = {}
    if (directory / MANIFEST).exists():
        entries = snapshot_manifest(directory)["sources"]
    rows = [
        {"source": source, "paths": list(paths), "directory": str(directory.absolute())}
        for source, paths in groups.items()
    ]
    with map_in_tasks(rows, build_source) as results:
        for result in results:
            entries[result["source"]] = result["entry"]
    write_manifest(directory, entries)


def build_source(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write the tables of the registry ``row["source"]``; returns its entry in the manifest."""
    source = cast(FactSource, row["source"])
    paths = [str(path) for path in row["paths"]]
    directory = Path(row["directory"])
    unusable = UnusableRecords()
    files = [SourceFile(PurePosixPath(path).name, file_digest(path)) for path in paths]
    records = REGISTRIES[source].read(paths, unusable)
    entry = write_source(directory, source, records, files, unusable)
    Directory(str(directory)).write_jsonl(f"{source}.quarantine.jsonl", unusable)
    if not entry["records"]:
        raise DataError(
            f"{', '.join(paths)}: no record of {source} could be used; the reasons are in "
            f"{directory}/{source}.quarantine.jsonl"
        )
    return {"source": source, "entry": entry}
