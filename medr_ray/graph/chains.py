"""The longest valid path from a seed, with a proven bound on it.

A path repeats no entity and takes only valid steps (see ``graph.validity``), at most ``max_hops`` of them. A
depth-first search with an upper bound settles the usual graph of a few dozen entities exactly; when it has looked at
too many states, CP-SAT goes on with what is proven so far. Of several longest paths the first in the order of the
sorted steps is taken, so the same graph gives the same chain.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Chain, content_id
from medr_ray.graph.validity import Step

MAX_STATES = 200_000  # about a second of searching
Steps = Mapping[str, Sequence[Step]]


@dataclass(frozen=True)
class LongestPath:
    """Steps from the seed in walking order, a bound on their number, and how it was found."""

    steps: tuple[Step, ...]
    upper_bound: int
    strategy: str

    @property
    def proven_optimal(self) -> bool:
        return len(self.steps) == self.upper_bound


def longest_chain(seed: str, steps: Steps, max_hops: int, solver_seconds: float) -> Chain | None:
    """The seed's chain; None when no step leads out of the seed."""
    started = time.monotonic()
    path = longest_path(seed, steps, max_hops, solver_seconds)
    if not path.steps:
        return None
    relations = tuple(step.relation_id for step in path.steps)
    return Chain(
        content_id("chain", seed, relations), seed, (seed, *(step.target for step in path.steps)), relations,
        len(relations), path.upper_bound, path.proven_optimal, round(time.monotonic() - started, 3), path.strategy)


def longest_path(
    seed: str, steps: Steps, max_hops: int, solver_seconds: float, max_states: int = MAX_STATES
) -> LongestPath:
    """Depth-first search, then CP-SAT where the search was cut short."""
    search = DepthFirst(steps, max_hops, max_states)
    found = search.run(seed)
    if search.exhausted:
        return LongestPath(found, len(found), "dfs")
    bound = min(max_hops, search.bound(seed, frozenset({seed})))
    if len(found) == bound:
        return LongestPath(found, bound, "dfs")
    from medr_ray.graph.circuit import solve_longest_path

    solved, proven = solve_longest_path(seed, steps, max_hops, solver_seconds, found)
    return LongestPath(solved if len(solved) > len(found) else found, max(min(bound, proven), len(found)), "cp-sat")


class DepthFirst:
    """Branch and bound over simple paths. ``exhausted`` says whether the search saw everything that mattered."""

    def __init__(self, steps: Steps, max_hops: int, max_states: int) -> None:
        self._steps, self._max_hops, self._max_states = steps, max_hops, max_states
        self._best: tuple[Step, ...] = ()
        self._states = 0
        self.exhausted = True

    def run(self, seed: str) -> tuple[Step, ...]:
        """The longest path found from the seed."""
        self._extend(seed, frozenset({seed}), ())
        return self._best

    def _extend(self, entity: str, visited: frozenset[str], path: tuple[Step, ...]) -> None:
        if len(path) > len(self._best):
            self._best = path
        self._states += 1
        if self._states > self._max_states:
            self.exhausted = False
            return
        reachable = min(self._max_hops, len(path) + self.bound(entity, visited))
        for step in self._steps.get(entity, ()):
            if reachable <= len(self._best) or not self.exhausted:
                return
            if step.target not in visited:
                self._extend(step.target, visited | {step.target}, (*path, step))

    def bound(self, entity: str, visited: frozenset[str]) -> int:
        """No path from here takes more steps than this: every entity left that can be passed through, and one end."""
        seen, waiting, passable, ends = set(visited), [entity], 0, 0
        while waiting:
            for step in self._steps.get(waiting.pop(), ()):
                if step.target in seen:
                    continue
                seen.add(step.target)
                if self._steps.get(step.target):
                    passable += 1
                    waiting.append(step.target)
                else:
                    ends = 1
        return passable + ends
