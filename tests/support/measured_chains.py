"""Longest chains against the usual method, a depth-first search of all paths that is cut off after
ten seconds.

Random graphs grow as knowledge graphs do: a new entity is linked to two others, mostly to those
that have many links. Real ones are those of a finished run: ``runs/quickstart`` of the checkout, or
the folder that MEDR_BENCH_RUN names.
"""

import math
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import ChainsConfig, GraphConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import RunDirectory
from medr_ray.graph import storage
from medr_ray.graph.artifacts import RELATIONS
from medr_ray.graph.paths.chains import LongestPath, find_longest_path, find_longest_path_anywhere
from medr_ray.graph.paths.validity import (
    FREE,
    NEVER,
    Step,
    build_steps,
    count_neighbours,
    turn_between,
)

PEER, CUT = "all paths, depth first, cut after 10 s", 10.0
_GOAL = 2.0  # seconds to the proof for a directed graph of 500 entities
_RUN = Path(__file__).resolve().parents[2] / "runs" / "quickstart"
_CONFIG = ChainsConfig()
Steps = Mapping[str, Sequence[Step]]


@dataclass(frozen=True)
class Solved:
    """One graph: our path, its seconds, and the hops that the usual method came to."""

    path: LongestPath
    seconds: float
    usual: int

    @property
    def hops(self) -> int:
        return len(self.path.steps)


def rows(quick: bool) -> Iterator[Measurement]:
    """Random graphs, fewer when ``quick``, then real ones."""
    kinds = [(directed, nodes) for directed in (True, False) for nodes in (50, 100, 200, 500)]
    for directed, nodes in [(True, 500), (False, 100)] if quick else kinds:
        graphs = [random_graph(nodes, directed, draw) for draw in range(1 if quick else 3)]
        solved = [_solve(graph, nodes) for graph in graphs]
        name = f"longest path, {'directed' if directed else 'undirected'} n={nodes}"
        yield _measure_length(name, solved)
        yield _measure_proofs(name, solved, _GOAL if directed and nodes == 500 else None)
    yield from _measure_real_graph()


def random_graph(nodes: int, directed: bool, draw: int) -> dict[str, list[Step]]:
    """Steps without predicates, both ways unless ``directed``. Seven of ten links are to an end of
    an earlier link."""
    rng = random.Random(f"{nodes} {directed} {draw}")
    links: set[tuple[int, int]] = set()
    ends = [0]
    for new in range(1, nodes):
        for _ in range(2):
            old = rng.choice(ends) if rng.random() < 0.7 else rng.randrange(new)
            if old != new:
                both = [(old, new), (new, old)]
                links.update([rng.choice(both)] if directed else both)
                ends += [old, new]
    steps: dict[str, list[Step]] = {}
    for first, other in sorted(links):
        steps.setdefault(f"n{first:03}", []).append(Step(f"n{other:03}", f"{first}-{other}"))
    return steps


def usual_method(starts: Sequence[str], steps: Steps, max_hops: int, seconds: float = CUT) -> int:
    """Hops of the longest valid path seen while all are gone through; each start has an equal share
    of the time."""
    begun, longest = time.perf_counter(), 0
    for number, start in enumerate(starts, 1):
        deadline = begun + seconds * number / len(starts)
        nothing: frozenset[int] = frozenset()
        frames = [(iter(steps.get(start, ())), "", nothing)]
        visited = {start: True}
        while frames and longest < max_hops and time.perf_counter() < deadline:
            arcs, into, turns = frames[-1]
            step = next(arcs, None)
            if step is None:
                frames.pop()
                visited.popitem()
                continue
            turn = turn_between(into, step.directed_predicate)
            if step.target in visited or turn == NEVER or turn in turns:
                continue
            visited[step.target] = True
            longest = max(longest, len(frames))
            onward = iter(steps.get(step.target, ()) if len(frames) < max_hops else ())
            frames.append(
                (onward, step.directed_predicate, turns if turn == FREE else turns | {turn})
            )
    return longest


def _solve(steps: Steps, max_hops: int, start: str | None = None) -> Solved:
    """From ``start``, or from anywhere."""
    seconds, begun = _CONFIG.solver_seconds, time.perf_counter()
    if start is None:
        path = find_longest_path_anywhere(steps, max_hops, seconds)
    else:
        path = find_longest_path(start, steps, max_hops, seconds)
    took = time.perf_counter() - begun
    return Solved(
        path, took, usual_method(sorted(steps) if start is None else [start], steps, max_hops)
    )


def _measure_length(name: str, solved: Sequence[Solved]) -> Measurement:
    """The graph where our lead is smallest; the note lists all graphs."""
    worst = min(solved, key=lambda solution: solution.hops / max(solution.usual, 1))
    each = ", ".join(
        f"{solution.hops} (bound {solution.path.upper_bound}, peer {solution.usual})"
        for solution in solved
    )
    return build_measurement(
        name,
        worst.hops,
        worst.usual,
        PEER,
        least_ratio=1.0,
        unit="hops",
        note=f"worst ratio of {each}",
    )


def _measure_proofs(name: str, solved: Sequence[Solved], goal: float | None) -> Measurement:
    """Seconds to the proof of the slowest graph; infinite if one graph is not proven."""
    proven = all(solution.path.proven_optimal for solution in solved)
    slowest = max(solution.seconds for solution in solved)
    note = (
        "to the proof, the slowest graph"
        if proven
        else f"not all proven; given up after {slowest:.1f} s"
    )
    return build_measurement(
        f"{name}: time",
        slowest if proven else math.inf,
        goal=goal,
        lower_is_better=True,
        unit="s",
        note=note,
    )


def _measure_real_graph() -> Iterator[Measurement]:
    """The seed graphs and the merged graph of a run, by the rules a default configuration has;
    every valid step taken, those that no question can ask by included."""
    graph = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN)).stage("graph")
    if graph.manifest() is None:
        how = "medr run -c configs/quickstart.yaml --until graph, or MEDR_BENCH_RUN"
        yield skip_measurement("longest chains of real graphs", PEER, how)
        return
    relations = {relation.relation_id: relation for relation in graph.read(RELATIONS)}
    degree = count_neighbours(relations.values())

    def steps_of(ids: Sequence[str], seed: str) -> Steps:
        given = [relations[relation_id] for relation_id in ids]
        return build_steps(given, degree, seed, _CONFIG.hub_degree, GraphConfig().min_confidence)

    hops = _CONFIG.max_hops
    seeds = [
        _solve(steps_of(ids, seed), hops, seed)
        for seed, ids in sorted(storage.read_seed_graphs(graph).items())
    ]
    yield _seed_graphs(seeds)
    merged = _solve(steps_of(list(relations), ""), hops)
    yield _measure_length(
        f"longest path of {len(degree):,} merged entities, {hops} hops at most", [merged]
    )


def _seed_graphs(solved: Sequence[Solved]) -> Measurement:
    behind = sum(solution.hops < solution.usual for solution in solved)
    proven = sum(solution.path.proven_optimal for solution in solved)
    note = (
        f"{len(solved)} seeds, {proven} proven, {behind} shorter than the peer's, longest "
        f"{max(solution.hops for solution in solved)}; "
        f"{sum(solution.seconds for solution in solved):.1f} s in all"
    )
    ours, usual = (
        sum(lengths) / len(solved)
        for lengths in (
            [solution.hops for solution in solved],
            [solution.usual for solution in solved],
        )
    )
    return build_measurement(
        "longest chain of seed graphs, mean",
        ours,
        usual,
        PEER,
        least_ratio=1.0,
        unit="hops",
        note=note,
    )
