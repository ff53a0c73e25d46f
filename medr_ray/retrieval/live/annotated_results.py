"""Search results with notes about how they came to be."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class AnnotatedResults(list[T]):
    """A list of results with ``notes``.

    A note tells the agent, in words meant for it, which source is missing and why, or what was left
    out. There is none when the list is complete.
    """

    def __init__(self, results: Iterable[T] = (), notes: Iterable[str] = ()) -> None:
        super().__init__(results)
        self.notes = tuple(notes)
