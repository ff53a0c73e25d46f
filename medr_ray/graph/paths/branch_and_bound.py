"""Branch and bound over valid simple paths, on a graph compiled to numbers.

``Problem`` is what depth-first search and constraint solver share: the arcs that can lie on a valid
path from one of the starts, what each uses up of what may be had once, and an upper bound from the
strongly connected parts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import igraph

from medr_ray.graph.paths.validity import FREE, NEVER, Rules, Step, Years, turn_between

Steps = Mapping[str, Sequence[Step]]
State = tuple[
    int, int, int
]  # an entity, the kind of the step it was reached by, and the turns used up by then
_NO_STEP = 0  # the kind at a start; every other kind is a directed predicate
ANY_YEAR: Years = (0, 9999)
_TURNS = (1 << FREE) - 1  # the bits of the turns; those of the predicates are higher


class Arc(NamedTuple):
    """A step between numbered entities. ``kind`` numbers its directed predicate, ``uses`` is the
    bit of its predicate where that may be walked once only; ``first`` and ``last`` are its years,
    wide open where they do not matter."""

    start: int
    target: int
    kind: int
    uses: int
    first: int
    last: int
    step: Step


class LongestPathProblem:
    """The longest valid path from any of ``starts``, at most ``max_hops`` steps long, and ``over``
    an entity if told.

    ``arcs[i]`` leave entity i, in the order of the steps given; ``names[i]`` is its id.
    ``turns[kind][other]`` is the bit that a step of kind ``other`` uses up after one of ``kind``, 0
    for none, NEVER where it may not follow.
    """

    def __init__(
        self,
        steps: Steps,
        starts: Iterable[str],
        max_hops: int,
        rules: Rules,
        required: str | None = None,
    ) -> None:
        wanted = list(dict.fromkeys(starts if required is None else (required, *starts)))
        self.names = sorted(
            {*wanted, *steps, *(one.target for chosen in steps.values() for one in chosen)}
        )
        number = {name: i for i, name in enumerate(self.names)}
        self.starts = [number[one] for one in wanted]
        self.required = None if required is None else number[required]
        kinds = [
            "",
            *sorted({one.directed_predicate for chosen in steps.values() for one in chosen}),
        ]
        self.turns = [[_bit(turn_between(into, out)) for out in kinds] for into in kinds]
        self.arcs = _compile(steps, number, {kind: i for i, kind in enumerate(kinds[1:], 1)}, rules)
        if len(self.starts) == 1:
            self.arcs = [
                [arc for arc in chosen if arc.target != self.starts[0]] for chosen in self.arcs
            ]
        self.max_hops = min(max_hops, max(len(self.names) - 1, 0), self._most_uses(rules))

    def _most_uses(self, rules: Rules) -> int:
        """Steps there can be before every predicate is used up."""
        uses = {arc.uses for chosen in self.arcs for arc in chosen}
        return len(uses) if rules.unique_predicates and 0 not in uses else len(self.names)

    @cached_property
    def _after(self) -> dict[State, list[Arc]]:
        """Every state that some walk from a start reaches, and the arcs that may follow."""
        after: dict[State, list[Arc]] = {}
        waiting: list[State] = [(start, _NO_STEP, 0) for start in self.starts]
        while waiting:
            state = waiting.pop()
            if state not in after:
                turns, spent = self.turns[state[1]], state[2]
                after[state] = [
                    arc
                    for arc in self.arcs[state[0]]
                    if turns[arc.kind] != NEVER and not turns[arc.kind] & spent
                ]
                waiting.extend(self._state_after(state, arc) for arc in after[state])
        return after

    def _state_after(self, state: State, arc: Arc) -> State:
        return arc.target, arc.kind, state[2] | self.turns[state[1]][arc.kind]

    def useful_arcs(self) -> list[Arc]:
        """The arcs that some walk from a start takes, by the entity they leave."""
        useful = {arc for arcs in self._after.values() for arc in arcs}
        return [arc for chosen in self.arcs for arc in chosen if arc in useful]

    @cached_property
    def potential(self) -> dict[State, int]:
        """An upper bound on the steps after each state: a path leaves a strongly connected part for
        good, and passes each of its entities at most once."""
        number = {state: i for i, state in enumerate(self._after)}
        graph = igraph.Graph(
            len(number),
            [
                (i, number[other])
                for state, i in number.items()
                for other in dict.fromkeys(
                    self._state_after(state, arc) for arc in self._after[state]
                )
            ],
            directed=True,
        )
        parts = graph.connected_components("strong")
        entities: list[set[int]] = [set() for _ in parts]
        for state, part in zip(number, parts.membership, strict=True):
            entities[part].add(state[0])
        graph.contract_vertices(parts.membership)
        graph.simplify()
        longest = [0] * len(entities)
        for part in graph.topological_sorting("in"):
            longest[part] = len(entities[part]) + max(
                (longest[one] for one in graph.successors(part)), default=0
            )
        return {
            state: longest[part] - 1 for state, part in zip(number, parts.membership, strict=True)
        }

    @property
    def upper_bound(self) -> int:
        """No valid path takes more steps."""
        return min(
            self.max_hops,
            max((self.potential[start, _NO_STEP, 0] for start in self.starts), default=0),
        )


def _bit(turn: int) -> int:
    """What the turn uses up; see ``Problem.turns``."""
    return NEVER if turn == NEVER else 0 if turn == FREE else 1 << turn


def _compile(
    steps: Steps, number: Mapping[str, int], kinds: Mapping[str, int], rules: Rules
) -> list[list[Arc]]:
    """The steps by the number of their entity; of several that the rules cannot tell apart, the
    first."""
    predicates = sorted({one.predicate for chosen in steps.values() for one in chosen} - {""})
    bits = (
        {one: 1 << i for i, one in enumerate(predicates, FREE)} if rules.unique_predicates else {}
    )
    arcs: list[list[Arc]] = [[] for _ in number]
    for name, chosen in steps.items():
        distinct: dict[tuple[int, int, Years], Arc] = {}
        for one in chosen:
            years = one.years if one.years and rules.temporal_order else ANY_YEAR
            arc = Arc(
                number[name],
                number[one.target],
                kinds[one.directed_predicate],
                bits.get(one.predicate, 0),
                *years,
                one,
            )
            if arc.target != arc.start:
                distinct.setdefault((arc.target, arc.kind, years), arc)
        arcs[number[name]] = list(distinct.values())
    return arcs


class _Frame(NamedTuple):
    """An entity on the path under way: the arcs left to try, the kind of the step it was reached
    by, what is used up, and the latest year known so far."""

    arcs: Iterator[Arc]
    kind: int
    used: int
    since: int


class DepthFirstSearch:
    """The search. ``proven`` says whether it saw everything that mattered.

    ``max_effort`` is the number of entities it may look at, those that its bounds look at included;
    a search that has ended after ``easy`` states does without the bound that has to be computed for
    the whole graph first.
    """

    def __init__(self, problem: LongestPathProblem, max_effort: int, easy: int = 1_000) -> None:
        self._problem, self._left, self._easy = problem, max_effort, easy
        self._onward = [_mask(arc.target for arc in arcs) for arcs in problem.arcs]
        self._passable = _mask(i for i, arcs in enumerate(problem.arcs) if arcs)
        self._over = 0 if problem.required is None else 1 << problem.required
        self._leading_there = _leading_to(problem) if self._over else 0
        self._best: tuple[Arc, ...] = ()
        self._states = 0

    @property
    def proven(self) -> bool:
        return self._left >= 0

    def run(self) -> tuple[Arc, ...]:
        """The longest path found; of several the first in the order of starts and steps."""
        for start in self._problem.starts:
            self._search(start)
        return self._best

    def _search(self, start: int) -> None:
        path: list[Arc] = []
        visited = 1 << start
        frames = [_Frame(self._worth_trying((start, _NO_STEP, 0), visited, 0), _NO_STEP, 0, 0)]
        while frames:
            arc = next(frames[-1].arcs, None)
            if arc is None or self._is_over():
                frames.pop()
                if path:
                    visited ^= 1 << path.pop().target
            elif (
                not visited >> arc.target & 1
                and (used := self._allowed(frames[-1], arc)) is not None
            ):
                path.append(arc)
                visited |= 1 << arc.target
                if len(path) > len(self._best) and visited & self._over == self._over:
                    self._best = tuple(path)
                onward = self._worth_trying(
                    (arc.target, arc.kind, used & _TURNS), visited, len(path)
                )
                frames.append(_Frame(onward, arc.kind, used, max(frames[-1].since, arc.first)))

    def _is_over(self) -> bool:
        return self._left < 0 or len(self._best) >= self._problem.max_hops

    def _allowed(self, frame: _Frame, arc: Arc) -> int | None:
        """What is used up after the arc; None where the rules forbid it."""
        turn = self._problem.turns[frame.kind][arc.kind]
        if turn == NEVER or (turn | arc.uses) & frame.used or arc.last < frame.since:
            return None
        return frame.used | turn | arc.uses

    def _worth_trying(self, state: State, visited: int, length: int) -> Iterator[Arc]:
        """The arcs onward, none where no path that goes on from here can beat the best."""
        self._left -= 1
        self._states += 1
        wanted = len(self._best) + 1 - length
        missed = self._over and not visited & self._over and not self._leading_there >> state[0] & 1
        left = self._problem.max_hops - length
        hopeless = (
            missed
            or left < max(wanted, 1)
            or not self._reaches(state[0], visited, wanted)
            or (self._states > self._easy and self._problem.potential[state] < wanted)
        )
        return iter(() if hopeless else self._problem.arcs[state[0]])

    def _reaches(self, entity: int, visited: int, wanted: int) -> bool:
        """Whether so many steps more are conceivable: every entity left that can be passed through,
        and one end."""
        free = ~visited
        waiting = self._onward[entity] & free
        seen = 0
        while waiting:
            lowest = waiting & -waiting
            seen |= lowest
            self._left -= 1
            if (seen & self._passable).bit_count() + bool(
                (seen | waiting) & ~self._passable
            ) >= wanted:
                return True
            waiting = (waiting | self._onward[lowest.bit_length() - 1]) & free & ~seen
        return False


def _leading_to(problem: LongestPathProblem) -> int:
    """The entities from which some walk leads to the one that paths have to lead over, as a
    mask."""
    graph = igraph.Graph(
        len(problem.names), [arc[:2] for arcs in problem.arcs for arc in arcs], directed=True
    )
    return _mask(graph.subcomponent(problem.required, mode="in"))


def _mask(numbers: Iterable[int]) -> int:
    mask = 0
    for one in numbers:
        mask |= 1 << one
    return mask
