"""The longest valid path by trying all of them, with the rules written down a second time, path by
path."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from medr_ray.graph.paths.validity import Rules, Step
from medr_ray.knowledge.predicates import PREDICATES

SIGN, USE, HARM = (
    ("has_finding", "presents_with"),
    ("treated_with", "sign_treated_with"),
    ("induced_by", "sign_induced_by"),
)
Directed = tuple[str, bool]


def longest_by_brute_force(
    starts: Sequence[str],
    steps: Mapping[str, Sequence[Step]],
    max_hops: int,
    rules: Rules,
    over: str = "",
) -> int:
    """Hops of the longest of all valid simple paths from the starts; of those over an entity if
    told."""
    return max(
        (
            len(path)
            for start in starts
            for path in _paths(start, (), steps, max_hops, rules)
            if over in ("", start, *(step.target for step in path))
        ),
        default=0,
    )


def is_valid_path(
    start: str, path: Sequence[Step], steps: Mapping[str, Sequence[Step]], rules: Rules
) -> bool:
    """Whether each step is one of those that leave where the path stands, and all rules hold along
    it."""
    entities = [start, *(step.target for step in path)]
    joined = all(
        step in steps.get(entity, ()) for entity, step in zip(entities, path, strict=False)
    )
    return joined and len(set(entities)) == len(entities) and _keeps_rules(path, rules)


def _paths(
    start: str,
    path: tuple[Step, ...],
    steps: Mapping[str, Sequence[Step]],
    max_hops: int,
    rules: Rules,
) -> Iterator[tuple[Step, ...]]:
    yield path
    if len(path) < max_hops:
        for step in steps.get(path[-1].target if path else start, ()):
            if step.target not in (start, *(earlier.target for earlier in path)) and _keeps_rules(
                (*path, step), rules
            ):
                yield from _paths(start, (*path, step), steps, max_hops, rules)


def _keeps_rules(path: Sequence[Step], rules: Rules) -> bool:
    named = [step.predicate for step in path if step.predicate]
    if rules.unique_predicates and len(set(named)) < len(named):
        return False
    if rules.temporal_order and any(
        earlier.years and other.years and other.years[1] < earlier.years[0]
        for i, earlier in enumerate(path)
        for other in path[i + 1 :]
    ):
        return False
    pairs = [
        ((earlier.predicate, earlier.forward), (other.predicate, other.forward))
        for earlier, other in pairwise(path)
        if earlier.predicate and other.predicate
    ]
    return all(map(_is_allowed_pair, pairs)) and all(
        sum(map(kind, pairs)) <= 1 for kind in _AT_MOST_ONCE
    )


def _is_allowed_pair(pair: tuple[Directed, Directed]) -> bool:
    (first, enters_forward), (second, leaves_forward) = pair
    entered_type = (
        PREDICATES[first].object_type if enters_forward else PREDICATES[first].subject_type
    )
    left_type = (
        PREDICATES[second].subject_type if leaves_forward else PREDICATES[second].object_type
    )
    return entered_type == left_type != "value" and not (
        first == second == "subtype_of" and enters_forward != leaves_forward
    )


def _shares_group(group: tuple[str, ...]) -> Callable[[tuple[Directed, Directed]], bool]:
    """Tests whether a pair enters by a predicate of the group and leaves by one of it backwards."""
    return lambda pair: (
        pair[0][0] in group and pair[0][1] and pair[1][0] in group and not pair[1][1]
    )


_AT_MOST_ONCE = (
    _shares_group(SIGN),
    _shares_group(USE),
    _shares_group(HARM),
    _shares_group(("complicated_by",)),
    lambda pair: pair == (("complicated_by", False), ("complicated_by", True)),
    lambda pair: pair == (("subtype_of", True), ("subtype_of", True)),
)
