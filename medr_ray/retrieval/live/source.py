"""What a live source is asked, and what it guarantees."""

import datetime
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from medr_ray.retrieval.documents import Document

T = TypeVar("T")

# As good as no limit, for services that want both ends of a span.
_FIRST_DAY = datetime.date(1800, 1, 1)
_LAST_DAY = datetime.date(2999, 12, 31)


@dataclass(frozen=True)
class LiveQuery:
    """A search of a live source.

    ``count`` documents are enough. ``since`` and ``until`` are years, inclusive; ``types`` names
    kinds of evidence, () for all. What was published on the day ``before`` or later does not exist.
    """

    query: str
    count: int
    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()
    before: datetime.date | None = None

    @property
    def first_day(self) -> datetime.date:
        if self.since is None:
            return _FIRST_DAY
        return datetime.date(max(self.since, _FIRST_DAY.year), 1, 1)

    @property
    def last_day(self) -> datetime.date:
        last_day = _LAST_DAY
        if self.until is not None:
            last_day = datetime.date(min(self.until, _LAST_DAY.year), 12, 31)
        if self.before is not None:
            # The cut-off's own day is excluded, the end of a span is inclusive.
            last_day = min(last_day, self.before - datetime.timedelta(days=1))
        return last_day

    @property
    def is_dated(self) -> bool:
        """Whether there is any limit on dates."""
        return self.since is not None or self.until is not None or self.before is not None

    @property
    def is_possible(self) -> bool:
        """Whether a document can satisfy the dates."""
        return self.first_day <= self.last_day


class LiveSource(Protocol):
    """A service that is searched.

    ``name`` is the ``Document.source`` of its documents, ``kinds`` are the kinds of evidence
    (``retrieval.authority.KINDS``) that it has.
    """

    name: str
    kinds: frozenset[str]

    async def find_documents(self, query: LiveQuery) -> list[Document]:
        """Documents in the service's own order, best first.

        They are published from ``first_day`` to ``last_day``, as far as the service knows.
        ToolError when the service refuses the query, InfrastructureError when it cannot be reached.
        """
        ...


async def search_widening(
    search: Callable[[str], Awaitable[list[T]]], expressions: Iterable[str]
) -> list[T]:
    """The results of the first expression that has any.

    Services want every word of an expression, and questions have many words.
    """
    # Without repetitions: a query of one word gives the same expression several times.
    for expression in dict.fromkeys(expressions):
        results = await search(expression)
        if results:
            return results
    return []
