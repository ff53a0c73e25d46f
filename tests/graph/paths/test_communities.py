"""Communities and centralities: what anyone would call a community, the same every time, and whose
turn it is to draw random numbers afterwards."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.graph.paths import communities
from medr_ray.graph.paths.communities import build_link_graph, find_centralities, find_communities

Links = list[tuple[str, str]]


def both_ways(names: str) -> Links:
    return [
        pair
        for first, other in itertools.combinations(names, 2)
        for pair in ((first, other), (other, first))
    ]


TWO_GROUPS = [*both_ways("abcd"), *both_ways("wxyz"), ("d", "w")]
LINKS = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("abcdefghij")), max_size=40
)


def test_two_groups_with_one_link_between_them() -> None:
    communities = find_communities(build_link_graph("q", TWO_GROUPS), 0)
    assert communities.members == (tuple("abcd"), tuple("wxyz"), ("q",))
    assert communities.community_of("y") == tuple("wxyz")
    assert communities.community_of("not in the graph") == ("not in the graph",)
    assert communities.modularity > 0.4


def test_a_link_that_goes_both_ways_ties_more() -> None:
    ring = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c"), ("d", "a")]
    assert find_communities(build_link_graph((), ring), 0).members == (("a", "b"), ("c", "d"))


@settings(max_examples=50, deadline=None)
@given(LINKS, st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_of_the_input_decides_nothing(
    links: Links, rng: random.Random, seed: int
) -> None:
    entities, shuffled = list("abcdefghijk"), rng.sample(links, len(links))
    graph, other = build_link_graph(entities, links), build_link_graph(entities[::-1], shuffled)
    communities = find_communities(graph, seed)
    assert communities == find_communities(other, seed)
    assert find_centralities(graph) == find_centralities(other)
    assert sorted(entity for group in communities.members for entity in group) == entities
    assert all(
        entity in communities.members[number] for entity, number in communities.number_of.items()
    )


def test_nothing_is_drawn_from_pythons_own_generator() -> None:
    random.seed(7)
    before = random.getstate()
    find_communities(build_link_graph((), TWO_GROUPS), 3)
    assert random.getstate() == before


def test_what_is_passed_through_is_central() -> None:
    centralities = find_centralities(build_link_graph("q", [("a", "b"), ("b", "c"), ("c", "b")]))
    assert centralities.degree == {"a": 1, "b": 2, "c": 1, "q": 0}
    assert centralities.betweenness == {"a": 0, "b": 1, "c": 0, "q": 0}
    assert sum(centralities.pagerank.values()) == pytest.approx(1)
    assert min("abcq", key=centralities.sort_key) == "b"


def test_in_a_big_graph_long_detours_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    line = build_link_graph((), list(itertools.pairwise("abcdefghij")))
    exact = find_centralities(line).betweenness
    assert exact["e"] == 4 * 5
    monkeypatch.setattr(communities, "MAX_EXACT_ENTITIES", 9)
    assert 0 < find_centralities(line).betweenness["e"] < exact["e"]


def test_an_empty_graph_has_neither() -> None:
    empty = build_link_graph((), ())
    assert find_communities(empty, 0).members == ()
    assert find_centralities(empty).pagerank == {}
