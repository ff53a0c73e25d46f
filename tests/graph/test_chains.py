"""Longest chains: exact against brute force, not fooled where greed is, and bounded."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core.records import Relation
from medr_ray.graph.chains import longest_chain, longest_path
from medr_ray.graph.validity import Step, degrees, steps_between

Graph = dict[str, list[Step]]


def graph_of(*edges: str) -> Graph:
    """``graph_of("ab", "bc")``: directed steps a -> b -> c."""
    return graph_of_pairs((edge[0], edge[1]) for edge in edges)


def graph_of_pairs(pairs: Iterable[tuple[str, str]]) -> Graph:
    graph: Graph = {}
    for start, target in sorted(set(pairs)):
        if start != target:
            graph.setdefault(start, []).append(Step(target, f"{start}{target}"))
    return graph


def brute_force(graph: Graph, path: tuple[str, ...], max_hops: int) -> Iterator[int]:
    yield len(path) - 1
    if len(path) <= max_hops:
        for step in graph.get(path[-1], ()):
            if step.target not in path:
                yield from brute_force(graph, (*path, step.target), max_hops)


def is_simple_path(seed: str, steps: tuple[Step, ...]) -> bool:
    nodes = [seed, *(step.target for step in steps)]
    joined = all(step.relation_id == f"{start}{step.target}" for start, step in zip(nodes, steps, strict=False))
    return joined and len(set(nodes)) == len(nodes)


EDGES = st.sets(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(lambda e: e[0] != e[1]))


@settings(max_examples=150, deadline=None)
@given(EDGES, st.integers(1, 6))
def test_depth_first_is_exact(edges: set[tuple[str, str]], max_hops: int) -> None:
    graph = graph_of(*("".join(edge) for edge in edges))
    found = longest_path("a", graph, max_hops, 5.0)
    assert len(found.steps) == max(brute_force(graph, ("a",), max_hops))
    assert is_simple_path("a", found.steps)
    assert found.proven_optimal


@settings(max_examples=40, deadline=None)
@given(EDGES, st.integers(1, 6))
def test_the_solver_takes_over_and_is_exact(edges: set[tuple[str, str]], max_hops: int) -> None:
    graph = graph_of(*("".join(edge) for edge in edges))
    found = longest_path("a", graph, max_hops, 5.0, max_states=2)
    assert len(found.steps) == max(brute_force(graph, ("a",), max_hops))
    assert is_simple_path("a", found.steps)
    assert found.upper_bound >= len(found.steps)


def test_greed_would_take_the_short_way() -> None:
    graph = graph_of("ab", "ac", "bd", "be", "bf", "cg", "gh", "hi")  # b has most ways out, all of them dead ends
    assert [step.target for step in longest_path("a", graph, 12, 5.0).steps] == ["c", "g", "h", "i"]


def test_a_large_graph_is_solved_and_its_bound_reported() -> None:
    names = [f"n{i:02d}" for i in range(60)]
    graph = graph_of_pairs((one, names[(i * k + k) % 60]) for i, one in enumerate(names) for k in (7, 11))
    found = longest_path(names[0], graph, 40, 5.0, max_states=20)
    assert found.strategy == "cp-sat"
    assert is_simple_path(names[0], found.steps)
    assert len(found.steps) <= found.upper_bound <= 40


def test_the_same_graph_gives_the_same_chain() -> None:
    graph = graph_of("ab", "ac", "bd", "cd", "de", "df")
    chains = [longest_chain("a", graph, 12, 5.0) for _ in range(3)]
    assert {chain.chain_id for chain in chains if chain} == {chains[0].chain_id if chains[0] else ""}
    assert chains[0] is not None
    assert chains[0].entities == ("a", "b", "d", "e")
    assert chains[0].relations == ("ab", "bd", "de")
    assert (chains[0].length, chains[0].upper_bound, chains[0].proven_optimal) == (3, 3, True)


def test_a_seed_without_relations_has_no_chain() -> None:
    assert longest_chain("a", graph_of("bc"), 12, 5.0) is None


def relation(subject: str, predicate: str, obj: str, confidence: float = 1.0) -> Relation:
    return Relation(f"{subject}-{obj}", subject, predicate, obj, "", "", "", confidence, "rules", ())


def test_a_gene_and_a_finding_are_walked_both_ways() -> None:
    relations = [relation("D1", "associated_gene", "G"), relation("D2", "associated_gene", "G"),
                 relation("D2", "has_finding", "P"), relation("D3", "has_finding", "P")]
    steps = steps_between(relations, degrees(relations), "D1", 200, 0.5)
    chain = longest_chain("D1", steps, 12, 5.0)
    assert chain is not None
    assert chain.entities == ("D1", "G", "D2", "P", "D3")


def test_of_equal_ends_the_exact_one_is_taken() -> None:
    exact, vague = relation("D1", "has_finding", "P9"), relation("D1", "has_finding", "P1")
    relations = [replace(exact, clinical="3 of 7 patients"), replace(vague, clinical="some patients")]
    chain = longest_chain("D1", steps_between(relations, {}, "D1", 200, 0.5), 12, 5.0)
    assert chain is not None
    assert chain.entities == ("D1", "P9")


def test_hubs_and_doubtful_relations_are_not_walked_through() -> None:
    relations = [relation("D1", "associated_gene", "G"), relation("D2", "associated_gene", "G"),
                 relation("D1", "treated_with", "R", 0.4)]
    assert set(steps_between(relations, {"G": 3}, "D1", 2, 0.5)) == {"D1", "D2"}
    doubtful = steps_between(relations, {}, "D1", 2, 0.5)
    assert [step.target for step in doubtful["D1"]] == ["G"]
    assert steps_between(relations, {"D1": 99}, "D1", 2, 0.5)["D1"]
