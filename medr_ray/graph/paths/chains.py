"""The longest valid path from a seed or from anywhere, with a proven bound on its length.

A path repeats no entity and takes at most ``max_hops`` valid steps that may follow each other (see
``graph.paths.validity``). A depth-first search with upper bounds solves the usual graph of a few
dozen entities exactly. When it exceeds its effort, CP-SAT continues from the best path so far. Of
several longest paths the search takes the first in the order of the given steps, and the solver
always takes the same one, so the same graph gives the same chain.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.core.records import Chain, SearchStrategy, content_id
from medr_ray.graph.paths.branch_and_bound import DepthFirstSearch, LongestPathProblem, Steps
from medr_ray.graph.paths.validity import NO_RULES, Rules, Step

MAX_EFFORT = 200_000  # entities that the search may look at, about a tenth of a second


@dataclass(frozen=True)
class LongestPath:
    """The steps from ``start`` in walking order, a bound on the number of steps of any path, and
    the strategy that found them."""

    steps: tuple[Step, ...]
    upper_bound: int
    strategy: SearchStrategy
    start: str

    @property
    def proven_optimal(self) -> bool:
        return len(self.steps) == self.upper_bound

    @property
    def entities(self) -> tuple[str, ...]:
        """Entity ids in walking order, the start included."""
        return (self.start, *(step.target for step in self.steps))


def find_longest_chain(
    seed: str, steps: Steps, max_hops: int, solver_seconds: float, rules: Rules = NO_RULES
) -> Chain | None:
    """The seed's chain; None when no step leads out of the seed."""
    started = time.monotonic()
    return _as_chain(seed, find_longest_path(seed, steps, max_hops, solver_seconds, rules), started)


def find_longest_chain_through(
    seed: str, steps: Steps, max_hops: int, solver_seconds: float, rules: Rules = NO_RULES
) -> Chain | None:
    """The longest chain that contains the seed, wherever it starts; None where no step leads from
    the seed or to it."""
    started = time.monotonic()
    return _as_chain(
        seed, find_longest_path_through(seed, steps, max_hops, solver_seconds, rules), started
    )


def _as_chain(seed: str, path: LongestPath, started: float) -> Chain | None:
    if not path.steps:
        return None
    relations = tuple(step.relation_id for step in path.steps)
    return Chain(
        content_id("chain", seed, relations),
        seed,
        path.entities,
        relations,
        len(relations),
        path.upper_bound,
        path.proven_optimal,
        round(time.monotonic() - started, 3),
        path.strategy,
    )


def find_longest_path(
    seed: str,
    steps: Steps,
    max_hops: int,
    solver_seconds: float,
    rules: Rules = NO_RULES,
    max_effort: int = MAX_EFFORT,
) -> LongestPath:
    """The longest valid path that starts at the seed."""
    return _search_longest([seed], steps, max_hops, solver_seconds, rules, max_effort)


def find_longest_path_through(
    seed: str,
    steps: Steps,
    max_hops: int,
    solver_seconds: float,
    rules: Rules = NO_RULES,
    max_effort: int = MAX_EFFORT,
) -> LongestPath:
    """The longest valid path that contains the seed, wherever it starts."""
    return _search_longest(sorted(steps), steps, max_hops, solver_seconds, rules, max_effort, seed)


def find_longest_path_anywhere(
    steps: Steps,
    max_hops: int,
    solver_seconds: float,
    rules: Rules = NO_RULES,
    max_effort: int = MAX_EFFORT,
) -> LongestPath:
    """The longest valid path, wherever it starts. Without any steps it is empty and starts at
    ""."""
    return _search_longest(sorted(steps), steps, max_hops, solver_seconds, rules, max_effort)


def _search_longest(
    starts: Iterable[str],
    steps: Steps,
    max_hops: int,
    solver_seconds: float,
    rules: Rules,
    max_effort: int,
    required: str | None = None,
) -> LongestPath:
    """Depth-first search, then CP-SAT where the search was cut short."""
    problem = LongestPathProblem(steps, starts, max_hops, rules, required)
    search = DepthFirstSearch(problem, max_effort)
    arcs = search.find_longest()
    upper_bound = len(arcs) if search.is_proven else problem.upper_bound
    strategy: SearchStrategy = "dfs"
    if len(arcs) < upper_bound:
        # Imported late: ortools is slow to load, and few graphs need it.
        from medr_ray.graph.paths.circuit import solve_longest_path

        arcs, solver_bound = solve_longest_path(problem, solver_seconds, arcs)
        # A bound cannot lie below the length of a path that exists.
        upper_bound = max(min(upper_bound, solver_bound), len(arcs))
        strategy = "cp-sat"
    start = ""
    if problem.starts:
        start = problem.names[arcs[0].start if arcs else problem.starts[0]]
    return LongestPath(tuple(arc.step for arc in arcs), upper_bound, strategy, start)
