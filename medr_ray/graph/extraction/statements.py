"""A relation as one sentence states it, before it becomes a relation with evidence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RelationStatement:
    """A relation as one sentence states it.

    ``subject`` and ``object`` are concept ids. ``start`` and ``end`` delimit the sentence in the
    document's text, in characters. ``reference`` is what the sentence cites, or "".
    """

    subject: str
    predicate: str
    object: str
    temporal: str
    spatial: str
    clinical: str
    confidence: float
    start: int
    end: int
    reference: str
