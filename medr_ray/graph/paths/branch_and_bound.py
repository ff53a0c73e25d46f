"""Branch and bound over valid simple paths, on a graph compiled to numbers.

``LongestPathProblem`` is shared by the depth-first search and the constraint solver. It has the
arcs that can lie on a valid path from one of the starts, the turn or predicate that each arc uses
up where the rules allow it only once, and an upper bound from the strongly connected components.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import igraph

from medr_ray.graph.paths.validity import FREE, NEVER, Rules, Step, Years, turn_between

Steps = Mapping[str, Sequence[Step]]
# (entity, kind of the step that reached it, bits of the turns used up so far)
State = tuple[int, int, int]
_NO_STEP = 0  # the kind at a start; every other kind is a directed predicate
ANY_YEAR: Years = (0, 9999)
_TURNS = (1 << FREE) - 1  # mask of the turns' bits; the bits of predicates are higher


class Arc(NamedTuple):
    """A step between numbered entities.

    ``kind`` is the number of its directed predicate. ``uses`` is the bit of its predicate where
    each predicate may be walked only once, else 0. ``first`` and ``last`` are its years,
    ``ANY_YEAR`` where years do not matter.
    """

    start: int
    target: int
    kind: int
    uses: int
    first: int
    last: int
    step: Step


class LongestPathProblem:
    """The search for the longest valid path that begins at any of ``starts``, has at most
    ``max_hops`` steps and contains the entity ``required``, where one is given.

    ``arcs[i]`` are the arcs that leave entity i, in the order of the given steps; ``names[i]`` is
    its id. ``turns[kind][other]`` is the bit that a step of kind ``other`` uses up after one of
    ``kind``: 0 for none, NEVER where it may not follow.
    """

    def __init__(
        self,
        steps: Steps,
        starts: Iterable[str],
        max_hops: int,
        rules: Rules,
        required: str | None = None,
    ) -> None:
        all_steps = [step for outgoing in steps.values() for step in outgoing]
        # A path that begins at the required entity meets the requirement at once, so that start is
        # tried first.
        ordered_starts = list(dict.fromkeys(starts if required is None else (required, *starts)))
        targets = {step.target for step in all_steps}
        self.names = sorted({*ordered_starts, *steps, *targets})
        number_of = {name: number for number, name in enumerate(self.names)}
        self.starts = [number_of[start] for start in ordered_starts]
        self.required = None if required is None else number_of[required]
        kinds = ["", *sorted({step.directed_predicate for step in all_steps})]
        self.turns = [[_encode_turn(turn_between(into, out)) for out in kinds] for into in kinds]
        kind_of = {kind: number for number, kind in enumerate(kinds[1:], 1)}
        self.arcs = _compile_arcs(steps, number_of, kind_of, rules)
        if len(self.starts) == 1:
            # A path that must begin at the one start never returns to it.
            (start,) = self.starts
            self.arcs = [[arc for arc in outgoing if arc.target != start] for outgoing in self.arcs]
        # A simple path has one step fewer than it has entities.
        max_steps = max(len(self.names) - 1, 0)
        self.max_hops = min(max_hops, max_steps, self._max_steps_by_predicates(rules))

    def _max_steps_by_predicates(self, rules: Rules) -> int:
        """The number of steps after which every predicate is used up."""
        uses = {arc.uses for outgoing in self.arcs for arc in outgoing}
        # An arc whose step has no predicate uses up none, so such arcs can be walked without limit.
        if rules.unique_predicates and 0 not in uses:
            return len(uses)
        return len(self.names)

    @cached_property
    def _arcs_after(self) -> dict[State, list[Arc]]:
        """Every state that some walk from a start reaches, with the arcs that may follow it.

        A walk may repeat entities, so this graph of states contains every valid path and more. That
        is what makes the bounds computed from it safe.
        """
        arcs_after: dict[State, list[Arc]] = {}
        pending: list[State] = [(start, _NO_STEP, 0) for start in self.starts]
        while pending:
            state = pending.pop()
            if state in arcs_after:
                continue
            entity, kind, used_turns = state
            turns = self.turns[kind]
            arcs_after[state] = [
                arc
                for arc in self.arcs[entity]
                if turns[arc.kind] != NEVER and not turns[arc.kind] & used_turns
            ]
            pending.extend(self._state_after(state, arc) for arc in arcs_after[state])
        return arcs_after

    def _state_after(self, state: State, arc: Arc) -> State:
        _, kind, used_turns = state
        return arc.target, arc.kind, used_turns | self.turns[kind][arc.kind]

    def list_useful_arcs(self) -> list[Arc]:
        """The arcs that some walk from a start takes, ordered by the entity that they leave."""
        useful = {arc for arcs in self._arcs_after.values() for arc in arcs}
        return [arc for outgoing in self.arcs for arc in outgoing if arc in useful]

    @cached_property
    def max_steps_after(self) -> dict[State, int]:
        """An upper bound on the number of steps that can follow each state.

        The states and their transitions form a directed graph. A walk that leaves one of its
        strongly connected components never returns, and within a component a simple path visits
        each entity at most once, in whatever state. So no path is longer than the heaviest chain of
        components, where each weighs as much as it has entities. Such a chain is found in one pass
        over the acyclic graph of the components.
        """
        vertex_of = {state: vertex for vertex, state in enumerate(self._arcs_after)}
        edges = []
        for state, vertex in vertex_of.items():
            following = (self._state_after(state, arc) for arc in self._arcs_after[state])
            edges += [(vertex, vertex_of[other]) for other in dict.fromkeys(following)]
        graph = igraph.Graph(len(vertex_of), edges, directed=True)
        components = graph.connected_components("strong")
        entities: list[set[int]] = [set() for _ in components]
        for state, component in zip(vertex_of, components.membership, strict=True):
            entities[component].add(state[0])
        # In place: vertex i is component i from here on. Simplifying removes the loops of arcs
        # within a component, which the topological order does not allow.
        graph.contract_vertices(components.membership)
        graph.simplify()
        longest = [0] * len(entities)
        # "in" begins with the components that nothing follows, so successors are always computed.
        for component in graph.topological_sorting("in"):
            onward = max((longest[other] for other in graph.successors(component)), default=0)
            longest[component] = len(entities[component]) + onward
        # The entity of the state itself is counted, and n entities take n - 1 steps.
        return {
            state: longest[component] - 1
            for state, component in zip(vertex_of, components.membership, strict=True)
        }

    @property
    def upper_bound(self) -> int:
        """A number of steps that no valid path exceeds."""
        bounds = (self.max_steps_after[start, _NO_STEP, 0] for start in self.starts)
        return min(self.max_hops, max(bounds, default=0))


def _encode_turn(turn: int) -> int:
    """The entry of ``LongestPathProblem.turns`` for a turn."""
    if turn == NEVER:
        return NEVER
    return 0 if turn == FREE else 1 << turn


def _compile_arcs(
    steps: Steps, number_of: Mapping[str, int], kind_of: Mapping[str, int], rules: Rules
) -> list[list[Arc]]:
    """The arcs by the number of the entity they leave. Of steps that do not differ in target, kind
    and years, only the first becomes an arc."""
    predicates = sorted({step.predicate for outgoing in steps.values() for step in outgoing} - {""})
    predicate_bits: dict[str, int] = {}
    if rules.unique_predicates:
        # The bits of predicates lie above those of the turns, so that one mask holds both.
        predicate_bits = {name: 1 << bit for bit, name in enumerate(predicates, FREE)}
    arcs: list[list[Arc]] = [[] for _ in number_of]
    for name, outgoing in steps.items():
        distinct: dict[tuple[int, int, Years], Arc] = {}
        for step in outgoing:
            years = step.years if step.years and rules.temporal_order else ANY_YEAR
            arc = Arc(
                number_of[name],
                number_of[step.target],
                kind_of[step.directed_predicate],
                predicate_bits.get(step.predicate, 0),
                *years,
                step,
            )
            # Steps come in order of preference, so the first one stays.
            if arc.target != arc.start:
                distinct.setdefault((arc.target, arc.kind, years), arc)
        arcs[number_of[name]] = list(distinct.values())
    return arcs


class _Frame(NamedTuple):
    """An entity on the current path.

    It has the arcs that are left to try, the kind of the step that reached it, the bits of turns
    and predicates used up so far, and the latest first year so far (``since``).
    """

    arcs: Iterator[Arc]
    kind: int
    used: int
    since: int


class DepthFirstSearch:
    """Depth-first branch and bound. ``is_proven`` tells whether the search was not cut short, so
    that its path is a longest one.

    ``max_effort`` is the number of entities that it may look at, including those that its bounds
    look at. The bound that has to be computed for the whole graph is only used after
    ``easy_states`` states; most searches end before that.
    """

    def __init__(
        self, problem: LongestPathProblem, max_effort: int, easy_states: int = 1_000
    ) -> None:
        self._problem = problem
        self._remaining_effort = max_effort
        self._easy_states = easy_states
        # Sets of entities are bit masks: the bounds below are computed for every state.
        self._onward = [_to_mask(arc.target for arc in arcs) for arcs in problem.arcs]
        self._passable = _to_mask(entity for entity, arcs in enumerate(problem.arcs) if arcs)
        self._required = 0 if problem.required is None else 1 << problem.required
        self._leading_to_required = _find_leading_to_required(problem) if self._required else 0
        self._best: tuple[Arc, ...] = ()
        self._states = 0

    @property
    def is_proven(self) -> bool:
        return self._remaining_effort >= 0

    def find_longest(self) -> tuple[Arc, ...]:
        """The longest path; of several, the first in the order of starts and steps."""
        for start in self._problem.starts:
            self._search_from(start)
        return self._best

    def _search_from(self, start: int) -> None:
        # Frames on a list, because a path may have more steps than Python's recursion allows.
        path: list[Arc] = []
        visited = 1 << start
        first_arcs = self._arcs_worth_trying((start, _NO_STEP, 0), visited, 0)
        frames = [_Frame(first_arcs, _NO_STEP, 0, 0)]
        while frames:
            frame = frames[-1]
            arc = next(frame.arcs, None)
            if arc is None or self._is_finished():
                frames.pop()
                # The frame of the start has no arc on the path.
                if path:
                    visited ^= 1 << path.pop().target
                continue
            if visited >> arc.target & 1:
                continue
            used = self._used_after(frame, arc)
            if used is None:
                continue
            path.append(arc)
            visited |= 1 << arc.target
            if len(path) > len(self._best) and visited & self._required == self._required:
                self._best = tuple(path)
            state = (arc.target, arc.kind, used & _TURNS)
            onward = self._arcs_worth_trying(state, visited, len(path))
            frames.append(_Frame(onward, arc.kind, used, max(frame.since, arc.first)))

    def _is_finished(self) -> bool:
        return self._remaining_effort < 0 or len(self._best) >= self._problem.max_hops

    def _used_after(self, frame: _Frame, arc: Arc) -> int | None:
        """The bits of turns and predicates used up after the arc; None where the rules forbid
        it."""
        turn = self._problem.turns[frame.kind][arc.kind]
        # NEVER must be tested first: as -1 it has all bits set.
        if turn == NEVER or (turn | arc.uses) & frame.used or arc.last < frame.since:
            return None
        return frame.used | turn | arc.uses

    def _arcs_worth_trying(self, state: State, visited: int, length: int) -> Iterator[Arc]:
        """The arcs onward; none where no continuation can be longer than the best path."""
        self._remaining_effort -= 1
        self._states += 1
        if self._is_hopeless(state, visited, length):
            return iter(())
        return iter(self._problem.arcs[state[0]])

    def _is_hopeless(self, state: State, visited: int, length: int) -> bool:
        """Whether no continuation can be longer than the best path. Cheap checks come first."""
        entity = state[0]
        needed = len(self._best) + 1 - length
        # At least one more step must fit, whatever the best path is.
        if self._problem.max_hops - length < max(needed, 1):
            return True
        is_required_missing = self._required and not visited & self._required
        if is_required_missing and not self._leading_to_required >> entity & 1:
            return True
        if not self._can_reach(entity, visited, needed):
            return True
        return self._states > self._easy_states and self._problem.max_steps_after[state] < needed

    def _can_reach(self, entity: int, visited: int, needed: int) -> bool:
        """Whether so many further steps are possible by counting alone.

        A path continues through entities that have arcs onward and that are reachable without
        visited ones, and may end in one without such arcs. Turns, predicates and years are ignored,
        and so is whether one path can visit all of them. So the count is never too low, and the
        check excludes no path that is valid.
        """
        free = ~visited
        pending = self._onward[entity] & free
        seen = 0
        while pending:
            lowest = pending & -pending  # the lowest bit that is set: one entity
            seen |= lowest
            self._remaining_effort -= 1
            passable_count = (seen & self._passable).bit_count()
            has_end = bool((seen | pending) & ~self._passable)
            if passable_count + has_end >= needed:
                return True
            pending = (pending | self._onward[lowest.bit_length() - 1]) & free & ~seen
        return False


def _find_leading_to_required(problem: LongestPathProblem) -> int:
    """The entities from which some walk leads to the required entity, as a mask."""
    edges = [arc[:2] for arcs in problem.arcs for arc in arcs]
    graph = igraph.Graph(len(problem.names), edges, directed=True)
    return _to_mask(graph.subcomponent(problem.required, mode="in"))


def _to_mask(numbers: Iterable[int]) -> int:
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask
