"""Results that come with notes: what whoever reads them should know about how they came to be."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Noted(list[T]):
    """A list of results. ``notes`` say, in words meant for the agent, which source is missing from
    it and why, or what was left out; none when it is complete."""

    def __init__(self, results: Iterable[T] = (), notes: Iterable[str] = ()) -> None:
        super().__init__(results)
        self.notes = tuple(notes)
