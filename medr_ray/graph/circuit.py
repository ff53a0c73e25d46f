"""The longest simple path as a constraint problem: one circuit through the seed and a virtual end (CP-SAT AddCircuit).

An arc from any entity to the virtual end stops the path there, an arc from the virtual end to the seed closes the
circuit, and an entity that is not on the path loops on itself. One worker, a fixed seed and a limit in the solver's
deterministic time make the answer the same on every machine.
"""

import math
from collections.abc import Mapping, Sequence

from ortools.sat.python import cp_model

from medr_ray.graph.validity import Step

_END = 0  # index of the virtual end; entities count from 1


def solve_longest_path(
    seed: str, steps: Mapping[str, Sequence[Step]], max_hops: int, seconds: float, hint: Sequence[Step]
) -> tuple[tuple[Step, ...], int]:
    """(the path found, a proven upper bound on its hops). ``hint`` is a path to start from."""
    entities = sorted({seed, *steps, *(step.target for chosen in steps.values() for step in chosen)})
    number = {entity: i for i, entity in enumerate(entities, 1)}
    model = cp_model.CpModel()
    walked = {(start, step): model.new_bool_var("") for start in sorted(steps) for step in steps[start]
              if step.target != seed}
    model.add_circuit(_arcs(model, number, seed, walked))
    model.add(sum(walked.values()) <= max_hops)
    model.maximize(sum(walked.values()))
    hinted = set(zip((seed, *(step.target for step in hint)), hint, strict=False))
    for key, variable in walked.items():
        model.add_hint(variable, key in hinted)
    solver = _solver(seconds)
    status = solver.solve(model)
    bound = min(max_hops, math.floor(solver.best_objective_bound + 1e-6))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return tuple(hint), bound
    return _follow(seed, {start: step for (start, step), variable in walked.items() if solver.value(variable)}), bound


def _arcs(
    model: cp_model.CpModel, number: Mapping[str, int], seed: str, walked: Mapping[tuple[str, Step], cp_model.IntVar]
) -> list[tuple[int, int, cp_model.IntVar]]:
    arcs = [(number[start], number[step.target], variable) for (start, step), variable in walked.items()]
    arcs.append((_END, number[seed], model.new_constant(1)))
    for entity, i in number.items():
        arcs.append((i, _END, model.new_bool_var("")))
        if entity != seed:
            arcs.append((i, i, model.new_bool_var("")))
    return arcs


def _solver(seconds: float) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = seconds
    return solver


def _follow(seed: str, onward: Mapping[str, Step]) -> tuple[Step, ...]:
    path: list[Step] = []
    current = seed
    while current in onward:
        path.append(onward[current])
        current = onward[current].target
    return tuple(path)
