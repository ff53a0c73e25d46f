"""Which documents a search may find: by source, year and kind of evidence, as a condition on the
table.

A document without a year is in no span of years. A publication-date cut-off is another thing: it
takes away what was, or may have been, published later, and so keeps curated records, which describe
no single publication.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medr_ray.retrieval.authority import CURATED_SOURCES


@dataclass(frozen=True)
class Filter:
    """``since`` and ``until`` are years, inclusive; ``sources`` and ``types`` name what is kept,
    empty keeps all."""

    sources: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> "Filter":
        """The same filter for the same names in any order."""
        return cls(tuple(sorted(sources or ())), since, until, tuple(sorted(types or ())))

    def condition(self) -> str | None:
        """SQL on the columns of the index; None where everything is kept."""
        parts = [
            among("source", self.sources) if self.sources else None,
            among("kind", self.types) if self.types else None,
            f"year >= {self.since:d}" if self.since is not None else None,
            f"year <= {self.until:d}" if self.until is not None else None,
        ]
        return all_of(parts)


def published_before(date: datetime.date | None) -> str | None:
    """SQL that keeps what is not of a later year than ``date``, nor of an unknown one."""
    return (
        f"(year <= {date.year:d} OR {among('source', sorted(CURATED_SOURCES))})" if date else None
    )


def all_of(conditions: Iterable[str | None]) -> str | None:
    """The conditions that are there, joined by AND; None for none."""
    return " AND ".join(filter(None, conditions)) or None


def among(column: str, values: Sequence[str]) -> str:
    """SQL that keeps the rows whose ``column`` is one of ``values``; there must be one."""
    return f"{column} IN ({', '.join(map(_quoted, values))})"


def _quoted(text: str) -> str:
    """A string literal of the table's filter language (SQL)."""
    return "'" + text.replace("'", "''") + "'"
