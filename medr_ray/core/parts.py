"""A folder of part files, each with a marker that says what it was made from.

What holds: a part whose marker names what is wanted is whole and is not made again, whoever made it
and whenever; a part that is half written, out of date or no longer wanted is never taken for a
finished one. So a killed stage goes on where it was, and a stage whose inputs grew makes only what
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
        self._directory, self.folder = directory, folder

    def discard_stale(self, wanted: Mapping[str, str]) -> list[str]:
        """The names that must be made, in the order of ``wanted`` (name -> what it is to be made
        from). Parts that are not wanted, or made from something else, are removed."""
        self._directory.delete_partial_files(self.folder)
        made = self.read_markers()
        for name in made.keys() | self._tables():
            if made.get(name, {}).get("made_from") != wanted.get(name, ""):
                self._remove(name)
        return [
            name for name, source in wanted.items() if made.get(name, {}).get("made_from") != source
        ]

    def read_markers(self) -> dict[str, dict[str, Any]]:
        """The markers by name, sorted: ``made_from`` and the report each part was finished with."""
        return {
            name: self.read_marker(name) for name in self._directory.list_marked_parts(self.folder)
        }

    def is_finished(self, name: str) -> bool:
        return self._directory.exists(f"{self.folder}/_{name}.json")

    def read_marker(self, name: str) -> dict[str, Any]:
        return self._directory.read_json(f"{self.folder}/_{name}.json")

    def write(
        self, name: str, made_from: str, table: pa.Table, report: Mapping[str, Any] | None = None
    ) -> None:
        """Write a part that is at hand as one table."""
        self._directory.write_table(f"{self.folder}/{name}.parquet", table)
        self.finish(name, made_from, report)

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.Table]) -> None:
        """Write a part piece by piece, holding one piece at a time; ``finish`` must follow."""
        self._directory.write_batches(f"{self.folder}/{name}.parquet", schema, batches)

    def finish(self, name: str, made_from: str, report: Mapping[str, Any] | None = None) -> None:
        """Mark a part as whole. ``report`` comes back from ``made``."""
        self._directory.write_json(
            f"{self.folder}/_{name}.json", {"made_from": made_from, **(report or {})}
        )

    def _tables(self) -> set[str]:
        names = self._directory.list_files(self.folder)
        return {one.removesuffix(".parquet") for one in names if one.endswith(".parquet")}

    def _remove(self, name: str) -> None:
        """The marker first: a part without one is not finished."""
        for file in (f"_{name}.json", f"{name}.parquet"):
            self._directory.remove(f"{self.folder}/{file}")


def digest(*parts: Any) -> str:
    """What something is made from, as 32 hexadecimal digits."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:32]
