"""The longest valid simple path as a constraint problem: a circuit through a virtual entity (the
AddCircuit constraint of CP-SAT).

An arc from the virtual entity to a start opens the path, and an arc from any entity back to it ends
the path. An entity that is not on the path has an arc to itself. At most one arc enters an entity
and at most one leaves it, so the grammar becomes linear: among the arcs that enter an entity by
some predicate and the arcs that leave it by a predicate that may not follow, at most one is walked.
With temporal order, each entity has a variable for the latest first year on the path up to it.

The result is the same on every machine, because there is one worker, a fixed seed and a limit in
the solver's deterministic time.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ortools.sat.python import cp_model

from medr_ray.graph.paths.branch_and_bound import ANY_YEAR, Arc, LongestPathProblem
from medr_ray.graph.paths.validity import NEVER

_VIRTUAL = 0  # node of the circuit; entity i is node i + 1
Walked = Mapping[Arc, cp_model.IntVar]  # whether each arc is on the path
Skipped = Mapping[int, cp_model.IntVar]  # whether each entity is not on the path


def solve_longest_path(
    problem: LongestPathProblem, seconds: float, incumbent: Sequence[Arc]
) -> tuple[tuple[Arc, ...], int]:
    """(a path at least as long as ``incumbent``, a proven upper bound on the length of any).

    ``incumbent`` is the best path so far, which the solver starts from. ``seconds`` are the
    solver's deterministic seconds.
    """
    model = cp_model.CpModel()
    incumbent_arcs = set(incumbent)
    walked = {
        arc: _new_hinted_bool(model, arc in incumbent_arcs) for arc in problem.list_useful_arcs()
    }
    skipped = _add_circuit(model, problem, walked, incumbent)
    _forbid_two_cycles(model, walked, skipped)
    _limit_turns(model, problem, walked, skipped, incumbent)
    _limit_predicates(model, walked)
    _order_years(model, walked, incumbent)
    length = cp_model.LinearExpr.sum(list(walked.values()))
    # This also enforces ``max_hops``.
    model.add(length <= problem.upper_bound)
    model.maximize(length)
    solver = _configure_solver(seconds)
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        # Without a solution the solver's own bound is 0, which bounds nothing.
        return tuple(incumbent), problem.upper_bound
    # The bound is a float and may lie a rounding error below the whole number that it stands for.
    bound = min(problem.upper_bound, math.floor(solver.best_objective_bound + 1e-6))
    chosen = {arc.start: arc for arc, variable in walked.items() if solver.value(variable)}
    path = _follow_arcs(problem.starts, chosen)
    # ``max`` returns the first of equals, so the incumbent stays unless the new path is longer.
    return max(tuple(incumbent), path, key=len), bound


def _configure_solver(seconds: float) -> cp_model.CpSolver:
    """A solver set up for this problem.

    Most of the bound is proven by cuts that keep the path in one piece. They need the linear
    relaxation at its highest level, solved to its end, and probing only delays them.
    """
    solver = cp_model.CpSolver()
    # With several workers the one that finishes first would decide the answer.
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.linearization_level = 2
    solver.parameters.root_lp_iterations = 20_000
    solver.parameters.cp_model_probing_level = 0
    solver.parameters.max_deterministic_time = seconds
    return solver


def _new_hinted_bool(model: cp_model.CpModel, value: bool) -> cp_model.IntVar:
    """A new variable with its value in the incumbent as a hint, so that the solver starts there."""
    variable = model.new_bool_var("")
    model.add_hint(variable, value)
    return variable


def _add_circuit(
    model: cp_model.CpModel, problem: LongestPathProblem, walked: Walked, incumbent: Sequence[Arc]
) -> dict[int, cp_model.IntVar]:
    """Add the circuit; returns the variables that say that an entity is not on the path.

    The one entity that every path contains (the only start, or the required entity) has no such
    variable, so it cannot be skipped.
    """
    first = incumbent[0].start if incumbent else problem.starts[0]
    last = incumbent[-1].target if incumbent else problem.starts[0]
    on_incumbent = {first, *(arc.target for arc in incumbent)}
    ends = {end for arc in walked for end in (arc.start, arc.target)}
    entities = sorted({*problem.starts, *ends})
    fixed = problem.starts[0] if len(problem.starts) == 1 else problem.required
    is_start = {entity: _new_hinted_bool(model, entity == first) for entity in problem.starts}
    is_end = {entity: _new_hinted_bool(model, entity == last) for entity in entities}
    skipped = {
        entity: _new_hinted_bool(model, entity not in on_incumbent)
        for entity in entities
        if entity != fixed
    }
    # AddCircuit requires every node to be on the circuit or to have a loop that is taken.
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
    """At most one of the arcs between two entities is walked, and none where one of the two is not
    on the path.

    The circuit implies this, but its linear relaxation does not, so stating it tightens the bound.
    """
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
    """Forbid the turns that the grammar forbids, and allow each limited turn once.

    At each entity and for each kind, the following are mutually exclusive: the arcs that enter by
    this kind, the arcs onward that make a forbidden or limited turn after it, and the entity being
    skipped. A limited turn that is used up there allows one more of them.
    """
    into, out = _group_by_end(walked)
    incumbent_turns = {
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
                bit: _new_hinted_bool(model, (entity, kind, bit) in incumbent_turns)
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
                # A turn that is used must be made. Otherwise its slack could admit a forbidden
                # turn.
                taking_turn = [walked[arc] for arc in limited if turns[arc.kind] == bit]
                model.add_bool_or(~variable, *taking_turn)
    # A limited turn is allowed once on the whole path, not once at each entity.
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
    """Allow each predicate that may be walked only once at most one arc."""
    for bit in sorted({arc.uses for arc in walked} - {0}):
        model.add_at_most_one(walked[arc] for arc in walked if arc.uses == bit)


def _order_years(model: cp_model.CpModel, walked: Walked, incumbent: Sequence[Arc]) -> None:
    """Enforce the temporal order: the latest first year so far never decreases along the path, and
    no relation ended before it."""
    dated = [arc for arc in walked if (arc.first, arc.last) != ANY_YEAR]
    if not dated:
        return
    years = cp_model.Domain.from_values([0, *(arc.first for arc in dated)])
    # The latest first year of any relation on the path up to each entity; 0 where none is dated.
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
    """The path that the chosen arcs form. It begins at the start that no chosen arc enters."""
    entered = {arc.target for arc in onward.values()}
    begins = [start for start in starts if start in onward and start not in entered]
    path: list[Arc] = []
    entity = begins[0] if begins else -1  # -1 is not an entity
    while entity in onward:
        path.append(onward[entity])
        entity = onward[entity].target
    return tuple(path)
