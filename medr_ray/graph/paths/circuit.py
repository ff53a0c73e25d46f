"""The longest valid simple path as a constraint problem: one circuit through a virtual entity
(CP-SAT AddCircuit).

An arc from the virtual entity to a start opens the path, an arc from any entity back to it ends the
path, and an entity that is not on the path loops on itself. As one arc at most enters an entity and
one at most leaves it, the grammar is linear: the arcs that come in by some predicate and those that
leave by one that may not follow it are one at most together. The latest year known so far is a
variable of each entity.

One worker, a fixed seed and a limit in the solver's deterministic time make the answer the same on
every machine.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ortools.sat.python import cp_model

from medr_ray.graph.paths.branch_and_bound import ANY_YEAR, Arc, LongestPathProblem
from medr_ray.graph.paths.validity import NEVER

_VIRTUAL = 0  # entities count from 1
Walked = Mapping[Arc, cp_model.IntVar]
Skipped = Mapping[int, cp_model.IntVar]


def solve_longest_path(
    problem: LongestPathProblem, seconds: float, incumbent: Sequence[Arc]
) -> tuple[tuple[Arc, ...], int]:
    """(a path at least as long as ``known``, a proven upper bound on any). ``seconds`` are
    deterministic ones."""
    model = cp_model.CpModel()
    known_arcs = set(incumbent)
    walked = {arc: _new_hinted_bool(model, arc in known_arcs) for arc in problem.list_useful_arcs()}
    skipped = _add_circuit(model, problem, walked, incumbent)
    _forbid_two_cycles(model, walked, skipped)
    _limit_turns(model, problem, walked, skipped, incumbent)
    _limit_predicates(model, walked)
    _order_years(model, walked, incumbent)
    length = cp_model.LinearExpr.sum(list(walked.values()))
    model.add(length <= problem.upper_bound)
    model.maximize(length)
    solver = _configure_solver(seconds)
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        # Without a solution the solver's own bound is 0, which bounds nothing.
        return tuple(incumbent), problem.upper_bound
    bound = min(problem.upper_bound, math.floor(solver.best_objective_bound + 1e-6))
    chosen = {arc.start: arc for arc, variable in walked.items() if solver.value(variable)}
    path = _follow_arcs(problem.starts, chosen)
    return max(tuple(incumbent), path, key=len), bound  # a known path of equal length stays


def _configure_solver(seconds: float) -> cp_model.CpSolver:
    """Cuts that keep the path in one piece, from a relaxation solved to its end, prove most of the
    bound; probing only delays them."""
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.linearization_level = 2
    solver.parameters.root_lp_iterations = 20_000
    solver.parameters.cp_model_probing_level = 0
    solver.parameters.max_deterministic_time = seconds
    return solver


def _new_hinted_bool(model: cp_model.CpModel, value: bool) -> cp_model.IntVar:
    variable = model.new_bool_var("")
    model.add_hint(variable, value)
    return variable


def _add_circuit(
    model: cp_model.CpModel, problem: LongestPathProblem, walked: Walked, incumbent: Sequence[Arc]
) -> dict[int, cp_model.IntVar]:
    """The circuit, with ``known`` as the solution to start from. Returns what says that an entity
    is not on the path; there is nothing that says it of the one that all paths start at or lead
    over."""
    first = incumbent[0].start if incumbent else problem.starts[0]
    last = incumbent[-1].target if incumbent else problem.starts[0]
    on_known_path = {first, *(arc.target for arc in incumbent)}
    ends = {end for arc in walked for end in (arc.start, arc.target)}
    entities = sorted({*problem.starts, *ends})
    fixed = problem.starts[0] if len(problem.starts) == 1 else problem.required
    is_start = {entity: _new_hinted_bool(model, entity == first) for entity in problem.starts}
    is_end = {entity: _new_hinted_bool(model, entity == last) for entity in entities}
    skipped = {
        entity: _new_hinted_bool(model, entity not in on_known_path)
        for entity in entities
        if entity != fixed
    }
    model.add_circuit(
        [
            *((arc.start + 1, arc.target + 1, variable) for arc, variable in walked.items()),
            *((_VIRTUAL, entity + 1, variable) for entity, variable in is_start.items()),
            *((entity + 1, _VIRTUAL, variable) for entity, variable in is_end.items()),
            *((entity + 1, entity + 1, variable) for entity, variable in skipped.items()),
        ]
    )
    return skipped


def _forbid_two_cycles(model: cp_model.CpModel, walked: Walked, skipped: Skipped) -> None:
    """Of the arcs between two entities one at most is walked, and none where one of the two is not
    on the path. The circuit implies it, its relaxation does not."""
    between: dict[tuple[int, int], list[cp_model.IntVar]] = defaultdict(list)
    for arc, variable in walked.items():
        between[min(arc[:2]), max(arc[:2])].append(variable)
    for ends, variables in between.items():
        for entity in ends:
            if len(variables) > 1 and entity in skipped:
                model.add_at_most_one([*variables, skipped[entity]])


def _limit_turns(
    model: cp_model.CpModel,
    problem: LongestPathProblem,
    walked: Walked,
    skipped: Skipped,
    incumbent: Sequence[Arc],
) -> None:
    """What may not follow does not, and what may be had once is had once.

    Of an entity's arcs in by one kind, its arcs out that may not follow them, and it not being on
    the path, one is true at most; one more where a turn is used up.
    """
    into, out = _group_by_end(walked)
    known_turns = {
        (before.target, before.kind, problem.turns[before.kind][after.kind])
        for before, after in pairwise(incumbent)
    }
    turn_variables: dict[int, list[cp_model.IntVar]] = defaultdict(list)
    for entity, arriving in into.items():
        for kind in sorted({arc.kind for arc in arriving}):
            turns = problem.turns[kind]
            limited = [arc for arc in out[entity] if turns[arc.kind]]
            if not limited:
                continue
            is_turn_used = {
                bit: _new_hinted_bool(model, (entity, kind, bit) in known_turns)
                for bit in sorted({turns[arc.kind] for arc in limited} - {NEVER})
            }
            arriving_of_kind = [arc for arc in arriving if arc.kind == kind]
            exclusive = [walked[arc] for arc in (*arriving_of_kind, *limited)]
            if entity in skipped:
                exclusive.append(skipped[entity])
            used_turns = cp_model.LinearExpr.sum(list(is_turn_used.values()))
            model.add(cp_model.LinearExpr.sum(exclusive) <= 1 + used_turns)
            for bit, variable in is_turn_used.items():
                turn_variables[bit].append(variable)
                taking_turn = [walked[arc] for arc in limited if turns[arc.kind] == bit]
                model.add_bool_or(~variable, *taking_turn)
    for variables in turn_variables.values():
        model.add_at_most_one(variables)


def _group_by_end(walked: Walked) -> tuple[dict[int, list[Arc]], dict[int, list[Arc]]]:
    """The arcs that enter each entity, and those that leave it."""
    into: dict[int, list[Arc]] = defaultdict(list)
    out: dict[int, list[Arc]] = defaultdict(list)
    for arc in walked:
        into[arc.target].append(arc)
        out[arc.start].append(arc)
    return into, out


def _limit_predicates(model: cp_model.CpModel, walked: Walked) -> None:
    """A predicate that may be walked once is."""
    for bit in sorted({arc.uses for arc in walked} - {0}):
        model.add_at_most_one(walked[arc] for arc in walked if arc.uses == bit)


def _order_years(model: cp_model.CpModel, walked: Walked, incumbent: Sequence[Arc]) -> None:
    """The latest first year so far grows along the path, and no relation was over before it."""
    dated = [arc for arc in walked if (arc.first, arc.last) != ANY_YEAR]
    if not dated:
        return
    years = cp_model.Domain.from_values([0, *(arc.first for arc in dated)])
    # The latest first year of any relation on the path, up to each entity.
    since = {
        entity: model.new_int_var_from_domain(years, "")
        for arc in walked
        for entity in (arc.start, arc.target)
    }
    for arc, variable in walked.items():
        model.add(since[arc.target] >= since[arc.start]).only_enforce_if(variable)
        model.add(since[arc.target] >= arc.first).only_enforce_if(variable)
        model.add(since[arc.start] <= arc.last).only_enforce_if(variable)
    latest = 0
    hints = dict.fromkeys(since, 0)
    for arc in incumbent:
        latest = max(latest, arc.first)
        hints[arc.target] = latest
    for entity, year in hints.items():
        model.add_hint(since[entity], year)


def _follow_arcs(starts: Sequence[int], onward: Mapping[int, Arc]) -> tuple[Arc, ...]:
    """The path that the chosen arcs make; it begins at the start that none of them enters."""
    entered = {arc.target for arc in onward.values()}
    begins = [start for start in starts if start in onward and start not in entered]
    path: list[Arc] = []
    entity = begins[0] if begins else -1  # -1 is no entity
    while entity in onward:
        path.append(onward[entity])
        entity = onward[entity].target
    return tuple(path)
