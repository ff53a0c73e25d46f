"""Limits a search to documents of a source, year or kind of evidence, as SQL on the index.

A document without a year is in no span of years. A publication-date cut-off is different: it
removes what was, or may have been, published later, and so keeps curated records, which describe no
single publication.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medr_ray.retrieval.authority import CURATED_SOURCES


@dataclass(frozen=True)
class DocumentFilter:
    """Which documents are kept.

    ``since`` and ``until`` are years, inclusive; ``sources`` and ``types`` name what is kept, empty
    keeps all.
    """

    sources: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()

    @classmethod
    def normalized(
        cls,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> "DocumentFilter":
        """The same filter for the same names in any order, so that it can be a cache key."""
        # Tuples, because lists cannot be hashed.
        return cls(tuple(sorted(sources or ())), since, until, tuple(sorted(types or ())))

    def to_sql(self) -> str | None:
        """A condition on the columns of the index; None where everything is kept."""
        conditions = [
            sql_in("source", self.sources) if self.sources else None,
            sql_in("kind", self.types) if self.types else None,
            f"year >= {self.since:d}" if self.since is not None else None,
            f"year <= {self.until:d}" if self.until is not None else None,
        ]
        return join_conditions(conditions)


def published_before(date: datetime.date | None) -> str | None:
    """SQL that keeps what is not of a later year than ``date``, nor of an unknown one.

    None without a date. The index knows only years, so the year of the date itself is kept.
    """
    if not date:
        return None
    is_curated = sql_in("source", sorted(CURATED_SOURCES))
    return f"(year <= {date.year:d} OR {is_curated})"


def join_conditions(conditions: Iterable[str | None]) -> str | None:
    """The conditions that are not None, joined by AND; None when there is none."""
    return " AND ".join(filter(None, conditions)) or None


def sql_in(column: str, values: Sequence[str]) -> str:
    """SQL that keeps the rows whose ``column`` is one of ``values``; there must be one."""
    # LanceDB takes a condition as text, without parameters: every value has to be quoted here.
    return f"{column} IN ({', '.join(map(_quote_literal, values))})"


def _quote_literal(text: str) -> str:
    """A string literal of the table's filter language (SQL)."""
    # SQL doubles a quotation mark inside of a literal.
    return "'" + text.replace("'", "''") + "'"
