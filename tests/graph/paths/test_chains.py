"""Longest chains: exact against brute force whatever the rules, not fooled where greed is, and
bounded."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.brute_chains import is_valid_path, longest_by_brute_force

from medr_ray.core.records import Relation
from medr_ray.graph.paths.branch_and_bound import DepthFirstSearch, LongestPathProblem
from medr_ray.graph.paths.chains import (
    MAX_EFFORT,
    LongestPath,
    find_longest_chain,
    find_longest_path,
    find_longest_path_anywhere,
)
from medr_ray.graph.paths.validity import NO_RULES, Rules, Step, build_steps, count_neighbours
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, PREDICATES, VALUE

Graph = dict[str, list[Step]]


@dataclass(frozen=True)
class Task:
    """A random graph and what is asked of it; ``start`` is None where a path may start anywhere."""

    steps: Graph
    start: str | None
    max_hops: int
    rules: Rules

    def solve(self, seconds: float = 5.0, max_effort: int = MAX_EFFORT) -> LongestPath:
        if self.start is None:
            return find_longest_path_anywhere(
                self.steps, self.max_hops, seconds, self.rules, max_effort
            )
        return find_longest_path(
            self.start, self.steps, self.max_hops, seconds, self.rules, max_effort
        )

    @property
    def starts(self) -> list[str]:
        return sorted(self.steps) if self.start is None else [self.start]

    @property
    def longest(self) -> int:
        return longest_by_brute_force(self.starts, self.steps, self.max_hops, self.rules)

    def allows(self, path: LongestPath) -> bool:
        return (
            is_valid_path(path.start, path.steps, self.steps, self.rules)
            and len(path.steps) <= self.max_hops
        )


PALETTES = (
    [DISEASE, PHENOTYPE],
    [DISEASE],
    [DISEASE, DRUG, PHENOTYPE],
    [DISEASE, GENE, DRUG, PHENOTYPE, VALUE],
)
FITTING = {
    (first, other): [
        p.name for p in PREDICATES.values() if (p.subject_type, p.object_type) == (first, other)
    ]
    for first in PALETTES[-1]
    for other in PALETTES[-1]
}
YEARS = (None, None, None, (1980, 1981), (1990, 1995), (1995, 9999), (0, 1990), (2000, 2000))
EDGES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 19), st.integers(0, 15)),
    min_size=1,
    max_size=22,
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Typed multigraphs of nine entities at most: parallel relations, known and unknown years, some
    steps that no predicate names, some that name one of the wrong types."""
    nodes = draw(st.integers(2, 9))
    palette = draw(st.sampled_from(PALETTES))
    bare = draw(st.sampled_from((0, 4, 20)))  # of 20 edges, those without a predicate
    steps: Graph = {}
    for number, (first, other, choice, rest) in enumerate(draw(EDGES)):
        start, target = first % nodes, other % nodes
        fitting = FITTING[palette[start % len(palette)], palette[target % len(palette)]] or [""]
        predicate = (
            ""
            if choice < bare
            else list(PREDICATES)[rest]
            if choice == 19 and rest < 15
            else (fitting[choice % len(fitting)])
        )
        forward_step = Step(f"n{target}", f"r{number}", predicate, True, YEARS[rest % len(YEARS)])
        steps.setdefault(f"n{start}", []).append(forward_step)
        if choice % 4:
            steps.setdefault(f"n{target}", []).append(
                replace(forward_step, target=f"n{start}", forward=False)
            )
    return Task(
        steps,
        draw(st.sampled_from((None, "n0", "n1"))),
        draw(st.sampled_from((9, 9, 4, 2))),
        Rules(draw(st.booleans()), draw(st.booleans())),
    )


def check_search(task: Task) -> None:
    path = task.solve()
    assert (len(path.steps), path.upper_bound, path.strategy) == (
        task.longest,
        task.longest,
        "dfs",
    )
    assert task.allows(path)
    problem = LongestPathProblem(task.steps, task.starts, task.max_hops, task.rules)
    assert problem.upper_bound >= task.longest
    assert len(DepthFirstSearch(problem, MAX_EFFORT, easy_states=0).find_longest()) == task.longest


def check_solver(task: Task) -> None:
    path = task.solve(max_effort=0)
    assert (len(path.steps), path.upper_bound) == (task.longest, task.longest)
    assert task.allows(path)


def check_cut_short(task: Task) -> None:
    path = task.solve(seconds=1e-6, max_effort=3)
    assert task.allows(path)
    assert len(path.steps) <= task.longest <= path.upper_bound


@settings(max_examples=150, deadline=None)
@given(tasks())
def test_search_is_exact(task: Task) -> None:
    check_search(task)


@settings(max_examples=60, deadline=None)
@given(tasks())
def test_solver_is_exact(task: Task) -> None:
    check_solver(task)


@settings(max_examples=60, deadline=None)
@given(tasks())
def test_a_bound_holds_where_time_ran_out(task: Task) -> None:
    check_cut_short(task)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None)
@given(tasks())
def test_search_is_exact_on_thousands(task: Task) -> None:
    check_search(task)


@pytest.mark.soak
@settings(max_examples=1_000, deadline=None)
@given(tasks())
def test_solver_is_exact_on_a_thousand(task: Task) -> None:
    check_solver(task)


@pytest.mark.soak
@settings(max_examples=500, deadline=None)
@given(tasks())
def test_bounds_hold_on_hundreds(task: Task) -> None:
    check_cut_short(task)


def graph_of(*edges: str) -> Graph:
    """``graph_of("ab", "bc")``: directed steps a -> b -> c."""
    return graph_of_pairs((edge[0], edge[1]) for edge in edges)


def graph_of_pairs(pairs: Iterable[tuple[str, str]]) -> Graph:
    graph: Graph = {}
    for start, target in sorted(set(pairs)):
        if start != target:
            graph.setdefault(start, []).append(Step(target, f"{start}{target}"))
    return graph


def test_greed_would_take_the_short_way() -> None:
    graph = graph_of(
        "ab", "ac", "bd", "be", "bf", "cg", "gh", "hi"
    )  # b has most ways out, all of them dead ends
    assert find_longest_path("a", graph, 12, 5.0).entities == tuple("acghi")


def test_a_large_graph_is_solved_and_its_bound_reported() -> None:
    names = [f"n{i:02d}" for i in range(60)]
    graph = graph_of_pairs(
        (name, names[(i * k + k) % 60]) for i, name in enumerate(names) for k in (7, 11)
    )
    path = find_longest_path(names[0], graph, 40, 5.0, max_effort=20)
    assert path.strategy == "cp-sat"
    assert is_valid_path(names[0], path.steps, graph, NO_RULES)
    assert len(path.steps) <= path.upper_bound <= 40


def test_a_path_of_thousands_of_steps_is_no_matter_of_recursion() -> None:
    names = [f"n{i:04d}" for i in range(3_000)]
    path = find_longest_path_anywhere(graph_of_pairs(pairwise(names)), 9_999, 5.0)
    assert (path.start, len(path.steps), path.proven_optimal) == ("n0000", 2_999, True)


def test_parts_that_are_left_for_good_bound_the_path() -> None:
    cliques = [(f"{part}{i}", f"{part}{j}") for part in "ab" for i in range(5) for j in range(5)]
    one_way = [("a0", "b0"), *((f"b{i}", f"c{j}") for i in range(5) for j in range(5))]
    problem = LongestPathProblem(graph_of_pairs([*cliques, *one_way]), ["b1"], 99, NO_RULES)
    assert (
        problem.upper_bound == 5
    )  # the rest of part b and one of part c; part a cannot be reached


def test_a_start_anywhere_is_the_best_start() -> None:
    path = find_longest_path_anywhere(graph_of("ab", "bc", "cd", "ec"), 12, 5.0)
    assert (path.start, path.entities) == ("a", tuple("abcd"))
    assert find_longest_path_anywhere({}, 12, 5.0) == LongestPath((), 0, "dfs", "")


def test_the_same_graph_gives_the_same_chain() -> None:
    graph = graph_of("ab", "ac", "bd", "cd", "de", "df")
    chains = [find_longest_chain("a", graph, 12, 5.0) for _ in range(3)]
    assert {chain.chain_id for chain in chains if chain} == {
        chains[0].chain_id if chains[0] else ""
    }
    assert chains[0] is not None
    assert chains[0].entities == ("a", "b", "d", "e")
    assert chains[0].relations == ("ab", "bd", "de")
    assert (chains[0].length, chains[0].upper_bound, chains[0].proven_optimal) == (3, 3, True)


def test_a_seed_without_relations_has_no_chain() -> None:
    assert find_longest_chain("a", graph_of("bc"), 12, 5.0) is None


def relation(subject: str, predicate: str, obj: str, temporal: str = "") -> Relation:
    return Relation(
        f"{subject}-{predicate}-{obj}", subject, predicate, obj, temporal, "", "", 1.0, "rules", ()
    )


def entities_of_chain(relations: list[Relation], rules: Rules = NO_RULES) -> tuple[str, ...]:
    """The chain of D1, which the solver finds as long as the search does."""
    steps = build_steps(relations, count_neighbours(relations), "D1", 200, 0.5)
    chain = find_longest_chain("D1", steps, 12, 5.0, rules)
    assert chain is not None
    assert len(find_longest_path("D1", steps, 12, 5.0, rules, max_effort=0).steps) == chain.length
    return chain.entities


def test_a_shared_gene_links_diseases_any_number_of_times() -> None:
    relations = [
        relation(disease, "associated_gene", gene)
        for disease, gene in (("D1", "G1"), ("D2", "G1"), ("D2", "G2"), ("D3", "G2"))
    ]
    assert entities_of_chain([*relations, relation("D3", "has_finding", "P")]) == (
        "D1",
        "G1",
        "D2",
        "G2",
        "D3",
        "P",
    )


def test_a_shared_sign_links_diseases_once() -> None:
    relations = [
        relation(disease, "has_finding", sign)
        for disease, sign in (("D1", "P1"), ("D2", "P1"), ("D2", "P2"), ("D3", "P2"), ("D3", "P3"))
    ]
    assert entities_of_chain(relations) == ("D1", "P1", "D2", "P2")
    onward = [
        *relations,
        relation("D3", "presents_with", "P4"),
        relation("P2", "sign_associated_gene", "G1"),
        relation("D3", "associated_gene", "G1"),
    ]
    assert len(entities_of_chain(onward)) == 7  # P2 leads on to its gene


def test_two_shared_signs_are_too_many_wherever_they_stand() -> None:
    signs = [
        relation(disease, "has_finding", sign)
        for disease, sign in (("D1", "P1"), ("D4", "P1"), ("D2", "P2"), ("D3", "P2"), ("D3", "P3"))
    ]
    genes = [
        relation(disease, "associated_gene", gene)
        for disease, gene in (("D1", "G1"), ("D2", "G1"), ("D4", "G2"), ("D2", "G2"))
    ]
    assert len(entities_of_chain([*signs, *genes])) - 1 == 5  # D1 P1 D4 G2 D2 P2 D3 P3 would be 7


def test_the_bound_knows_that_signs_link_once() -> None:
    relations = [relation(f"D{i}", "has_finding", f"P{j}") for i in range(5) for j in (i, i + 1)]
    steps = build_steps(relations, {}, "D0", 200, 0.5)
    assert (
        LongestPathProblem(steps, ["D0"], 99, NO_RULES).upper_bound == 3
    )  # the sign, the other disease, its other sign


def test_a_value_ends_a_chain() -> None:
    relations = [relation("D1", "has_inheritance", "V"), relation("D2", "has_inheritance", "V")]
    assert entities_of_chain(relations) == ("D1", "V")


def test_a_predicate_comes_once_where_asked_for() -> None:
    relations = [
        relation("D1", "associated_gene", "G1"),
        relation("D2", "associated_gene", "G1"),
        relation("G1", "gene_interaction", "G2"),
        relation("R", "acts_on", "G2"),
    ]
    assert entities_of_chain(relations, rules=Rules(unique_predicates=True)) == (
        "D1",
        "G1",
        "G2",
        "R",
    )
    others = [relation("D1", "has_onset", "V1"), relation("D1", "has_inheritance", "V2")]
    assert (
        len(entities_of_chain([*relations[:2], *others], rules=Rules(unique_predicates=True))) == 2
    )
    assert entities_of_chain([*relations[:2], *others]) == ("D1", "G1", "D2")


def test_of_parallel_relations_the_one_that_the_rules_leave_is_walked() -> None:
    relations = [
        relation("D1", "presents_with", "P1"),
        relation("D2", "presents_with", "P1"),
        relation("D2", "has_finding", "P1"),
    ]
    assert entities_of_chain(relations, rules=Rules(unique_predicates=True)) == ("D1", "P1", "D2")


@pytest.mark.parametrize(
    ("first", "then", "hops"),
    [
        ("in 1987", "between 1990 and 1995", 2),
        ("between 1990 and 1995", "in 1987", 1),
        ("between 1990 and 1995", "in 1992", 2),
        ("in 1987", "", 2),
        ("", "in 1987", 2),
        ("since 1990", "before 1980", 1),
        ("after 1990", "by 2000", 2),
    ],
)
def test_time_goes_on_where_asked_for(first: str, then: str, hops: int) -> None:
    relations = [
        relation("D1", "associated_gene", "G1", first),
        relation("G1", "gene_interaction", "G2", then),
    ]
    assert len(entities_of_chain(relations, rules=Rules(temporal_order=True))) - 1 == hops
    assert len(entities_of_chain(relations)) - 1 == 2


def test_years_are_remembered_past_relations_without_any() -> None:
    relations = [
        relation("D1", "associated_gene", "G1", "in 2001"),
        relation("G1", "gene_interaction", "G2"),
        relation("G2", "gene_interaction", "G3", "in 1999"),
    ]
    assert entities_of_chain(relations, rules=Rules(temporal_order=True)) == ("D1", "G1", "G2")
