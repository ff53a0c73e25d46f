"""What a live source is asked, and what it promises."""

import datetime
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from medr_ray.retrieval.documents import Document

T = TypeVar("T")

_FIRST, _LAST = (
    datetime.date(1800, 1, 1),
    datetime.date(2999, 12, 31),
)  # as good as none, to services that want both


@dataclass(frozen=True)
class Inquiry:
    """A search. ``since`` and ``until`` are years, inclusive; ``types`` names kinds of evidence, ()
    for all; what was published on the day ``before`` or later does not exist; ``count`` documents
    are enough."""

    query: str
    count: int
    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()
    before: datetime.date | None = None

    @property
    def first_day(self) -> datetime.date:
        return _FIRST if self.since is None else datetime.date(max(self.since, _FIRST.year), 1, 1)

    @property
    def last_day(self) -> datetime.date:
        last = _LAST if self.until is None else datetime.date(min(self.until, _LAST.year), 12, 31)
        return last if self.before is None else min(last, self.before - datetime.timedelta(days=1))

    @property
    def is_dated(self) -> bool:
        return self.since is not None or self.until is not None or self.before is not None

    @property
    def is_possible(self) -> bool:
        return self.first_day <= self.last_day


class Source(Protocol):
    """A service that is searched. ``name`` is the ``Document.source`` of what it gives, ``kinds``
    are the kinds of evidence (``retrieval.authority.KINDS``) that it holds."""

    name: str
    kinds: frozenset[str]

    async def documents(self, inquiry: Inquiry) -> list[Document]:
        """Documents in the service's own order, best first, published from ``first_day`` to
        ``last_day`` as far as the service knows. Raises ToolError when it refuses the query,
        InfrastructureError when it cannot be had."""
        ...


async def widening(
    found: Callable[[str], Awaitable[list[T]]], expressions: Iterable[str]
) -> list[T]:
    """What the first expression finds that finds anything: services want every word, questions have
    many."""
    for expression in dict.fromkeys(expressions):
        if rows := await found(expression):
            return rows
    return []
