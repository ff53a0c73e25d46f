"""Finds every answer that a question's words allow over all annotated facts, and its needless hops.

A pattern is a path without the names of its hidden entities: it leads from the named starts along
the hops to every entity that fits. A hop is needed when without it the rest of the pattern no
longer leads to the answer alone.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence, Set

from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.shares import is_exact, parse_share
from medr_ray.questions.drafting.question_paths import QuestionPath

# States (a hop and the entity it starts at) searched for a way to another answer. Patterns that
# have such a way show it within a few dozen.
MAX_SEARCHED_STATES = 1_000
CHOICE_CRITERIA = ("earliest", "latest", "largest", "smallest")


def follow_hops(hops: Sequence[Hop], starts: Iterable[str], facts: FactIndex) -> set[str]:
    """Every entity the hops lead to from any of ``starts``."""
    # (entity before, entity): a hop marked "other" may not lead back to the entity before. All ends
    # of a hop are followed together, so a pair that several ways reach is looked up once.
    frontier = {("", start) for start in starts}
    for hop in hops:
        frontier = {
            (entity, end)
            for before, entity in frontier
            for end in hop.possible_targets(entity, before, facts)
        }
    return {end for _, end in frontier}


def find_possible_answers(
    path: QuestionPath, starts: Sequence[Iterable[str]], facts: FactIndex
) -> set[str]:
    """Every answer of the path's pattern: entity ids, or qualifiers where a share is asked.

    ``starts`` has, for each named start of the path, the entities that its name may mean.
    """
    ends = follow_hops(path.hops, starts[0], facts)
    if path.second:
        ends &= follow_hops(path.second, starts[1], facts)
    if path.asked == "share":
        clause = path.about[0]
        return {
            qualifier
            for end in ends
            for qualifier in facts.find_qualifiers(
                end, clause.predicate, clause.forward, clause.other
            )
        }
    if path.asked in CHOICE_CRITERIA:
        return find_winners(path, ends, facts)
    return ends


def find_winners(path: QuestionPath, ends: Set[str], facts: FactIndex) -> set[str]:
    """The ``ends`` that may come first by what is asked; several when the facts do not decide."""
    spans = {}
    for end in sorted(ends):
        span = _compute_span(path, end, facts)
        # An end without a stated value cannot be compared, so it cannot win.
        if span is not None:
            spans[end] = span
    # Values are ranges. An end may win unless another one is better over its whole range.
    if path.asked in ("latest", "largest"):
        return {
            end for end, (_, high) in spans.items() if all(high >= low for low, _ in spans.values())
        }
    return {
        end for end, (low, _) in spans.items() if all(low <= high for _, high in spans.values())
    }


def select_comparable_ends(path: QuestionPath, ends: Set[str], facts: FactIndex) -> set[str]:
    """The ``ends`` for which the facts state the value that is compared."""
    return {end for end in ends if _compute_span(path, end, facts) is not None}


def _compute_span(path: QuestionPath, entity: str, facts: FactIndex) -> tuple[float, float] | None:
    """(lowest, highest) value that is compared: years of age at onset, or the share of the
    finding. None where no fact states it."""
    if path.asked in ("earliest", "latest"):
        spans = [
            span
            for onset in facts.find_targets(entity, "has_onset", True, "")
            if (span := onset_years(onset)) is not None
        ]
    else:
        spans = [
            span
            for words in facts.find_qualifiers(entity, "has_finding", True, path.about[0].other)
            if is_exact(words) and (span := parse_share(words)) is not None
        ]
    if not spans:
        return None
    # Several facts may state different values: the span covers all of them.
    return min(low for low, _ in spans), max(high for _, high in spans)


def find_needless_hops(path: QuestionPath, facts: FactIndex) -> list[int]:
    """Numbers (from 1) of the hops without which the pattern would still lead to the answer alone.

    The numbers of a second walk continue those of the first.
    """
    if not path.second:
        return list(find_needless_in_walk(path.hops, facts))
    first_ends, second_ends = (
        follow_hops(hops, (hops[0].start,), facts) for hops in (path.hops, path.second)
    )
    # Each walk is judged beside the other: only ends that the other walk reaches count as answers.
    return [
        *find_needless_in_walk(path.hops, facts, second_ends),
        *(
            len(path.hops) + number
            for number in find_needless_in_walk(path.second, facts, first_ends)
        ),
    ]


def find_needless_in_walk(
    hops: Sequence[Hop], facts: FactIndex, ends: Set[str] | None = None
) -> Iterator[int]:
    """Numbers (from 1) of the hops that a walk does not need, as far as
    ``MAX_SEARCHED_STATES`` states show.

    Where the walk has to end among ``ends``, only these count as other ends.
    """
    return (
        number
        for number in range(1, len(hops) + 1)
        if not is_hop_needed(hops, number - 1, facts, ends)
    )


def is_hop_needed(
    hops: Sequence[Hop], place: int, facts: FactIndex, ends: Set[str] | None = None
) -> bool:
    """Whether a walk is ambiguous without the hop at ``place`` (from 0).

    The target of that hop may then be any entity that fits its clauses and the later hops. The hop
    is needed when from one of these the walk reaches another end; see ``find_needless_in_walk``.
    """
    dropped = hops[place]
    rest = hops[place + 1 :]
    candidates: Iterable[str]
    if dropped.also:
        # Without the hop its clauses still stand, so only entities that fit all of them count.
        # A clause is read backwards here: from the entity it names to those it is stated about.
        candidates = sorted(
            frozenset.intersection(
                *(
                    facts.find_targets(
                        clause.other, clause.predicate, not clause.forward, clause.clinical
                    )
                    for clause in dropped.also
                )
            )
        )
    elif rest:
        candidates = facts.askable_entities(rest[0].predicate, rest[0].forward, rest[0].clinical)
    else:
        # The last hop without clauses: any entity could be the end, or any of ``ends``.
        return ends is None or len(ends) > 1
    seen: set[tuple[int, str, str]] = set()
    others = (entity for entity in candidates if entity != dropped.target)
    # ``seen`` grows while the candidates are tried, so takewhile bounds the whole search.
    return any(
        _reaches_other_end(rest, 0, entity, "", hops[-1].target, facts, seen, ends)
        for entity in itertools.takewhile(lambda _: len(seen) < MAX_SEARCHED_STATES, others)
    )


def _reaches_other_end(
    hops: Sequence[Hop],
    place: int,
    entity: str,
    before: str,
    target: str,
    facts: FactIndex,
    seen: set[tuple[int, str, str]],
    ends: Set[str] | None,
) -> bool:
    """Whether the hops from ``place`` on lead from ``entity`` to an entity of ``ends`` other than
    ``target``.

    The search is depth first: most walks reach one, and need not be followed to all their ends.
    ``seen`` are the states already searched without success.
    """
    if place == len(hops):
        return entity != target and (ends is None or entity in ends)
    hop = hops[place]
    # The entity before only matters to a hop marked "other": leaving it out merges states.
    state = (place, entity, before if hop.other else "")
    if state in seen:
        return False
    seen.add(state)
    return any(
        _reaches_other_end(hops, place + 1, end, entity, target, facts, seen, ends)
        for end in sorted(hop.possible_targets(entity, before, facts))
    )
