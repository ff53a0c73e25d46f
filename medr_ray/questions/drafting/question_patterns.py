"""What a question's words allow: every answer of its pattern over all known facts, and whether each
hop is needed.

A pattern is a path without its names: from the named starts along the hops, whatever fits. A hop is
needed when without it the rest of the pattern no longer leads to the answer alone.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence, Set

from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.shares import is_exact, share
from medr_ray.questions.drafting.question_paths import Path

LOOKS = 1_000  # entities looked at for another way to another answer: those that have one show it within a few dozen
CHOICES = ("earliest", "latest", "largest", "smallest")


def walked(hops: Sequence[Hop], starts: Iterable[str], facts: FactIndex) -> set[str]:
    """Every entity the hops lead to from any of ``starts``."""
    frontier = {("", start) for start in starts}
    for hop in hops:
        frontier = {
            (known, end)
            for before, known in frontier
            for end in hop.possible_targets(known, before, facts)
        }
    return {end for _, end in frontier}


def answers(path: Path, starts: Sequence[Iterable[str]], facts: FactIndex) -> set[str]:
    """Every answer of the path's pattern; ``starts`` are the entities that its named starts may
    mean. Entities, or the qualifiers where a share is asked."""
    ends = walked(path.hops, starts[0], facts)
    if path.second:
        ends &= walked(path.second, starts[1], facts)
    if path.asked == "share":
        asked = path.about[0]
        return {
            one
            for end in ends
            for one in facts.qualifiers(end, asked.predicate, asked.forward, asked.other)
        }
    if path.asked in CHOICES:
        return winners(path, ends, facts)
    return ends


def winners(path: Path, ends: Set[str], facts: FactIndex) -> set[str]:
    """Which of ``ends`` may come first by what is asked; several when that is not decided."""
    spans = {end: span for end in sorted(ends) if (span := _span(path, end, facts)) is not None}
    if path.asked in ("latest", "largest"):
        return {
            one for one, (_, high) in spans.items() if all(high >= low for low, _ in spans.values())
        }
    return {
        one for one, (low, _) in spans.items() if all(low <= high for _, high in spans.values())
    }


def stated(path: Path, ends: Set[str], facts: FactIndex) -> set[str]:
    """Those of ``ends`` of which it is known what is compared."""
    return {one for one in ends if _span(path, one, facts) is not None}


def _span(path: Path, entity: str, facts: FactIndex) -> tuple[float, float] | None:
    """(lowest, highest) value that is compared: years of age at onset, or the share of the
    finding."""
    if path.asked in ("earliest", "latest"):
        known = [
            span
            for one in facts.targets(entity, "has_onset", True, "")
            if (span := onset_years(one)) is not None
        ]
    else:
        known = [
            span
            for words in facts.qualifiers(entity, "has_finding", True, path.about[0].other)
            if is_exact(words) and (span := share(words)) is not None
        ]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def needless_hops(path: Path, facts: FactIndex) -> list[int]:
    """Numbers (from 1) of the hops without which the pattern would still lead to the answer alone;
    those of a second walk are counted on."""
    if not path.second:
        return list(needless(path.hops, facts))
    first, second = (walked(hops, (hops[0].known,), facts) for hops in (path.hops, path.second))
    return [
        *needless(path.hops, facts, second),
        *(len(path.hops) + number for number in needless(path.second, facts, first)),
    ]


def needless(hops: Sequence[Hop], facts: FactIndex, ends: Set[str] | None = None) -> Iterator[int]:
    """Numbers (from 1) of the hops that a walk could do without, as far as ``LOOKS`` tell; where it
    has to end among ``ends``, only these count as other ends."""
    return (
        number for number in range(1, len(hops) + 1) if not is_needed(hops, number - 1, facts, ends)
    )


def is_needed(
    hops: Sequence[Hop], place: int, facts: FactIndex, ends: Set[str] | None = None
) -> bool:
    """Whether something else than the walk's end is reached when the target of the hop at ``place``
    (from 0) may be whatever fits the rest; see ``needless``."""
    dropped, rest = hops[place], hops[place + 1 :]
    fitting: Iterable[str]
    if dropped.also:
        fitting = sorted(
            frozenset.intersection(
                *(
                    facts.targets(one.other, one.predicate, not one.forward, one.clinical)
                    for one in dropped.also
                )
            )
        )
    elif rest:
        fitting = facts.askable_entities(rest[0].predicate, rest[0].forward, rest[0].clinical)
    else:
        return ends is None or len(ends) > 1
    seen: set[tuple[int, str, str]] = set()
    others = (one for one in fitting if one != dropped.target)
    return any(
        _misses(rest, 0, one, "", hops[-1].target, facts, seen, ends)
        for one in itertools.takewhile(lambda _: len(seen) < LOOKS, others)
    )


def _misses(
    hops: Sequence[Hop],
    place: int,
    known: str,
    before: str,
    target: str,
    facts: FactIndex,
    seen: set[tuple[int, str, str]],
    ends: Set[str] | None,
) -> bool:
    """Whether the hops from ``place`` on lead from ``known`` to anything of ``ends`` but
    ``target``: depth first, for most walks do and need not be followed to all their ends. ``seen``
    are the places looked at already, in vain."""
    if place == len(hops):
        return known != target and (ends is None or known in ends)
    hop = hops[place]
    if (state := (place, known, before if hop.other else "")) in seen:
        return False
    seen.add(state)
    return any(
        _misses(hops, place + 1, end, known, target, facts, seen, ends)
        for end in sorted(hop.possible_targets(known, before, facts))
    )
