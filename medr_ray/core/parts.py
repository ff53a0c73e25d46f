"""A folder of part files, each with a marker that names what it was made from.

A part whose marker names the required source is complete and is not made again, whichever process
made it. A part that is half written, out of date or no longer required never counts as finished. So
a killed stage continues where it stopped, and a stage whose inputs grew makes only the parts that
changed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from medr_ray.core.records import canonical_json
from medr_ray.core.run import Directory


class Parts:
    """``folder`` of ``directory``: ``NAME.parquet`` and its marker ``_NAME.json`` for each part."""

    def __init__(self, directory: Directory, folder: str) -> None:
        self._directory = directory
        self.folder = folder

    def discard_stale(self, required: Mapping[str, str]) -> list[str]:
        """Remove the parts that are not required or were made from something else.

        ``required`` maps names to what each is to be made from. Returns the names that must be
        made, in that order.
        """
        # One writer at a time has the run (see ``core.lock``), so these belong to nobody any more.
        self._directory.delete_partial_files(self.folder)
        markers = self.read_markers()
        sources = {name: marker.get("made_from") for name, marker in markers.items()}
        for name in markers.keys() | self._list_tables():
            # "" is not a source: a part that is not required is removed whatever its marker says.
            if sources.get(name) != required.get(name, ""):
                self._remove_part(name)
        return [name for name, source in required.items() if sources.get(name) != source]

    def read_markers(self) -> dict[str, dict[str, Any]]:
        """Return the markers by part name, sorted.

        A marker has ``made_from`` and the report that the part was finished with.
        """
        names = self._directory.list_marked_parts(self.folder)
        return {name: self.read_marker(name) for name in names}

    def is_finished(self, name: str) -> bool:
        return self._directory.exists(self._marker_file(name))

    def read_marker(self, name: str) -> dict[str, Any]:
        return self._directory.read_json(self._marker_file(name))

    def write(
        self, name: str, made_from: str, table: pa.Table, report: Mapping[str, Any] | None = None
    ) -> None:
        """Write a part from one table, and finish it."""
        self._directory.write_table(self._table_file(name), table)
        # The marker comes last: it says that the table is complete.
        self.finish(name, made_from, report)

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.Table]) -> None:
        """Write a part from many tables, with one in memory at a time.

        The caller must call ``finish`` afterwards: the part has no marker yet.
        """
        self._directory.write_batches(self._table_file(name), schema, batches)

    def finish(self, name: str, made_from: str, report: Mapping[str, Any] | None = None) -> None:
        """Mark a part as whole. ``read_marker`` returns the report."""
        marker = {"made_from": made_from, **(report or {})}
        self._directory.write_json(self._marker_file(name), marker)

    def _marker_file(self, name: str) -> str:
        return f"{self.folder}/_{name}.json"

    def _table_file(self, name: str) -> str:
        return f"{self.folder}/{name}.parquet"

    def _list_tables(self) -> set[str]:
        """Return the parts that have a table, with or without a marker."""
        files = self._directory.list_files(self.folder)
        return {file.removesuffix(".parquet") for file in files if file.endswith(".parquet")}

    def _remove_part(self, name: str) -> None:
        # The marker goes first: a kill between the two then leaves a part that is not finished.
        self._directory.remove(self._marker_file(name))
        self._directory.remove(self._table_file(name))


def digest(*parts: Any) -> str:
    """Return a hash of the values that something is made from, as 32 hexadecimal digits."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:32]
