"""Of several editions of a record, the newest one counts.

A record (of a source, by its id) speaks of one or more subjects. What its newest edition states of
a subject by a predicate replaces what earlier ones state by it: a trial has the start date, the
conditions and the sites of its last update. Where the newest edition states nothing of the kind,
the last one that does counts, with its own date. Values of one date that contradict each other all
stay.
"""

from collections.abc import Iterable

from medr_ray.core.records import Fact

EditionKey = tuple[str, str, str, str]


def keep_newest(facts: Iterable[Fact]) -> list[Fact]:
    """The facts of the newest editions, each once, in their order."""
    facts = list(facts)
    newest: dict[EditionKey, str] = {}
    for fact in facts:
        key = _edition_key(fact)
        newest[key] = max(newest.get(key, ""), fact.as_of)
    kept: dict[str, Fact] = {}
    for fact in facts:
        # An edition that states the same again has a fact of the same id.
        if fact.as_of == newest[_edition_key(fact)]:
            kept.setdefault(fact.fact_id, fact)
    return list(kept.values())


def _edition_key(fact: Fact) -> EditionKey:
    return fact.evidence.source, fact.evidence.record_id, fact.subject, fact.predicate
