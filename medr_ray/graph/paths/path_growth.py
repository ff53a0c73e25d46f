"""Valid paths walked step by step, at either end: to everything around an entity, the nearest
first, and long ones at random.

What holds: every trail is a valid simple path (see ``graph.paths.validity``), its turns, predicates
and years included.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from medr_ray.graph.paths.validity import FREE, NEVER, Rules, Step, turn_between


class Trail(NamedTuple):
    """A valid path under way: ``entities`` so far, and what the next step is checked against: the
    directed predicates of its first and last step, what was used up, the latest first and the
    earliest last year."""

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

    def tip(self, back: bool = False) -> str:
        """The entity that it ends in; the one that it starts from when seen ``back``."""
        return self.entities[0 if back else -1]

    def extended(self, step: Step, rules: Rules, back: bool = False) -> "Trail | None":
        """The trail with one step more, None where it would not be valid. A step ``back`` is put in
        front: it leads from its ``target`` to where the trail starts."""
        kind = step.directed_predicate
        turn = turn_between(kind, self.first) if back else turn_between(self.last, kind)
        if turn == NEVER or turn in self.turns or step.target in self.entities:
            return None
        since, until, predicates = self.since, self.until, self.predicates
        if rules.temporal_order and step.years is not None:
            begun, over = step.years
            if begun > until if back else over < since:
                return None
            since, until = max(since, begun), min(until, over)
        if rules.unique_predicates:
            if step.predicate in predicates:
                return None
            predicates |= {step.predicate}
        turns = self.turns if turn == FREE else self.turns | {turn}
        if back:
            return Trail(
                (step.target, *self.entities),
                kind,
                self.last or kind,
                turns,
                predicates,
                since,
                until,
            )
        return Trail(
            (*self.entities, step.target), self.first or kind, kind, turns, predicates, since, until
        )


class Ways(NamedTuple):
    """The steps that can be taken: those out of each entity, and those into each, seen from
    there."""

    out: Mapping[str, Sequence[Step]]
    into: Mapping[str, Sequence[Step]]
    rules: Rules

    def extensions(self, trail: Trail, back: bool = False) -> list[Trail]:
        """The trails that are one step longer at the end, or at the start."""
        steps = (self.into if back else self.out).get(trail.tip(back), ())
        return [longer for step in steps if (longer := trail.extended(step, self.rules, back))]


def seen_from_targets(steps: Mapping[str, Sequence[Step]]) -> dict[str, list[Step]]:
    """The steps into each entity; their ``target`` is where they come from."""
    into: dict[str, list[Step]] = defaultdict(list)
    for start, chosen in sorted(steps.items()):
        for step in chosen:
            into[step.target].append(replace(step, target=start))
    return dict(into)


def trails_from(
    start: Trail, ways: Ways, max_hops: int, most: int, back: bool = False
) -> Iterator[Trail]:
    """A trail to each entity (``back``: from each) that ``start`` can be extended to, by
    ``max_hops`` steps and to ``most`` entities at most, the nearest first.

    It is the shortest of those seen by a search that keeps one for each entity, step there and
    turns made.
    """
    reached, seen, layer = set(start.entities), set(), [start]
    enough = len(reached) + most
    for _ in range(max_hops):
        longer = (one for trail in layer for one in ways.extensions(trail, back))
        layer = []
        for trail in longer:
            tip = trail.tip(back)
            state = (tip, trail.first if back else trail.last, trail.turns, trail.predicates)
            if state in seen:
                continue
            seen.add(state)
            layer.append(trail)
            if tip not in reached:
                reached.add(tip)
                yield trail
                if len(reached) >= enough:
                    return


def long_trail(
    start: Trail,
    ways: Ways,
    max_hops: int,
    dice: random.Random,
    dives: int = 10,
    states: int = 2_000,
) -> tuple[Trail, bool]:
    """A longest extension of ``start`` found by depth-first searches in random order, and whether
    none is longer, of ``max_hops`` steps more at most. A search that looked at so many ``states``
    is begun anew, up to ``dives`` times: better than to try every way out of a corner."""
    best = start
    for _ in range(dives):
        waiting = [(start, False)]
        for _ in range(states):
            trail, back = waiting.pop()
            best = max(best, trail, key=lambda one: one.hops)
            if best.hops - start.hops >= max_hops:
                return best, True
            onward = [(one, True) for one in ways.extensions(trail, back=True)]
            if not back:  # first the end, then the start: every path comes up once
                onward += [(one, False) for one in ways.extensions(trail)]
            waiting += dice.sample(onward, len(onward))
            if not waiting:
                return best, True
    return best, False
