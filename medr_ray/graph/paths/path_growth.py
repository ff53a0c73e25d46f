"""Valid paths that are grown step by step at either end: paths to the entities around one, nearest
first, and long paths by a random search.

Every path is a valid simple path (see ``graph.paths.validity``), also in its turns, predicates and
years.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from medr_ray.graph.paths.validity import FREE, NEVER, Rules, Step, turn_between


class PartialPath(NamedTuple):
    """A valid path that can still grow.

    It has the ``entities`` so far and everything that the next step is checked against: the
    directed predicates of its first and last step, the turns and predicates used up, the latest
    first year (``since``) and the earliest last year (``until``) of its relations.
    """

    entities: tuple[str, ...]
    first: str = ""
    last: str = ""
    turns: frozenset[int] = frozenset()
    predicates: frozenset[str] = frozenset()
    since: int = 0
    until: int = 9999

    @property
    def hops(self) -> int:
        return len(self.entities) - 1

    def end_entity(self, back: bool = False) -> str:
        """The entity at its end; with ``back`` the one at its start."""
        return self.entities[0 if back else -1]

    def extend_by(self, step: Step, rules: Rules, back: bool = False) -> "PartialPath | None":
        """The path with one more step; None where it would not be valid.

        With ``back`` the step is put in front: it leads from its ``target`` to the start of the
        path.
        """
        kind = step.directed_predicate
        turn = turn_between(kind, self.first) if back else turn_between(self.last, kind)
        if turn == NEVER or turn in self.turns or step.target in self.entities:
            return None
        since = self.since
        until = self.until
        if rules.temporal_order and step.years is not None:
            first_year, last_year = step.years
            # In front of the path the step must not begin after a relation that follows it is over;
            # at the end it must not be over before a relation that precedes it began.
            is_out_of_order = first_year > until if back else last_year < since
            if is_out_of_order:
                return None
            since = max(since, first_year)
            until = min(until, last_year)
        predicates = self.predicates
        if rules.unique_predicates:
            if step.predicate in predicates:
                return None
            predicates |= {step.predicate}
        turns = self.turns if turn == FREE else self.turns | {turn}
        if back:
            entities = (step.target, *self.entities)
            return PartialPath(entities, kind, self.last or kind, turns, predicates, since, until)
        entities = (*self.entities, step.target)
        return PartialPath(entities, self.first or kind, kind, turns, predicates, since, until)


class StepIndex(NamedTuple):
    """The steps out of each entity and the steps into each.

    The ``target`` of a step in ``into`` is the entity that the step comes from.
    """

    out: Mapping[str, Sequence[Step]]
    into: Mapping[str, Sequence[Step]]
    rules: Rules

    def list_extensions(self, path: PartialPath, back: bool = False) -> list[PartialPath]:
        """The paths that are one step longer at the end, or at the start."""
        steps = (self.into if back else self.out).get(path.end_entity(back), ())
        longer_paths = (path.extend_by(step, self.rules, back) for step in steps)
        return [longer for longer in longer_paths if longer is not None]


def reverse_steps(steps: Mapping[str, Sequence[Step]]) -> dict[str, list[Step]]:
    """The steps into each entity; their ``target`` is the entity that they come from."""
    into: dict[str, list[Step]] = defaultdict(list)
    for start, outgoing in sorted(steps.items()):
        for step in outgoing:
            into[step.target].append(replace(step, target=start))
    return dict(into)


def find_nearest_paths(
    start: PartialPath, index: StepIndex, max_hops: int, max_entities: int, back: bool = False
) -> Iterator[PartialPath]:
    """A path to each entity (``back``: from each) that ``start`` can be extended to, nearest first.

    At most ``max_hops`` steps are added and ``max_entities`` entities reached. Each path is the
    shortest that a breadth-first search finds. The search keeps one path for each combination of
    end, last step, turns and predicates, so in rare cases it misses an entity that only another
    path with the same combination reaches.
    """
    reached = set(start.entities)
    seen_states = set()
    layer = [start]
    enough = len(reached) + max_entities
    for _ in range(max_hops):
        longer_paths = (longer for path in layer for longer in index.list_extensions(path, back))
        layer = []
        for path in longer_paths:
            end = path.end_entity(back)
            state = (end, path.first if back else path.last, path.turns, path.predicates)
            if state in seen_states:
                continue
            seen_states.add(state)
            layer.append(path)
            if end not in reached:
                reached.add(end)
                yield path
                if len(reached) >= enough:
                    return


def search_longest_path(
    start: PartialPath,
    index: StepIndex,
    max_hops: int,
    rng: random.Random,
    restarts: int = 10,
    max_states: int = 2_000,
) -> tuple[PartialPath, bool]:
    """(the longest extension of ``start`` that was found, whether it is proven to be a longest
    one).

    At most ``max_hops`` steps are added. The search is depth-first in random order. After
    ``max_states`` paths it begins anew, up to ``restarts`` times, because exhausting one unlucky
    beginning would take much longer.
    """
    best = start
    for _ in range(restarts):
        stack = [(start, False)]
        for _ in range(max_states):
            path, back = stack.pop()
            best = max(best, path, key=lambda candidate: candidate.hops)
            # No path may be longer, so this one is a longest one.
            if best.hops - start.hops >= max_hops:
                return best, True
            onward = [(longer, True) for longer in index.list_extensions(path, back=True)]
            # A path grows at its end first and then at its start only. So each path is built in one
            # order, not in every mixture of the two.
            if not back:
                onward += [(longer, False) for longer in index.list_extensions(path)]
            stack += rng.sample(onward, len(onward))
            if not stack:  # every path was seen
                return best, True
    return best, False
