"""A relation as one sentence states it, before it becomes a relation with evidence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RelationStatement:
    """``subject`` and ``object`` are concept ids; ``start`` and ``end`` delimit the sentence in the
    document's text; ``reference`` is what it cites, or ""."""

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
