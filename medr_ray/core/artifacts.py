"""Declarations of what stages write: the stage, the name on disk, and the record of its rows.

Each room declares its artifacts in its ``artifacts.py``. Code that reads or writes one names the
constant (``run.read(QUESTIONS)``), so a file name and its record are declared in one place.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class StageFile:
    """A file, or a folder of files, that ``stage`` writes into its directory as ``name``."""

    stage: str
    name: str

    @property
    def path(self) -> str:
        """Return the name as seen from the run's directory."""
        return f"{self.stage}/{self.name}"


@dataclass(frozen=True)
class Artifact(StageFile, Generic[R]):
    """A table of ``record``s: one Parquet file, or a folder of Parquet parts."""

    record: type[R]
